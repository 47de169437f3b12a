# SPDX-License-Identifier: BSD-3-Clause
"""VLAN links against Linux's own."""

from cases import case
from culvert_lab import Lab, Port, wait_until
from topology import FAR_MAC, NEAR_MAC

VLAN = """
link set port0 up
link add link port0 name port0.100 type vlan id 100
link set port0.100 up
addr add 192.0.2.1/24 dev port0.100
"""


class Trunk:
    """near --- port1  culvert  port0 --- switch --- far, a Linux that speaks with tags."""

    def __init__(self, lab, config, far, near="10.1.0.1/24"):
        self.switch, self.near, self.far = lab.switch(), lab.namespace("near"), lab.peer("far")
        ports = [Port(self.switch, device="trunk", mac=FAR_MAC), Port(self.near, addresses=[near], mac=NEAR_MAC)]
        self.culvert = lab.culvert(ports, config)
        self.switch.ip("link set trunk master br0")
        lab.plug(self.switch, self.far)
        for line in far:
            self.far.ip(line)
        self.culvert.do("neigh flush dev port0")

    def check_counters(self, ours, theirs):
        """Packets: Linux counts received frames without their Ethernet header."""

        def mirrored():
            mine, his = self.culvert.stats(ours), self.far.stats(theirs)
            return mine["rx"]["packets"] == his["tx"]["packets"] and his["rx"]["packets"] == mine["tx"]["packets"]

        wait_until(mirrored, 5, f"equal counters: {self.culvert.stats(ours)} and {self.far.stats(theirs)}")


@case("VLAN link: addresses, routes and ping both ways, 802.1Q", peer=True)
def routed():
    with Lab() as lab:
        trunk = Trunk(
            lab,
            VLAN + "addr add 10.1.0.254/24 dev port1\n",
            [
                "link add link eth0 name eth0.100 type vlan id 100",
                "addr add 192.0.2.2/24 dev eth0.100",
                "link set eth0.100 up",
                "route add 10.1.0.0/24 via 192.0.2.1",
            ],
        )
        trunk.near.ip("route add default via 10.1.0.254")
        for length in (28, 84, 1400, 1500):
            trunk.far.ping("192.0.2.1", length=length)
            trunk.far.ping("10.1.0.1", length=length)
            trunk.near.ping("192.0.2.2", length=length)
        trunk.check_counters("port0.100", "eth0.100")
        assert trunk.culvert.drops() == {}, trunk.culvert.drops()
        trunk.far.ip("link add link eth0 name eth0.7 type vlan id 7")
        trunk.far.ip("addr add 198.51.100.2/24 dev eth0.7")
        trunk.far.ip("link set eth0.7 up")
        trunk.far.ping_in_vain("198.51.100.1")
        wait_until(lambda: trunk.culvert.dropped("vlan_unknown") > 0, 5, "frames of VLAN 7 dropped by name")
        # Its last question would be heard by the next case's culvert.
        trunk.far.ip("link del eth0.7")


@case("VLAN link: 802.1Q inside 802.1ad", peer=True)
def stacked():
    with Lab() as lab:
        trunk = Trunk(
            lab,
            """
link set port0 up
link add link port0 name outer type vlan id 7 protocol 802.1ad
link set outer up
link add link outer name inner type vlan id 8
link set inner up
addr add 192.0.2.1/24 dev inner
""",
            [
                "link add link eth0 name outer type vlan id 7 protocol 802.1ad",
                "link set outer up",
                "link add link outer name inner type vlan id 8",
                "addr add 192.0.2.2/24 dev inner",
                "link set inner up",
            ],
        )
        for length in (28, 84, 1400, 1496):
            trunk.far.ping("192.0.2.1", length=length)
        assert trunk.culvert.drops() == {}, trunk.culvert.drops()


@case("VLAN link: the underlay of a gretap, whose frames are bridged", peer=True)
def underlay():
    with Lab() as lab:
        trunk = Trunk(
            lab,
            VLAN
            + """
link add tun type gretap local 192.0.2.1 remote 192.0.2.2
link add br0 type bridge
link set br0 up
link set tun master br0 up
link set port1 master br0 up
""",
            [
                "link add link eth0 name eth0.100 type vlan id 100",
                "addr add 192.0.2.2/24 dev eth0.100",
                "link set eth0.100 up",
            ],
            near="10.42.0.1/24",
        )
        trunk.far.ip("link add tun type gretap local 192.0.2.2 remote 192.0.2.1")
        trunk.far.ip("addr add 10.42.0.2/24 dev tun")
        trunk.far.ip("link set tun up")
        for length in (84, 1400):
            trunk.near.ping("10.42.0.2", length=length)
            trunk.far.ping("10.42.0.1", length=length)
        assert trunk.culvert.drops() == {}, trunk.culvert.drops()


@case("VLAN link: a bridge's member", peer=True)
def bridged():
    with Lab() as lab:
        trunk = Trunk(
            lab,
            """
link set port0 up
link add link port0 name port0.100 type vlan id 100
link add br0 type bridge
link set br0 up
link set port0.100 master br0 up
link set port1 master br0 up
""",
            [
                "link add link eth0 name eth0.100 type vlan id 100",
                "addr add 10.1.0.2/24 dev eth0.100",
                "link set eth0.100 up",
            ],
        )
        for length in (84, 1400):
            trunk.near.ping("10.1.0.2", length=length)
            trunk.far.ping("10.1.0.1", length=length)
        assert trunk.culvert.drops() == {}, trunk.culvert.drops()
