# SPDX-License-Identifier: BSD-3-Clause
"""Tunnels to groups, and gre to neighbours: culvert among the kernel's VTEPs, none of which knows another, and beside its gre."""

from cases import case
from culvert_lab import Lab, Port, wait_until
from test_ip6 import is_settled, with_ip6
from topology import BRIDGED, NEAR_MAC, UNDERLAY, IpTunnel, forget_neighbours
from wire import GRE, IP, Ether, Wire

GROUP, GROUP6 = "239.1.1.1", "ff05::1:1"
VXLAN = f"link add vx42 type vxlan id 42 local 192.0.2.1 group {GROUP} dev port0 dstport 4789\n"
IGMP = 2


def vteps(lab, count):
    """Returns (switch, culvert, near, [vtep, ...]); inside they are 10.42.0.11, .12, ..."""
    switch, near = lab.switch(), lab.namespace("near")
    ports = [Port(switch, device="trunk"), Port(near, addresses=["10.42.0.1/24"], mtu=1450, mac=NEAR_MAC)]
    culvert = lab.culvert(ports, UNDERLAY + VXLAN + BRIDGED)
    switch.ip("link set trunk master br0")
    hosts = []
    for number in range(11, 11 + count):
        host = lab.namespace(f"vtep{number}")
        lab.plug(switch, host, addresses=[f"192.0.2.{number}/24"])
        host.vxlan("vx42", f"id 42 local 192.0.2.{number} group {GROUP} dev eth0 dstport 4789", [f"10.42.0.{number}/24"])
        hosts.append(host)
    forget_neighbours(culvert)
    return switch, culvert, near, hosts


def records(frame):
    """Record type of an IGMPv3 report about the group; None for other frames."""
    if IP not in frame or frame[IP].proto != IGMP or frame[IP].dst != "224.0.0.22":
        return None
    message = bytes(frame)[14 + 4 * frame[IP].ihl :]
    return [message[8]] if message[0] == 0x22 and message[12:16] == bytes((239, 1, 1, 1)) else None


@case("VXLAN-MC-02 vxlan to a group: ping both ways with two VTEPs that nobody was told of")
def group_both_ways():
    with Lab() as lab:
        switch, culvert, near, hosts = vteps(lab, 2)
        with Wire(switch, "trunk") as wire:
            near.ping("10.42.0.11")
            first = wire.receive(lambda frame: IP in frame and frame[IP].dst == GROUP and frame[IP].src == "192.0.2.1", what="a flood")
        assert first.dst == "01:00:5e:01:01:01" and first[IP].ttl == 1, first.show(dump=True)
        near.ping("10.42.0.12")
        for host in hosts:
            host.ping("10.42.0.1")
        hosts[0].ping("10.42.0.12")
        # The others' reports are for routers.
        assert set(culvert.drops()) <= {"ip4_not_forwarded"}, culvert.drops()


@case("VXLAN-MC-01 VXLAN-MC-03 what is joined and left is reported by IGMPv3")
def reports():
    with Lab() as lab:
        switch, culvert, _, _ = vteps(lab, 1)
        with Wire(switch, "trunk") as wire:
            culvert.do("link set vx42 down")
            assert records(wire.receive(records, what="a report")) == [3]
            culvert.do("link set vx42 up")
            assert records(wire.receive(lambda frame: records(frame) == [4], what="a report")) == [4]


@case("VXLAN-MC-01 VXLAN-MC-02 vxlan to an IPv6 group: ping both ways")
def group6():
    with Lab() as lab:
        switch, near, far = lab.switch(), lab.namespace("near"), with_ip6(lab, "far")
        ports = [Port(switch, device="trunk"), Port(near, addresses=["10.42.0.1/24"], mtu=1430, mac=NEAR_MAC)]
        config = "addr add 2001:db8::1/64 dev port0 nodad\n"
        config += f"link add vx42 type vxlan id 42 local 2001:db8::1 group {GROUP6} dev port0 dstport 4789\n" + BRIDGED
        culvert = lab.culvert(ports, config)
        switch.ip("link set trunk master br0")
        lab.plug(switch, far, addresses=["2001:db8::2/64"])
        wait_until(lambda: is_settled(culvert), 10, "addresses in use")
        far.vxlan("vx42", f"id 42 local 2001:db8::2 group {GROUP6} dev eth0 dstport 4789", ["10.42.0.2/24"])
        near.ping("10.42.0.2")
        far.ping("10.42.0.1")


@case("GRE-CRE-10 TUN-LKP-05 TUN-TX-25 gre to a group: both ways, under the TTL that was said", peer=True)
def gre_to_group():
    with Lab() as lab:
        tunnel = IpTunnel(lab, "gre")
        tunnel.make_theirs("ttl 9 dev eth0", f"local 192.0.2.2 remote {GROUP}", "via 10.9.0.1")
        # Linux would ask for it by ARP in the tunnel.
        tunnel.far.ip(f"neigh replace 10.9.0.1 lladdr {GROUP} dev tun nud permanent")
        tunnel.make_ours("ttl 7 dev port0", f"local 192.0.2.1 remote {GROUP}")
        with Wire(tunnel.switch, "trunk") as wire:
            tunnel.ping_both_ways()
            sent = wire.receive(lambda frame: IP in frame and frame[IP].dst == GROUP and frame[IP].src == "192.0.2.1", what="our packet")
        assert (sent.dst, sent[IP].ttl, sent[IP].proto) == ("01:00:5e:01:01:01", 7, 47), sent.show(dump=True)
        tunnel.culvert.do("link set tun down")
        tunnel.near.ping_in_vain("10.2.0.2")


@case("GRE-TX-03 UI-NEI-04 gre without a remote: a neighbour says where it goes", peer=True)
def gre_neighbour():
    with Lab() as lab:
        tunnel = IpTunnel(lab, "gre")
        tunnel.make_theirs("", "local 192.0.2.2", "via 10.9.0.1")
        tunnel.far.ip("neigh replace 10.9.0.1 lladdr 192.0.2.1 dev tun nud permanent")
        tunnel.make_ours("", "local 192.0.2.1", "via 10.9.0.2")
        tunnel.culvert.do("neigh add 10.9.0.2 lladdr 192.0.2.2 dev tun")
        tunnel.ping_both_ways()
        assert [n["lladdr"] for n in tunnel.culvert.json("neigh show dev tun")] == ["192.0.2.2"]


@case("GRE-CRE-15 a GRE keepalive comes back")
def keepalive():
    with Lab() as lab:
        switch, router = lab.switch(), lab.namespace("router")
        culvert = lab.culvert([Port(switch, device="trunk")], UNDERLAY)
        switch.ip("link set trunk master br0")
        lab.plug(switch, router, addresses=["192.0.2.9/24"])
        culvert.do("link add tun type gre local 192.0.2.1 remote 192.0.2.9", "link set tun up")
        router.ping("192.0.2.1")
        back = IP(src="192.0.2.1", dst="192.0.2.9", ttl=255) / GRE(proto=0)
        with Wire(router) as wire:
            frame = Ether(src=router.mac("eth0"), dst=culvert.link("port0")["address"])
            wire.send(frame / IP(src="192.0.2.9", dst="192.0.2.1") / GRE(proto=0x800) / back)
            seen = wire.receive(lambda frame: GRE in frame and frame[GRE].proto == 0 and frame[IP].src == "192.0.2.1", what="the keepalive")
        assert (seen[IP].dst, seen[IP].ttl) == ("192.0.2.9", 254), seen.show(dump=True)
        # The namespace itself knows no gre, and says so.
        assert set(culvert.drops()) <= {"icmp_not_handled"}, culvert.drops()
