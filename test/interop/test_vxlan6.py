# SPDX-License-Identifier: BSD-3-Clause
"""VXLAN with IPv6 underneath, between culvert and the kernel's vxlan."""

import json
import struct
import time

from cases import case
from culvert_lab import SLOW, Lab, Port, wait_until
from test_ip6 import is_settled, with_ip6
from topology import BRIDGED, FAR_MAC, NEAR_MAC
from wire import Wire

OURS, THEIRS = "2001:db8::1", "2001:db8::2"
VXLAN_OVERHEAD = 70


def tunnel6(lab, options="dstport 4789", peer_options="dstport 4789", extra="", mtu=1500, count=1):
    """near --- port1  culvert  port0 --- switch --- VTEPs over IPv6; near is 10.42.0.1, the first VTEP 10.42.0.2."""
    switch, near = lab.switch(), lab.namespace("near")
    inner = mtu - VXLAN_OVERHEAD
    ports = [Port(switch, device="trunk", mtu=mtu), Port(near, addresses=["10.42.0.1/24"], mtu=inner, mac=NEAR_MAC)]
    addresses = [f"2001:db8::{2 + i:x}" for i in range(count)]
    config = f"addr add {OURS}/64 dev port0 nodad\n"
    config += f"link add vx42 type vxlan id 42 local {OURS} remote {THEIRS} dev port0 {options}\n" + BRIDGED
    config += "".join(f"fdb append 00:00:00:00:00:00 dev vx42 dst {a}\n" for a in addresses[1:]) + extra
    culvert = lab.culvert(ports, config)
    switch.ip("link set trunk master br0")
    hosts = []
    for i, address in enumerate(addresses):
        host = with_ip6(lab, f"vtep{i}")
        host.wire = lab.plug(switch, host, addresses=[f"{address}/64"])
        host.ip(f"link add vx42 mtu {inner} type vxlan id 42 local {address} remote {OURS} {peer_options}")
        host.ip(f"addr add 10.42.0.{2 + i}/24 dev vx42")
        host.ip("link set vx42 up")
        hosts.append(host)
    wait_until(lambda: is_settled(culvert), 10, "addresses in use")
    culvert.do("neigh flush dev port0")
    return culvert, near, hosts, switch


class Outer:
    """The outer headers of a VXLAN packet over IPv6; None if it is none."""

    @staticmethod
    def of(data):
        is_udp = data[12:14] == b"\x86\xdd" and data[20] == 17
        return Outer(data) if is_udp and data[56:58] == struct.pack("!H", 4789) else None

    def __init__(self, data):
        word = struct.unpack("!I", data[14:18])[0]
        self.traffic_class, self.flow_label, self.hop_limit = word >> 20 & 0xFF, word & 0xFFFFF, data[21]
        self.checksum, self.vni, self.inner = data[60:62], data[66:69], data[70:]
        self.payload_length, self.udp_length = (struct.unpack("!H", data[at : at + 2])[0] for at in (18, 58))
        self.flags = data[62:66]

    def is_ping(self):
        return self.inner[12:14] == b"\x08\x00" and self.inner[23] == 1


def heard(wire):
    """The next ping in VXLAN."""
    deadline = time.monotonic() + 5 * SLOW
    while (data := wire.next_frame(deadline)) is not None:
        outer = Outer.of(data)
        if outer is not None and outer.is_ping():
            return outer
    raise AssertionError("no ping in VXLAN over IPv6")


def ping_both_ways(near, far, **more):
    near.ping("10.42.0.2", **more)
    far.ping("10.42.0.1", **more)


@case("VXLAN-CRE-11 VXLAN-TX-36 VXLAN-RX-09 VXLAN-CSUM-01 over IPv6: ping both ways, checksums on")
def both_ways():
    with Lab() as lab:
        culvert, near, (far,), _ = tunnel6(lab)
        assert culvert.link("vx42")["mtu"] == 1430, culvert.link("vx42")
        ping_both_ways(near, far)
        for length in (28, 29, 63, 64, 65, 127, 128, 255, 256, 1000, 1429, 1430):
            ping_both_ways(near, far, length=length, count=2)
        near.ping("10.42.0.2", length=1430, dont_fragment=True)
        mac = far.mac("vx42")
        assert culvert.remotes("vx42").get(mac) == [THEIRS], culvert.remotes("vx42")
        theirs = json.loads(far.bridge("-j fdb show dev vx42").stdout)
        assert [e["dst"] for e in theirs if e["mac"] == near.mac("eth0")] == [OURS], theirs
        assert set(culvert.drops()) <= {"ip6_group_unknown"}, culvert.drops()


@case("VXLAN-TX-22 VXLAN-TX-23 VXLAN-CRE-24 over IPv6: what both write into the outer header is the same")
def same_headers():
    options = "dstport 4789 tos inherit ttl 33 flowlabel 0x12345"
    with Lab() as lab:
        _, near, (far,), switch = tunnel6(lab, options, options)
        ping_both_ways(near, far)
        with Wire(switch, "trunk") as from_culvert, Wire(switch, far.wire) as from_far:
            near.exec("ping", "-c", 1, "-Q", "0xb8", "-t", 33, "-W", 3, "10.42.0.2")
            ours, theirs = heard(from_culvert), heard(from_far)
        for field in ("traffic_class", "flow_label", "hop_limit", "vni", "flags", "payload_length", "udp_length"):
            assert getattr(ours, field) == getattr(theirs, field), (field, ours.__dict__, theirs.__dict__)
        assert ours.traffic_class == 0xB8 and ours.flow_label == 0x12345 and ours.hop_limit == 33, ours.__dict__
        assert ours.checksum != b"\0\0" and theirs.checksum != b"\0\0"


@case("VXLAN-SOCK-11 VXLAN-CSUM-04 over IPv6: no checksum, and who takes it")
def zero_checksums():
    both = "dstport 4789 udp6zerocsumtx udp6zerocsumrx"
    with Lab() as lab:
        _, near, (far,), switch = tunnel6(lab, both, both)
        with Wire(switch, "trunk") as wire:
            ping_both_ways(near, far)
            assert heard(wire).checksum == b"\0\0"
    with Lab() as lab:
        culvert, _, (far,), _ = tunnel6(lab, "dstport 4789", "dstport 4789 udp6zerocsumtx udp6zerocsumrx")
        far.exec("ping", "-c", 1, "-W", 1, "10.42.0.1", check=False)
        wait_until(lambda: culvert.dropped("udp_no_checksum") > 0, 5, "a drop of a packet without checksum")
        assert far.mac("vx42") not in culvert.remotes("vx42"), culvert.remotes("vx42")


@case("VXLAN-TX-06 VXLAN-TX-07 VXLAN-LRN-06 over IPv6: floods reach all VTEPs, stations are learned behind theirs")
def several():
    with Lab() as lab:
        culvert, near, hosts, _ = tunnel6(lab, count=3)
        for i, host in enumerate(hosts):
            near.ping(f"10.42.0.{2 + i}")
            assert culvert.remotes("vx42").get(host.mac("vx42")) == [f"2001:db8::{2 + i:x}"], culvert.remotes("vx42")


@case("VXLAN-PMTU-02 over IPv6: a bridged sender hears of frames that are too big")
def too_big():
    with Lab() as lab:
        culvert, near, (far,), _ = tunnel6(lab, extra="link set port0 mtu 1400\n")
        near.ping("10.42.0.2")
        text = near.exec("ping", "-c", 1, "-W", 2, "-M", "do", "-s", 1400, "10.42.0.2", check=False).stdout
        assert "1330" in text, text
        near.ping("10.42.0.2", length=1330, dont_fragment=True)
        assert far.mac("vx42") in culvert.remotes("vx42")


@case("VXLAN-LRN-07 VXLAN-SOCK-06 between link-local addresses")
def link_local():
    with Lab() as lab:
        near, far = lab.namespace("near"), with_ip6(lab, "far")
        ports = [Port(far, addresses=["fe80::2/64"], mac=FAR_MAC), Port(near, addresses=["10.42.0.1/24"], mtu=1430, mac=NEAR_MAC)]
        config = "addr add fe80::1/64 dev port0 nodad\n"
        config += "link add vx42 type vxlan id 42 local fe80::1 remote fe80::2 dev port0 dstport 4789\n" + BRIDGED
        culvert = lab.culvert(ports, config)
        far.ip("link add vx42 mtu 1430 type vxlan id 42 local fe80::2 remote fe80::1 dev eth0 dstport 4789")
        far.ip("addr add 10.42.0.2/24 dev vx42")
        far.ip("link set vx42 up")
        culvert.do("neigh flush dev port0")
        ping_both_ways(near, far)
        rows = [r for r in culvert.json("fdb show dev vx42") if r["mac"] == far.mac("vx42") and "dst" in r]
        assert [(r["dst"], r.get("via")) for r in rows] == [("fe80::2", "port0")], rows
