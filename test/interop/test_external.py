# SPDX-License-Identifier: BSD-3-Clause
"""External tunnels between culvert and a Linux kernel: the outer header is what routes say."""

from cases import case
from culvert_lab import Lab, wait_until
from test_ip6 import must_answer
from test_ip6_tunnels import FAR, OURS, THEIRS, Ip6Tunnel, outer_fields
from topology import IpTunnel
from wire import GRE, ICMP, IP, Wire


def both_ways(kind, words, check):
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        tunnel.make_ours("external", ends="", via=f"encap ip id 7 dst 192.0.2.2 {words}")
        tunnel.make_theirs("external", ends="", via=f"encap ip id 7 dst 192.0.2.1 {words}")
        for length in (28, 29, 64, 576, 1400):
            tunnel.ping_both_ways(length=length, count=2)
        with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:
            tunnel.near.ping("10.2.0.2", count=1, ttl=65)
            sent, answered = (
                wire.receive(lambda frame: IP in frame and frame[IP].proto in (4, 47) and ICMP in frame, what="a ping")
                for wire in (ours, theirs)
            )
        fields = [[frame[IP].ttl, frame[IP].tos, str(frame[IP].flags), frame[IP].len] for frame in (sent, answered)]
        assert fields[0] == fields[1], fields
        check(sent, answered)
        assert tunnel.culvert.drops() == {}, tunnel.culvert.drops()


@case("TUN-MD-01 TUN-MD-02 TUN-MD-03 external gre with key and sequence numbers, both ways", peer=True)
def gre():
    def check(*frames):
        for frame in frames:
            assert frame[GRE].key == 7 and frame[GRE].seqnum_present == 1, frame.show(dump=True)

    both_ways("gre", "key seq tos 10 ttl 40", check)


@case("TUN-MD-01 TUN-MD-02 TUN-MD-03 external ipip, both ways", peer=True)
def ipip():
    both_ways("ipip", "", lambda *_: None)


def both_ways6(kind, words, key=""):
    """The same over IPv6: an echo's outer headers are the same of both ends, whatever is inside."""
    with Lab() as lab:
        tunnel = Ip6Tunnel(lab, kind)
        tunnel.make_ours("external", ends="", via=f"encap ip6 id 7 dst {THEIRS} {words}")
        tunnel.make_theirs("external", ends="", via=f"encap ip6 id 7 dst {OURS} {words}")
        tunnel.culvert.do(f"-6 route replace 2001:db8:f::/64 encap ip6 id 7 dst {THEIRS} {words} dev tun")
        tunnel.far.ip(f"-6 route replace 2001:db8:a::/64 encap ip6 id 7 dst {OURS} {words} dev tun src {FAR}")
        for length in (28, 29, 64, 576, 1380):
            tunnel.ping_both_ways(length=length, count=2)
        for size in (0, 100, 1232):
            must_answer(tunnel.near, FAR, "-s", size)
        with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:
            tunnel.near.ping("10.2.0.2", count=1, ttl=65, tos=0xB9)
            sent, answered = (
                outer_fields(wire.receive(lambda frame, echo=echo: (outer_fields(frame, "") or {}).get("echo") == echo, what="an echo"), "")
                for wire, echo in ((ours, 8), (theirs, 0))
            )
        assert {**sent, "echo": None} == {**answered, "echo": None}, f"culvert {sent}\nLinux   {answered}"
        assert sent.get("key", "") == key and "options" not in sent, sent
        wait_until(lambda: set(tunnel.culvert.drops()) <= {"ip6_group_unknown"}, 1, f"no drops: {tunnel.culvert.drops()}")


@case("TUN-MD-01 TUN-MD-02 TUN-MD-03 external ip6tnl, both ways", peer=True)
def ip6tnl():
    both_ways6("ip6tnl", "tc 10 hoplimit 40")


@case("TUN-MD-01 TUN-MD-02 TUN-MD-03 external ip6tnl inherits the inner TTL", peer=True)
def ip6tnl_inherits():
    both_ways6("ip6tnl", "")


@case("TUN-MD-01 TUN-MD-02 TUN-MD-03 external ip6gre with key and sequence numbers, both ways", peer=True)
def ip6gre():
    both_ways6("ip6gre", "key seq tc 12 hoplimit 40", key="00000007")
