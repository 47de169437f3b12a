# SPDX-License-Identifier: BSD-3-Clause
"""One tunnel between culvert and the kernel's vxlan, in every form the two must agree on."""

import json

from cases import case
from culvert_lab import Lab, wait_until
from topology import EXPERIMENTAL, FAR_MAC, INNER_MAC, NEAR_MAC, first_tunnel
from wire import ICMP, IP, UDP, VXLAN, Dot1Q, Ether, Raw, Wire


def ping_both_ways(near, far, **more):
    near.ping("10.42.0.2", **more)
    far.ping("10.42.0.1", **more)


def udp_checksum_is_right(frame):
    """Whether the outer UDP checksum is what scapy computes over the same bytes."""
    again = IP(bytes(frame[IP]))
    del again[UDP].chksum
    return IP(bytes(again))[UDP].chksum == frame[UDP].chksum


@case("VXLAN-RX-15 VXLAN-TX-36 ping both ways through port 4789, UDP checksum on")
def port_4789():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        with Wire(far) as wire:
            ping_both_ways(near, far)
            frame = wire.receive(lambda f: VXLAN in f and ICMP in f, what="ping in VXLAN")
            assert frame[UDP].dport == 4789 and frame[VXLAN].vni == 42, frame.summary()
            assert frame[UDP].chksum != 0 and udp_checksum_is_right(frame), "VXLAN-CSUM-01: on by default, and right"
        assert culvert.drops() == {}, culvert.drops()


@case("VXLAN-CRE-08 without dstport both sides speak 8472")
def port_8472():
    with Lab() as lab:
        _, near, far = first_tunnel(lab, options="", peer_options="dstport 8472")
        with Wire(far) as wire:
            ping_both_ways(near, far)
            wire.receive(lambda f: UDP in f and f[UDP].dport == 8472, what="VXLAN on 8472")


@case("zero UDP checksums both ways")
def no_checksum():
    with Lab() as lab:
        _, near, far = first_tunnel(lab, "dstport 4789 noudpcsum", "dstport 4789 noudpcsum")
        with Wire(far) as wire:
            ping_both_ways(near, far)
            frame = wire.receive(lambda f: VXLAN in f and ICMP in f, what="ping in VXLAN")
            assert frame[UDP].chksum == 0, frame.summary()


@case("VXLAN-CSUM-02 culvert without and Linux with UDP checksum, and the other way round")
def mixed_checksum():
    for ours, theirs in (("noudpcsum", "udpcsum"), ("udpcsum", "noudpcsum")):
        with Lab() as lab:
            _, near, far = first_tunnel(lab, f"dstport 4789 {ours}", f"dstport 4789 {theirs}")
            ping_both_ways(near, far)


@case("VXLAN-TX-37 inner packets from 28 to 1450 bytes cross both ways")
def inner_sizes():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        for length in (28, 29, 46, 63, 64, 65, 127, 128, 129, 255, 256, 511, 512, 1000, 1023, 1024, 1279, 1400, 1449, 1450):
            ping_both_ways(near, far, length=length, count=2)
        near.ping("10.42.0.2", length=1450, dont_fragment=True)
        assert culvert.drops() == {}, culvert.drops()


@case("jumbo: 8950 bytes inside ports of 9000")
def jumbo():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab, "dstport 4789 dev port0", mtu=9000, tap=False, launch=["--mtu", "9000"])
        assert culvert.link("port0")["mtu"] == 9000 and culvert.link("vx42")["mtu"] == 8950, culvert.link("vx42")
        for length in (2000, 2048, 4000, 8949, 8950):
            ping_both_ways(near, far, length=length, count=2)
        assert culvert.drops() == {}, culvert.drops()


@case("VXLAN-RX-17 VLAN-tagged inner frames cross both ways with their tag")
def vlan_inside():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        for size in (46, 1000, 1446):
            with Wire(near) as here, Wire(far, "vx42") as there:
                for sender, receiver, source, target in ((here, there, NEAR_MAC, INNER_MAC), (there, here, INNER_MAC, NEAR_MAC)):
                    tagged = Ether(src=source, dst=target) / Dot1Q(vlan=7, prio=5, type=EXPERIMENTAL) / Raw(b"v" * size)
                    sender.send(tagged)
                    seen = receiver.receive(lambda f: Dot1Q in f, what="tagged frame")
                    assert bytes(seen) == bytes(tagged), f"\n{bytes(seen).hex()} instead of\n{bytes(tagged).hex()}"
        near.ping("10.42.0.2")
        assert culvert.drops() == {}, culvert.drops()


@case("NEI-01 NEI-04 culvert resolves its next hop, and the waiting packets are sent")
def arp_by_culvert():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        near.ping("10.42.0.2", count=1)
        entry = [n for n in culvert.json("neigh show") if n["dst"] == "192.0.2.2"]
        assert entry and entry[0]["lladdr"] == FAR_MAC and entry[0]["dev"] == "port0", entry


@case("NEI-10 NEI-11 culvert answers Linux's ARP for its underlay address")
def arp_by_linux():
    with Lab() as lab:
        culvert, _, far = first_tunnel(lab)
        far.ping("192.0.2.1")
        assert far.neighbours()["192.0.2.1"] == culvert.ports[0].mac, far.neighbours()
        far.ip("neigh flush all")
        far.ping("10.42.0.1")


@case("VXLAN-LRN-06 both ends learn where the other's stations are")
def learning():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        ping_both_ways(near, far)
        far_inner, near_mac = far.mac("vx42"), near.mac("eth0")
        assert culvert.remotes("vx42").get(far_inner) == ["192.0.2.2"], culvert.remotes("vx42")
        assert near_mac in culvert.stations("port1"), culvert.stations("port1")
        assert far_inner in culvert.stations("vx42"), culvert.stations("vx42")
        theirs = json.loads(far.bridge("-j fdb show dev vx42").stdout)
        assert [e["dst"] for e in theirs if e["mac"] == near_mac] == ["192.0.2.1"], theirs


@case("VXLAN-RX-15 VXLAN-TX-35 the kernel's counters of the tunnel and culvert's agree")
def counters_agree():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        near.ping("10.42.0.2", count=20, length=528)
        far.ping("10.42.0.1", count=20, length=728)

        def mirrored():
            ours, theirs = culvert.stats("vx42"), far.stats("vx42")
            pairs = [(ours["rx"], theirs["tx"]), (ours["tx"], theirs["rx"])]
            return all(a[key] == b[key] for a, b in pairs for key in ("packets", "bytes", "errors", "dropped")) and ours

        seen = wait_until(mirrored, 5, f"equal counters: {culvert.stats('vx42')} and {far.stats('vx42')}")
        assert seen["rx"]["packets"] >= 40 and seen["tx"]["packets"] >= 40, seen


@case("TCP streams of 20 MB arrive whole, both ways", alone=True)
def tcp_stream():
    with Lab() as lab:
        _, near, far = first_tunnel(lab)
        for sender, receiver, address in ((near, far, "10.42.0.2"), (far, near, "10.42.0.1")):
            port = receiver.receive_stream(address)
            assert sender.send_stream(address, port, 20 << 20) == receiver.received(port)
