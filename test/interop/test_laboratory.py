# SPDX-License-Identifier: BSD-3-Clause
"""Does the laboratory itself work? Two kernels' tunnels, no culvert: when this fails, look at the machine first."""

from cases import case
from culvert_lab import Lab
from topology import FAR_MAC, INNER_MAC
from wire import GRE, ICMP, IP, VXLAN, Ether, Raw, Wire

OUTSIDE = FAR_MAC


@case("the laboratory: two Linux VTEPs ping each other through a switch")
def two_kernels():
    with Lab() as lab:
        switch, a, b = lab.switch(), lab.namespace("a"), lab.namespace("b")
        lab.plug(switch, a, addresses=["192.0.2.1/24"])
        lab.plug(switch, b, addresses=["192.0.2.2/24"])
        a.vxlan("vx42", "id 42 local 192.0.2.1 remote 192.0.2.2 dstport 4789", ["10.42.0.1/24"])
        b.vxlan("vx42", "id 42 local 192.0.2.2 remote 192.0.2.1 dstport 4789", ["10.42.0.2/24"])
        with Wire(b) as wire:
            a.ping("10.42.0.2")
            wire.receive(lambda f: VXLAN in f and ICMP in f, what="ping in VXLAN")



@case("the laboratory: two peers with ipip, gre and gretap ping each other, and a stream arrives whole", peer=True)
def two_peers():
    with Lab() as lab:
        switch, a, b = lab.switch(), lab.peer("a"), lab.peer("b")
        lab.plug(switch, a, addresses=["192.0.2.1/24"])
        lab.plug(switch, b, addresses=["192.0.2.2/24"])
        for number, (kind, options) in enumerate((("ipip", "mode ipip"), ("gre", "key 7 csum seq"), ("gretap", "ttl 9 nopmtudisc"))):
            for host, local, remote in ((a, 1, 2), (b, 2, 1)):
                host.tunnel("tun", kind, f"local 192.0.2.{local} remote 192.0.2.{remote} {options}", [f"10.42.{number}.{local}/24"])
            assert a.ping(f"10.42.{number}.2", length=1400) == {64}
            port = b.receive_stream(f"10.42.{number}.2")
            assert a.send_stream(f"10.42.{number}.2", port, 300000) == b.received(port)
            for host in (a, b):
                host.ip("link del tun")


@case("the laboratory: what a peer sends in ipip, gre and gretap is seen outside, and what is sent from outside reaches it", peer=True)
def one_peer():
    with Lab() as lab:
        switch, peer = lab.switch(), lab.peer("peer")
        wire = lab.plug(switch, peer, addresses=["192.0.2.2/24"])
        peer.ip(f"neigh add 192.0.2.1 lladdr {OUTSIDE} dev eth0")
        mac = peer.mac("eth0")
        inner = IP(src="10.42.0.1", dst="10.42.0.2", ttl=9) / ICMP(id=7, seq=1) / Raw(b"hello")
        layers = {
            "ipip mode ipip": (4, inner),
            "gre ikey 5 okey 6 csum": (47, GRE(proto=0x800, key_present=1, key=5, chksum_present=1) / inner),
            "gretap": (47, GRE(proto=0x6558) / Ether(src=OUTSIDE, dst=INNER_MAC) / inner),
        }
        for options, (protocol, within) in layers.items():
            kind, _, rest = options.partition(" ")
            peer.ip(f"link add tun {'address ' + INNER_MAC if kind == 'gretap' else ''} type {kind} local 192.0.2.2 remote 192.0.2.1 {rest}")
            peer.ip("addr add 10.42.0.2/24 dev tun")
            peer.ip("link set tun up")
            if kind == "gretap":
                peer.ip(f"neigh add 10.42.0.1 lladdr {OUTSIDE} dev tun")
            with Wire(switch, wire) as outside:
                outside.send(Ether(src=OUTSIDE, dst=mac) / IP(src="192.0.2.1", dst="192.0.2.2", proto=protocol) / within)
                frame = outside.receive(lambda f: IP in f and f[IP].proto == protocol and ICMP in f, what=f"answer in {kind}")
                assert (frame[IP].src, frame[IP].dst, frame[IP].flags) == ("192.0.2.2", "192.0.2.1", "DF"), frame.show(dump=True)
                answer = frame[IP].payload.payload if kind == "gre" else frame[IP].payload
                assert bytes(answer[ICMP].payload) == b"hello" and answer[ICMP].type == 0, frame.show(dump=True)
                if kind == "gre":
                    assert (frame[GRE].key, frame[GRE].chksum_present, frame[GRE].proto) == (6, 1, 0x800), frame.show(dump=True)
            peer.ip("link del tun")
