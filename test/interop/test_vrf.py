# SPDX-License-Identifier: BSD-3-Clause
"""Two VRFs of culvert's with the same addresses everywhere: Linux hosts and routers beyond each, which know nothing of each other."""

from cases import case
from culvert_lab import Lab, Port, wait_until
from test_ip6 import is_settled, with_ip6

MACS = ["02:00:00:00:0b:01", "02:00:00:00:0b:02", "02:00:00:00:0b:03", "02:00:00:00:0b:04"]
SETUP = """
link add red type vrf table 10
link add blue type vrf table 20
link set red up
link set blue up
link set port0 master red
link set port1 master red
link set port2 master blue
link set port3 master blue
addr add 10.0.0.1/24 dev port0
addr add 10.1.0.1/24 dev port1
addr add 10.0.0.1/24 dev port2
addr add 10.1.0.1/24 dev port3
addr add 2001:db8:a::1/64 dev port0 nodad
addr add 2001:db8:1::1/64 dev port1 nodad
addr add 2001:db8:a::1/64 dev port2 nodad
addr add 2001:db8:1::1/64 dev port3 nodad
route add 198.18.0.0/24 via 10.1.0.2 vrf red
route add 198.18.0.0/24 via 10.1.0.2 vrf blue
-6 route add 2001:db8:f::/64 via 2001:db8:1::2 table 10
-6 route add 2001:db8:f::/64 via 2001:db8:1::2 table 20
"""


def overlapping(lab, extra=""):
    """rednear --- port0 (red) port1 --- redfar, bluenear --- port2 (blue) port3 --- bluefar; both pairs are alike."""
    hosts = [with_ip6(lab, name) for name in ("rednear", "redfar", "bluenear", "bluefar")]
    ports = []
    for number, host in enumerate(hosts):
        addresses = ["10.1.0.2/24", "2001:db8:1::2/64"] if number % 2 else ["10.0.0.2/24", "2001:db8:a::2/64"]
        ports.append(Port(host, addresses=addresses, mac=MACS[number]))
    culvert = lab.culvert(ports, SETUP + extra, link_local=True)
    for number, host in enumerate(hosts):
        here, there = (("10.1.0.1", "2001:db8:1::1"), ("10.0.0.1", "2001:db8:a::1"))[:: 1 if number % 2 else -1]
        host.ip("link set lo up")
        host.ip(f"route add default via {here[0]} dev eth0")
        host.ip(f"-6 route add default via {here[1]} dev eth0")
        if number % 2:
            host.ip("addr add 198.18.0.1/32 dev lo")
            host.ip("-6 addr add 2001:db8:f::1/128 dev lo")
    wait_until(lambda: is_settled(culvert), 10, "the end of duplicate address detection")
    return culvert, hosts


def sent(culvert):
    return [culvert.stats(f"port{number}")["tx"]["packets"] for number in range(4)]


@case("two VRFs with the same addresses: hosts, routers, echo and errors of each stay within it, both families")
def forwarding():
    with Lab() as lab:
        culvert, (rednear, redfar, bluenear, bluefar) = overlapping(lab)
        for near in (rednear, bluenear):
            for target in ("10.0.0.1", "10.1.0.2", "198.18.0.1", "2001:db8:a::1", "2001:db8:1::2", "2001:db8:f::1"):
                near.exec("ping", "-n", "-c", 2, "-W", 5, target)
        before = sent(culvert)
        rednear.exec("ping", "-n", "-c", 10, "-i", "0.05", "-W", 5, "198.18.0.1")
        taken = [late - early for early, late in zip(before, sent(culvert))]
        assert taken[0] >= 10 and taken[1] >= 10 and max(taken[2:]) < 10, taken
        # Red's router goes; blue's does not care, and red's hosts hear of it in red.
        culvert.do("route del 198.18.0.0/24 vrf red")
        bluenear.exec("ping", "-n", "-c", 1, "-W", 5, "198.18.0.1")
        refused = rednear.exec("ping", "-n", "-c", 1, "-W", 2, "198.18.0.1", check=False)
        assert "Net Unreachable" in refused.stdout, refused.stdout
        assert culvert.dropped("ip4_no_route") >= 1
        # 9000 bytes for our own address come in fragments, and so does the answer.
        for near in (rednear, bluenear):
            near.exec("ping", "-n", "-c", 1, "-W", 5, "-s", 9000, "10.0.0.1")
        assert [n["dst"] for n in culvert.json("-4 neigh show vrf blue")] == ["10.0.0.2", "10.1.0.2"]


@case("VXLAN-SOCK-02 overlapping tunnels in two VRFs: one VNI and one pair of addresses, a Linux VTEP in each")
def tunnels():
    with Lab() as lab:
        rooms = "link add redin type vrf table 11\nlink add bluein type vrf table 21\nlink set redin up\nlink set bluein up\n"
        extra = "".join(
            f"""
link add vx{name} type vxlan id 42 dstport 4789 local 10.0.0.1 remote 10.0.0.2 dev {port}
addr add 10.42.0.1/24 dev vx{name}
link set vx{name} master {name}in up
"""
            for name, port in (("red", "port0"), ("blue", "port2"))
        )
        culvert, (rednear, _, bluenear, _) = overlapping(lab, rooms + extra)
        for near in (rednear, bluenear):
            near.vxlan("vx42", "id 42 dstport 4789 local 10.0.0.2 remote 10.0.0.1", ["10.42.0.2/24"])
        for near, name in ((rednear, "red"), (bluenear, "blue")):
            before = culvert.stats(f"vx{name}")["rx"]["packets"]
            near.ping("10.42.0.1", count=20)
            assert culvert.stats(f"vx{name}")["rx"]["packets"] >= before + 20
        # The underlay leaves its VRF and comes back: the tunnel goes with it (test_vxlan_under_vrf.sh).
        culvert.do("link set port0 nomaster")
        rednear.ping("10.42.0.1")
        culvert.do("link set port0 master red")
        rednear.ping("10.42.0.1")
        bluenear.ping("10.42.0.1")
