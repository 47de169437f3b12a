# SPDX-License-Identifier: BSD-3-Clause
"""culvert as a router with two Linux routers behind it: flows spread over both, and gateways of the other family."""

from cases import case
from culvert_lab import Lab, Port, wait_until
from test_ip6 import is_settled, with_ip6
from topology import FAR_MAC, NEAR_MAC

OTHER_MAC = "02:00:00:00:0a:03"
SETUP = """
addr add 10.0.0.1/24 dev port0
addr add 10.1.0.1/24 dev port1
addr add 10.2.0.1/24 dev port2
addr add 2001:db8:a::1/64 dev port0 nodad
addr add 2001:db8:1::1/64 dev port1 nodad
addr add 2001:db8:2::1/64 dev port2 nodad
"""
FLOWS = 60


def forked(lab, extra=""):
    """near --- port0  culvert  port1 --- one, port2 --- other: both have 198.18.0.0/24 and 2001:db8:f::/64 as their own."""
    near, one, other = with_ip6(lab, "near"), with_ip6(lab, "one"), with_ip6(lab, "other")
    ports = [
        Port(near, addresses=["10.0.0.2/24", "2001:db8:a::2/64"], mac=NEAR_MAC),
        Port(one, addresses=["10.1.0.2/24", "2001:db8:1::2/64"], mac=FAR_MAC),
        Port(other, addresses=["10.2.0.2/24", "2001:db8:2::2/64"], mac=OTHER_MAC),
    ]
    culvert = lab.culvert(ports, SETUP + extra, link_local=True)
    near.ip("route add default via 10.0.0.1 dev eth0")
    near.ip("-6 route add default via 2001:db8:a::1 dev eth0")
    for number, host in enumerate((one, other), 1):
        host.ip("link set lo up")
        host.ip("route add local 198.18.0.0/24 dev lo")
        host.ip("-6 route add local 2001:db8:f::/64 dev lo")
        host.ip(f"route add 10.0.0.0/24 via 10.{number}.0.1")
        host.ip(f"-6 route add 2001:db8:a::/64 via 2001:db8:{number}::1")
    wait_until(lambda: is_settled(culvert), 10, "the end of duplicate address detection")
    return culvert, near, one, other


def answered(near, targets):
    """How many of the targets answer one echo request."""
    return sum(near.exec("ping", "-n", "-c", 1, "-W", 3, target, check=False).returncode == 0 for target in targets)


def taken(culvert, action):
    """Packets that leave by port1 and port2 while the action goes on."""
    before = [culvert.stats(port)["tx"]["packets"] for port in ("port1", "port2")]
    action()
    after = [culvert.stats(port)["tx"]["packets"] for port in ("port1", "port2")]
    return [late - early for early, late in zip(before, after)]


def targets(is_ip6, first=1):
    return [f"2001:db8:f::{n:x}" if is_ip6 else f"198.18.0.{n}" for n in range(first, first + FLOWS)]


def must_all_answer(near, flows):
    count = answered(near, flows)
    assert count == len(flows), f"{count} of {len(flows)} answered"


@case("multipath: flows to 60 hosts spread by weight over two routers, and over one when the other's link is down")
def spread():
    with Lab() as lab:
        culvert, near, _, _ = forked(
            lab,
            "route add 198.18.0.0/24 nexthop via 10.1.0.2 weight 3 nexthop via 10.2.0.2\n"
            "-6 route add 2001:db8:f::/64 nexthop via 2001:db8:1::2 nexthop via 2001:db8:2::2\n",
        )
        for is_ip6 in (False, True):
            flows = targets(is_ip6)
            must_all_answer(near, flows[:2])  # the neighbours are known from now on
            one, other = taken(culvert, lambda flows=flows: must_all_answer(near, flows))
            # 45 and 15, 30 and 30: what is left to chance is less than this.
            assert other >= 4 and one >= (30 if not is_ip6 else 12), (is_ip6, one, other)
            again = taken(culvert, lambda flows=flows: must_all_answer(near, flows))
            assert abs(again[0] - one) <= 4, (one, other, again)  # a few are neighbours' probes
        culvert.do("link set port2 down")
        for is_ip6 in (False, True):
            flows = targets(is_ip6, 100)
            must_all_answer(near, flows)
        assert "dead" in str(culvert.json("route show 198.18.0.0/24"))


@case("IPO-F2-05 an IPv4 route by an IPv6 gateway, as RFC 8950 has it: ping through culvert")
def other_family():
    with Lab() as lab:
        culvert, near, one, _ = forked(lab, "route add 198.18.0.0/24 via inet6 2001:db8:1::2 dev port1\n")
        must_all_answer(near, targets(False)[:5])
        gateways = {n["dst"]: n.get("lladdr") for n in culvert.json("-6 neigh show dev port1")}
        assert gateways.get("2001:db8:1::2") == one.mac("eth0"), gateways
