# SPDX-License-Identifier: BSD-3-Clause
"""Crafted VXLAN packets at the underlay port: which are delivered, which are dropped, and what counts."""

from cases import case
from culvert_lab import Lab, wait_until
from scapy.layers.inet import IPOption_EOL, IPOption_NOP
from topology import INNER_MAC, NEAR_MAC, raw_tunnel
from wire import ARP, IP, UDP, VXLAN, Ether, Raw, Wire, vxlan_frame

GROUP_MAC = "01:00:5e:00:00:01"


def station(payload=b"payload", src=INNER_MAC, dst="ff:ff:ff:ff:ff:ff", **ip):
    return Ether(src=src, dst=dst) / IP(src="10.42.0.2", dst="10.42.0.1", **ip) / UDP(sport=7, dport=9) / Raw(payload)


class Bench:
    """culvert with a wire on each side; `drops` and `delivers` say what must become of a frame."""

    def __init__(self, lab, **more):
        self.culvert, self.far, self.near = raw_tunnel(lab, **more)
        self.sender, self.receiver = Wire(self.far.host), Wire(self.near.host)

    def stats(self):
        return self.culvert.stats("vx42")["rx"]

    def drops(self, reason, *frames, moves=()):
        """Each frame is dropped for `reason`, and of the tunnel's receive counters exactly `moves` move."""
        before, stats = self.culvert.dropped(reason), self.stats()
        self.sender.send(*frames)
        wait_until(lambda: self.culvert.dropped(reason) == before + len(frames), 5, f"{len(frames)} times {reason}")
        moved = {key for key, value in self.stats().items() if value != stats[key]}
        assert moved == set(moves), f"{reason}: moved {moved}, not {set(moves)}"
        assert not self.receiver.pending(), "a dropped frame was delivered as well"

    def delivers(self, frame, inner):
        self.sender.send(frame)
        seen = bytes(self.receiver.receive(lambda f: True, what="the inner frame"))
        assert seen == bytes(inner), f"\n{seen.hex()} instead of\n{bytes(inner).hex()}"


@case("VXLAN-RX-15 a good frame is delivered byte for byte and counted without its Ethernet header")
def good():
    with Lab() as lab:
        bench = Bench(lab)
        before = bench.stats()
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner), inner)
        after = bench.stats()
        assert after["packets"] == before["packets"] + 1, after
        assert after["bytes"] == before["bytes"] + len(inner) - 14, after


@case("VXLAN-RX-02 VXLAN-RX-03 GOLD-02 no I flag, reserved flags or a reserved byte: dropped silently")
def reserved():
    with Lab() as lab:
        bench = Bench(lab)
        table = {
            "0000000000002a00": "vxlan_no_vni_flag",
            "0800000100002a00": "vxlan_reserved_bits",
            "0800000000002a01": "vxlan_reserved_bits",
            "8800012300002a00": "vxlan_reserved_bits",
            "0820000000002a91": "vxlan_reserved_bits",
        }
        for header, reason in table.items():
            good = vxlan_frame(bench.far, station())
            del good[UDP].chksum
            good[UDP].remove_payload()
            bench.drops(reason, good / Raw(bytes.fromhex(header)) / station())
        for bit in range(32):
            if bit != 27:
                frame = vxlan_frame(bench.far, station())
                frame[UDP].remove_payload()
                word = (0x08000000 | 1 << bit).to_bytes(4, "big") + bytes.fromhex("00002a00")
                bench.drops("vxlan_reserved_bits", frame / Raw(word) / station())


@case("VXLAN-RX-08 unknown VNI is dropped silently")
def unknown_vni():
    with Lab() as lab:
        bench = Bench(lab)
        bench.drops("vxlan_unknown_vni", *(vxlan_frame(bench.far, station(), vni=v) for v in (0, 41, 43, 0xFFFFFF)))


@case("UDP to a port without a tunnel is dropped by name")
def other_port():
    with Lab() as lab:
        bench = Bench(lab)
        bench.drops("udp_no_port", vxlan_frame(bench.far, station(), dport=4790))
        bench.culvert.do("link set vx42 down")
        bench.drops("udp_no_port", vxlan_frame(bench.far, station()))
        bench.culvert.do("link set vx42 up")
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner), inner)


@case("VXLAN-RX-11 VXLAN-RX-12 any local address will do as outer destination, any address as source")
def any_local_address():
    with Lab() as lab:
        bench = Bench(lab, extra="addr add 198.51.100.1/24 dev port0\n")
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner, dst="198.51.100.1"), inner)
        bench.delivers(vxlan_frame(bench.far, inner, src="203.0.113.77"), inner)


@case("VXLAN-RX-10 an inner source MAC that is the tunnel's own is dropped before learning")
def own_source():
    with Lab() as lab:
        bench = Bench(lab)
        own = bench.culvert.link("vx42")["address"]
        bench.drops("vxlan_own_source", vxlan_frame(bench.far, station(src=own)))
        assert own not in bench.culvert.remotes("vx42"), bench.culvert.remotes("vx42")


@case("VXLAN-RX-11 VXLAN-LRN-02 an inner source MAC of zero or a group is dropped")
def invalid_source():
    with Lab() as lab:
        bench = Bench(lab)
        for mac in ("00:00:00:00:00:00", GROUP_MAC, "ff:ff:ff:ff:ff:ff"):
            bench.drops("vxlan_source_invalid", vxlan_frame(bench.far, station(src=mac)))


@case("VXLAN-LRN-03 VXLAN-LRN-04 a static entry pins its MAC to its VTEP")
def pinned():
    with Lab() as lab:
        bench = Bench(lab)
        bench.culvert.do(f"fdb add {INNER_MAC} dev vx42 dst 192.0.2.2 static")
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner), inner)
        bench.drops("vxlan_source_pinned", vxlan_frame(bench.far, inner, src="192.0.2.66"))
        assert bench.culvert.remotes("vx42")[INNER_MAC] == ["192.0.2.2"]


@case("a bridge's static entry follows its station to another port, a sticky one does not")
def bridge_static():
    with Lab() as lab:
        bench = Bench(lab)
        inner = station()

        def entry():
            return next(row for row in bench.culvert.json("fdb show br br0") if row["mac"] == INNER_MAC and "master" in row)

        bench.culvert.do(f"fdb add {INNER_MAC} dev port1 master static sticky")
        bench.delivers(vxlan_frame(bench.far, inner), inner)
        wait_until(bench.culvert.balanced, 5, "rest")
        assert entry()["ifname"] == "port1", entry()
        bench.culvert.do(f"fdb replace {INNER_MAC} dev port1 master static")
        bench.delivers(vxlan_frame(bench.far, inner), inner)
        moved = wait_until(lambda: entry()["ifname"] == "vx42" and entry(), 5, "the entry behind the tunnel")
        assert moved["state"] == "static", moved


@case("VXLAN-LRN-05 VXLAN-LRN-06 a station is learned, and followed when it moves")
def learned():
    with Lab() as lab:
        bench = Bench(lab)
        inner = station()
        for address in ("192.0.2.2", "192.0.2.66", "192.0.2.2"):
            bench.delivers(vxlan_frame(bench.far, inner, src=address), inner)
            wait_until(lambda a=address: bench.culvert.remotes("vx42").get(INNER_MAC) == [a], 5, f"{INNER_MAC} behind {address}")


@case("VXLAN-LRN-01 nolearning: nothing is learned, nothing is dropped for its source")
def nolearning():
    with Lab() as lab:
        bench = Bench(lab, options="dstport 4789 nolearning")
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner), inner)
        wait_until(bench.culvert.balanced, 5, "rest")
        assert INNER_MAC not in bench.culvert.remotes("vx42"), bench.culvert.remotes("vx42")


@case("UDP: zero checksum accepted, wrong one dropped, length trims or drops")
def udp():
    with Lab() as lab:
        bench = Bench(lab)
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner, checksum=False), inner)
        bench.delivers(vxlan_frame(bench.far, inner), inner)
        wrong = vxlan_frame(bench.far, inner)
        wrong[UDP].chksum = 0x1234
        bench.drops("udp_checksum", wrong)
        trimmed = vxlan_frame(bench.far, Raw(bytes(inner)), checksum=False)
        trimmed[UDP].len = 8 + 8 + len(inner)
        bench.delivers(trimmed / Raw(b"trailer"), inner)
        for length in (0, 7, 8 + 8 + len(inner) + 1, 0xFFFF):
            bad = vxlan_frame(bench.far, inner, checksum=False)
            bad[UDP].len = length
            bench.drops("udp_length", bad)


@case("TUN-ECN-02 TUN-ECN-03 GOLD-12 congestion marks of all sixteen pairs")
def ecn():
    table = {
        (0, 0): 0, (1, 0): 0, (2, 0): 0, (3, 0): None,
        (0, 1): 1, (1, 1): 1, (2, 1): 1, (3, 1): 3,
        (0, 2): 2, (1, 2): 1, (2, 2): 2, (3, 2): 3,
        (0, 3): 3, (1, 3): 3, (2, 3): 3, (3, 3): 3,
    }  # fmt: skip
    with Lab() as lab:
        bench = Bench(lab)
        for (outer, inner), delivered in table.items():
            for dscp in (0, 0xB8):
                frame = vxlan_frame(bench.far, station(tos=dscp | inner), tos=outer)
                if delivered is None:
                    bench.drops("vxlan_ecn", frame, moves=("errors", "frame_errors"))
                else:
                    bench.delivers(frame, station(tos=dscp | delivered))


@case("TUN-ECN-04 ARP inside a congested tunnel is delivered, a VLAN tag does not hide IP")
def ecn_other():
    with Lab() as lab:
        bench = Bench(lab)
        question = Ether(src=INNER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=INNER_MAC, psrc="10.42.0.2", pdst="10.42.0.1")
        bench.delivers(vxlan_frame(bench.far, question, tos=3), question)
        tag = bytes.fromhex("81000007")
        tagged = Raw(bytes(station(tos=0))[:12] + tag + bytes(station(tos=0))[12:])
        bench.drops("vxlan_ecn", vxlan_frame(bench.far, tagged, tos=3), moves=("errors", "frame_errors"))


@case("VXLAN-RX-18 a frame that ECN rejects has been learned")
def ecn_learned():
    with Lab() as lab:
        bench = Bench(lab)
        bench.drops("vxlan_ecn", vxlan_frame(bench.far, station(tos=0), tos=3), moves=("errors", "frame_errors"))
        wait_until(lambda: bench.culvert.remotes("vx42").get(INNER_MAC) == ["192.0.2.2"], 5, "the learned station")


@case("VXLAN-RX-01 VXLAN-RX-09 VXLAN-RX-14 consistent outer headers around every length of VXLAN and inner headers")
def truncated_inside():
    with Lab() as lab:
        bench = Bench(lab)
        inner = bytes(station())
        content = bytes(VXLAN(flags=8, vni=42)) + inner
        for length in range(8 + 14 + 20):
            reason, moves = "vxlan_inner_ip_truncated", ("errors", "length_errors")
            if length < 8:
                reason, moves = "vxlan_truncated", ()
            elif length < 8 + 14:
                reason, moves = "vxlan_inner_truncated", ()
            outer = Ether(src=bench.far.peer_mac, dst=bench.far.mac) / IP(src="192.0.2.2", dst="192.0.2.1")
            bench.drops(reason, outer / UDP(sport=50000, dport=4789) / Raw(content[:length]), moves=moves)


@case("every truncation of a whole VXLAN frame is dropped by name")
def truncated_outside():
    with Lab() as lab:
        bench = Bench(lab)
        whole = bytes(vxlan_frame(bench.far, station()))
        before = sum(bench.culvert.drops().values())
        for length in range(14, len(whole)):
            bench.sender.send(whole[:length])
        sent = len(whole) - 14
        wait_until(lambda: sum(bench.culvert.drops().values()) == before + sent, 5, f"{sent} drops")
        assert not bench.receiver.pending(), "a truncated frame was delivered"
        assert set(bench.culvert.drops()) <= {"ip4_truncated", "ip4_total_length"}, bench.culvert.drops()


@case("broken outer IPv4 headers are dropped by name")
def outer_ip4():
    with Lab() as lab:
        bench = Bench(lab)

        def frame(**fields):
            made = vxlan_frame(bench.far, station())
            for key, value in fields.items():
                setattr(made[IP], key, value)
            return made

        bench.drops("ip4_version", frame(version=5))
        bench.drops("ip4_header_length", frame(ihl=4), frame(ihl=0))
        bench.drops("ip4_checksum", frame(chksum=0xDEAD))
        bench.drops("ip4_total_length", frame(len=19), frame(len=0xFFFF))
        bench.drops("fragment_overlap", frame(flags="MF"), frame(flags="MF", frag=1))
        bench.drops("ip4_source_invalid", frame(src="127.0.0.1"), frame(src="224.0.0.1"), frame(src="255.255.255.255"))
        other = vxlan_frame(bench.far, station())
        other[Ether].dst = "02:00:00:00:99:99"
        bench.drops("ether_other_host", other)


@case("outer IPv4 options are skipped")
def outer_options():
    with Lab() as lab:
        bench = Bench(lab)
        inner = station()
        bench.delivers(vxlan_frame(bench.far, inner, options=[IPOption_NOP()] * 3 + [IPOption_EOL()]), inner)
        bench.delivers(vxlan_frame(bench.far, inner, options=[IPOption_NOP()] * 40), inner)


@case("VXLAN-RX-17 an inner VLAN tag stays on the frame")
def inner_tag():
    with Lab() as lab:
        bench = Bench(lab)
        plain = bytes(station(dst=NEAR_MAC))
        tagged = Raw(plain[:12] + bytes.fromhex("81000007") + plain[12:])
        bench.delivers(vxlan_frame(bench.far, tagged), tagged)
