# SPDX-License-Identifier: BSD-3-Clause
"""What culvert puts on the wire for a frame that enters a tunnel, byte by byte."""

from cases import case
from culvert_lab import Lab, wait_until
from topology import FAR_MAC, INNER_MAC, NEAR_MAC, raw_tunnel
from wire import IP, UDP, VXLAN, Ether, ICMP, Raw, Wire, inner_of


def ping_frame(length=84, src=NEAR_MAC, dst=INNER_MAC, **ip):
    """A ping of `length` bytes of IP, as `near` would send it."""
    return Ether(src=src, dst=dst) / IP(src="10.42.0.1", dst="10.42.0.2", **ip) / ICMP(id=7) / Raw(b"p" * (length - 28))


def flow_frame(sport, dport, swap=False):
    a, b = ("10.42.0.1", "10.42.0.2"), (sport, dport)
    a, b = (a[::-1], b[::-1]) if swap else (a, b)
    return Ether(src=NEAR_MAC, dst=INNER_MAC) / IP(src=a[0], dst=a[1]) / UDP(sport=b[0], dport=b[1]) / Raw(b"flow")


class Bench:
    def __init__(self, lab, options="dstport 4789", **more):
        self.culvert, self.far, self.near = raw_tunnel(lab, options=options, **more)
        self.sender, self.receiver = Wire(self.near.host), Wire(self.far.host)

    def pushed(self, frame):
        """`frame` in at near; what comes out at far."""
        self.sender.send(frame)
        return self.receiver.receive(lambda f: VXLAN in f, what="VXLAN frame")


@case("GOLD-04 VXLAN-TX-34 VXLAN-TX-36 every byte of the outer headers")
def golden():
    with Lab() as lab:
        bench = Bench(lab)
        inner = ping_frame()
        seen = bench.pushed(inner)
        assert inner_of(seen) == bytes(inner), inner_of(seen).hex()
        ip, udp = seen[IP], seen[UDP]
        assert 32768 <= udp.sport <= 60998, f"VXLAN-SPORT-01: {udp.sport}"
        wanted = (
            Ether(src=bench.far.mac, dst=FAR_MAC)
            / IP(src="192.0.2.1", dst="192.0.2.2", id=ip.id, ttl=64, tos=0, flags=0, len=134)
            / UDP(sport=udp.sport, dport=4789, len=114)
            / Raw(bytes.fromhex("0800000000002a00"))
            / inner
        )
        assert bytes(seen) == bytes(wanted), f"\n{bytes(seen).hex()} instead of\n{bytes(wanted).hex()}"


@case("VXLAN-CSUM-02 UDP checksums are right at every payload length, odd ones too")
def checksum_lengths():
    with Lab() as lab:
        bench = Bench(lab)
        for length in [*range(28, 128), 255, 512, 1001, 1449, 1450]:
            seen = bench.pushed(ping_frame(length))
            again = IP(bytes(seen[IP]))
            del again[UDP].chksum
            assert IP(bytes(again))[UDP].chksum == seen[UDP].chksum != 0, f"inner length {length}: {seen[UDP].chksum:#06x}"


@case("VXLAN-TX-37 a short inner frame is not padded, and a port's padding is not sent on as IP")
def no_padding():
    with Lab() as lab:
        bench = Bench(lab)
        inner = ping_frame(28)
        assert len(inner) == 42 and inner_of(bench.pushed(inner)) == bytes(inner)


@case("VXLAN-SPORT-01 VXLAN-SPORT-02 VXLAN-SPORT-03 one flow one source port, both ways alike, many flows spread")
def source_ports():
    with Lab() as lab:
        bench = Bench(lab)
        ports = set()
        for n in range(64):
            there = bench.pushed(flow_frame(1000 + n, 2000))[UDP].sport
            back = bench.pushed(flow_frame(1000 + n, 2000, swap=True))[UDP].sport
            assert there == back == bench.pushed(flow_frame(1000 + n, 2000))[UDP].sport, (there, back)
            assert 32768 <= there <= 60998, there
            ports.add(there)
        assert len(ports) > 48, f"64 flows share {len(ports)} source ports"


@case("VXLAN-SPORT-01 GOLD-07 srcport sets the range, whose upper end is never used")
def source_port_range():
    with Lab() as lab:
        bench = Bench(lab, "dstport 4789 srcport 5000 5010")
        ports = {bench.pushed(flow_frame(1000 + n, 2000))[UDP].sport for n in range(128)}
        assert ports <= set(range(5000, 5010)) and len(ports) >= 8, ports


@case("TUN-ECN-05 GOLD-12 inner congestion marks on the outer header")
def ecn():
    with Lab() as lab:
        bench = Bench(lab)
        for inner, outer in ((0, 0), (1, 1), (2, 2), (3, 2)):
            assert bench.pushed(ping_frame(tos=0xB8 | inner))[IP].tos == outer


@case("VXLAN-TX-22 VXLAN-TX-30 tos, ttl and df: set and inherited")
def inherited():
    with Lab() as lab:
        bench = Bench(lab, "dstport 4789 tos inherit ttl inherit df inherit")
        seen = bench.pushed(ping_frame(tos=0xB9, ttl=17, flags="DF"))[IP]
        assert (seen.tos, seen.ttl, seen.flags) == (0xB9, 17, "DF"), seen.summary()
        seen = bench.pushed(ping_frame(tos=0x20, ttl=200))[IP]
        assert (seen.tos, seen.ttl, seen.flags) == (0x20, 200, 0), seen.summary()
    with Lab() as lab:
        bench = Bench(lab, "dstport 4789 tos b8 ttl 33 df set")
        seen = bench.pushed(ping_frame(tos=1))[IP]
        assert (seen.tos, seen.ttl, seen.flags) == (0xB9, 33, "DF"), seen.summary()


@case("VXLAN-TX-05 no entry and no default remote: tx_dropped")
def no_destination():
    with Lab() as lab:
        bench = Bench(lab)
        bench.culvert.do("fdb del 00:00:00:00:00:00 dev vx42")
        before = bench.culvert.stats("vx42")["tx"]
        bench.sender.send(ping_frame())
        wait_until(lambda: bench.culvert.dropped("vxlan_no_destination") == 1, 5, "the drop")
        after = bench.culvert.stats("vx42")["tx"]
        moved = {key: after[key] - before[key] for key in after if after[key] != before[key]}
        assert moved == {"dropped": 1}, moved


@case("VXLAN-FDB-03 an entry's own port and VNI are used")
def per_entry():
    with Lab() as lab:
        bench = Bench(lab)
        bench.culvert.do(f"fdb add {INNER_MAC} dev vx42 dst 192.0.2.2 port 4790 vni 77 static")
        bench.sender.send(ping_frame())
        seen = bench.receiver.receive(lambda f: UDP in f and f[UDP].dport == 4790, what="VXLAN frame on port 4790")
        header = bytes(seen[UDP].payload)[:8]
        assert header.hex() == "0800000000004d00", header.hex()


@case("NEI-12 a changed neighbour MAC is used from then on")
def neighbour_changes():
    with Lab() as lab:
        bench = Bench(lab)
        assert bench.pushed(ping_frame())[Ether].dst == FAR_MAC
        bench.culvert.do("neigh replace 192.0.2.2 lladdr 02:00:00:00:77:77 dev port0")
        assert bench.pushed(ping_frame())[Ether].dst == "02:00:00:00:77:77"
