# SPDX-License-Identifier: BSD-3-Clause
"""Integrated routing and bridging: an address on the bridge is a host on its network, and a router."""

from cases import case
from culvert_lab import Lab, Port, wait_until
from topology import BRIDGED, FAR_MAC, NEAR_MAC, UNDERLAY, first_tunnel, forget_neighbours, tunnel

GATEWAY = "addr add 10.42.0.254/24 dev br0\n"


@case("NEI-11 the bridge's own address answers ARP and ping from a port and from the tunnel")
def bridge_answers():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab, extra=GATEWAY)
        near.ping("10.42.0.254")
        far.ping("10.42.0.254")
        near.ping("10.42.0.2")
        mac = culvert.link("br0")["address"]
        assert near.neighbours()["10.42.0.254"] == mac, near.neighbours()
        assert far.neighbours()["10.42.0.254"] == mac, far.neighbours()


@case("the bridge's address routes between the tunnel's network and another port")
def bridge_routes():
    with Lab() as lab:
        far, near, third = lab.namespace("far"), lab.namespace("near"), lab.namespace("third")
        ports = [
            Port(far, addresses=["192.0.2.2/24"], mac=FAR_MAC),
            Port(near, addresses=["10.42.0.1/24"], mtu=1450, mac=NEAR_MAC),
            Port(third, addresses=["10.99.0.1/24"], mtu=1450),
        ]
        more = GATEWAY + "link set port2 up\naddr add 10.99.0.254/24 dev port2\n"
        culvert = lab.culvert(ports, UNDERLAY + tunnel() + BRIDGED + more)
        far.vxlan("vx42", "id 42 local 192.0.2.2 remote 192.0.2.1 dstport 4789", ["10.42.0.2/24"], mtu=1450)
        far.ip("route add 10.99.0.0/24 via 10.42.0.254")
        near.ip("route add 10.99.0.0/24 via 10.42.0.254")
        third.ip("route add default via 10.99.0.254")
        assert third.ping("10.42.0.2", length=1428) == {63}, "there is one router on the way"
        far.ping("10.99.0.1")
        near.ping("10.99.0.1")
        third.ping("10.42.0.254")
        assert culvert.drops() == {}, culvert.drops()


@case("a next hop that does not answer costs its packets, by name")
def silent_neighbour():
    with Lab() as lab:
        culvert, near, _ = first_tunnel(lab, extra=GATEWAY + "route add 10.77.0.0/24 via 10.42.0.99\n")
        near.ip("route add 10.77.0.0/24 via 10.42.0.254")
        near.ping_in_vain("10.77.0.1")
        wait_until(lambda: culvert.dropped("neighbour_failed") == 3, 8, "three packets dropped as neighbour_failed")


@case("a static route through the underlay's gateway carries the tunnel")
def routed_underlay():
    with Lab() as lab:
        router, far, near = lab.namespace("router"), lab.namespace("far"), lab.namespace("near")
        ports = [
            Port(router, addresses=["192.0.2.254/24"]),
            Port(near, addresses=["10.42.0.1/24"], mtu=1450, mac=NEAR_MAC),
        ]
        config = UNDERLAY + "route add default via 192.0.2.254\n" + tunnel(remote="198.51.100.2") + BRIDGED
        culvert = lab.culvert(ports, config)
        router.exec("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        router.ip(f"link add lan type veth peer name eth0 netns {far.name}")
        router.ip("addr add 198.51.100.1/24 dev lan")
        router.ip("link set lan up")
        far.ip("addr add 198.51.100.2/24 dev eth0")
        far.ip("link set eth0 up")
        far.ip("route add default via 198.51.100.1")
        far.vxlan("vx42", "id 42 local 198.51.100.2 remote 192.0.2.1 dstport 4789", ["10.42.0.2/24"], mtu=1450)
        forget_neighbours(culvert)
        near.ping("10.42.0.2")
        far.ping("10.42.0.1")
        culvert.do("route del default")
        before = culvert.stats("vx42")["tx"]
        near.ping_in_vain("10.42.0.2")
        wait_until(culvert.balanced, 5, "rest")
        after = culvert.stats("vx42")["tx"]
        assert after["carrier_errors"] - before["carrier_errors"] >= 3, f"VXLAN-TX-25 {before} {after}"
        culvert.do("route add default via 192.0.2.254")
        near.ping("10.42.0.2")
