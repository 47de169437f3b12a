# SPDX-License-Identifier: BSD-3-Clause
"""sit between culvert and a Linux kernel: IPv6 in IPv4, and IPv4 beside it in mode any."""

from cases import case
from culvert_lab import Lab
from test_ip6 import must_answer
from test_ip_tunnels import both_ways
from topology import IpTunnel
from wire import IP, Wire

NEAR, NEAR_GATEWAY, FAR = "2001:db8:a::2", "2001:db8:a::1", "2001:db8:f::2"
PROTOCOL_IPV6, ECHO_REQUEST, ECHO_REPLY = 41, 128, 129


class SitTunnel(IpTunnel):
    """Both ends' networks have IPv6, too: near is 2001:db8:a::2, far 2001:db8:f::2."""

    def __init__(self, lab, ours="mode any"):
        super().__init__(lab, "sit", ours)
        self.near.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0)
        self.near.ip(f"-6 addr add {NEAR}/64 dev eth0 nodad")
        self.near.ip(f"-6 route add default via {NEAR_GATEWAY} dev eth0")
        self.culvert.do(f"addr add {NEAR_GATEWAY}/64 dev port1 nodad")

    def make_ours(self, options, ends="local 192.0.2.1 remote 192.0.2.2", via=""):
        super().make_ours(options, ends, via)
        self.culvert.do("-6 route add 2001:db8:f::/64 dev tun")

    def make_theirs(self, options, ends="local 192.0.2.2 remote 192.0.2.1", via=""):
        super().make_theirs(options, ends, via)
        for device in ("all", "default", "lo", "tun"):
            self.far.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 0)
        self.far.ip(f"-6 addr replace {FAR}/128 dev lo nodad")
        self.far.ip(f"-6 route replace 2001:db8:a::/64 dev tun src {FAR}")


def outer_of(frame, kind):
    """What the tunnel decides of an ICMPv6 message's outer header; None for other frames."""
    if IP not in frame or frame[IP].proto != PROTOCOL_IPV6:
        return None
    ip, inner = frame[IP], bytes(frame[IP].payload)
    if inner[6] != 58 or inner[40] != kind:
        return None
    return {"ihl": ip.ihl, "tos": ip.tos, "flags": str(ip.flags), "ttl": ip.ttl, "added": ip.len - len(inner)}


@case("TUN-RX-06 TUN-TX-22 sit: IPv4 in mode any: ping, TCP and counters both ways", peer=True)
def ipv4_both_ways():
    both_ways("sit", "mode any")


@case("TUN-TX-07 TUN-TX-16 sit: IPv6 both ways, under the outer headers that Linux sends", peer=True)
def ipv6_both_ways():
    with Lab() as lab:
        tunnel = SitTunnel(lab)
        for size in (0, 1, 8, 100, 1000, 1232, 1432):
            must_answer(tunnel.near, FAR, "-s", size)
        for options in ("mode ip6ip", "mode any ttl 77", "ttl 9 tos 10", "tos inherit", "nopmtudisc"):
            tunnel.make(options)
            with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:
                # culvert is a router on the request's way to the tunnel; the answer begins at its other end.
                must_answer(tunnel.near, FAR, "-t", 65, "-Q", "0xb8", count=1)
                request = ours.receive(lambda frame: outer_of(frame, ECHO_REQUEST), what="culvert's request")
                reply = theirs.receive(lambda frame: outer_of(frame, ECHO_REPLY), what="Linux's reply")
            sent, answered = outer_of(request, ECHO_REQUEST), outer_of(reply, ECHO_REPLY)
            assert sent == answered, f"sit {options}:\nculvert {sent}\nLinux   {answered}"
        assert set(tunnel.culvert.drops()) <= {"ip6_group_unknown"}, tunnel.culvert.drops()
