# SPDX-License-Identifier: BSD-3-Clause
"""External tunnels between culvert and a Linux kernel: the outer header is what routes say."""

from cases import case
from culvert_lab import Lab
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
