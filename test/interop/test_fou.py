# SPDX-License-Identifier: BSD-3-Clause
"""Tunnels in UDP between culvert and a Linux kernel: FOU and GUE."""

from cases import case
from culvert_lab import Lab
from test_ip6_tunnels import Ip6Tunnel
from topology import IpTunnel
from wire import IP, Wire

PORT, UDP, STREAM = 5555, 17, 1 << 20
PROTOCOLS = {"ipip": 4, "gre": 47, "gretap": 47}


def open_port(tunnel, encap):
    words = "gue" if encap == "gue" else f"ipproto {PROTOCOLS[tunnel.kind]}"
    tunnel.culvert.do(f"fou add port {PORT} {words}")
    tunnel.far.ip(f"fou add port {PORT} {words}")


def outer_of(frame):
    """What the tunnel decides of a UDP packet with an echo in it; None for other frames."""
    if IP not in frame or frame[IP].proto != UDP or frame[IP].len < 120:
        return None
    ip, udp = frame[IP], bytes(frame[IP].payload)
    return {
        "tos": ip.tos, "flags": str(ip.flags), "ttl": ip.ttl, "length": ip.len, "dport": udp[2:4], "udp length": udp[4:6],
        "has checksum": udp[6:8] != b"\0\0", "behind UDP": udp[8:12],
    }  # fmt: skip


def everything(tunnel):
    for length in (28, 29, 64, 576, 1280, 1400):
        tunnel.ping_both_ways(length=length, count=2)
    for sender, receiver, address in ((tunnel.near, tunnel.far, "10.2.0.2"), (tunnel.far, tunnel.near, "10.1.0.1")):
        port = receiver.receive_stream(address)
        assert sender.send_stream(address, port, STREAM) == receiver.received(port)
    assert tunnel.culvert.drops() == {}, tunnel.culvert.drops()


def compare(tunnel, encap, options):
    """A request's headers as culvert writes them, the answer's as Linux does: the same but for what routing takes from a TTL."""
    with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:
        tunnel.near.ping("10.2.0.2", count=1, length=100, ttl=64 if tunnel.bridged else 65)
        sent = outer_of(ours.receive(outer_of, what="culvert's request"))
        answered = outer_of(theirs.receive(outer_of, what="Linux's reply"))
    if encap == "fou" and tunnel.kind == "ipip":
        del sent["behind UDP"], answered["behind UDP"]  # the inner IP header
    assert sent == answered, f"{tunnel.kind} {options}:\nculvert {sent}\nLinux   {answered}"


def both_ways(kind, encap, *more):
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        open_port(tunnel, encap)
        for words in more:
            options = f"{words} encap {encap} encap-dport {PORT}"
            tunnel.make(options)
            compare(tunnel, encap, options)
        everything(tunnel)


@case("FOU-02 FOU-04 ipip in fou: both ways, under the headers that Linux sends", peer=True)
def ipip_in_fou():
    both_ways("ipip", "fou", "encap-csum", "ttl 9 tos 10 encap-sport 777")


@case("FOU-03 FOU-04 ipip in gue: both ways, under the headers that Linux sends", peer=True)
def ipip_in_gue():
    both_ways("ipip", "gue", "encap-sport 777", "encap-csum encap-remcsum")


@case("FOU-02 FOU-04 gre in fou: both ways, under the headers that Linux sends", peer=True)
def gre_in_fou():
    both_ways("gre", "fou", "key 7 seq csum", "encap-csum")


@case("FOU-03 FOU-05 gre in gue: both ways, under the headers that Linux sends", peer=True)
def gre_in_gue():
    both_ways("gre", "gue", "key 7 csum encap-csum", "key 9 ttl 40 tos 10 encap-csum encap-remcsum")


@case("FOU-03 FOU-04 gretap in gue: both ways, under the headers that Linux sends", peer=True)
def gretap_in_gue():
    both_ways("gretap", "gue", "", "encap-csum key 4")


IN_IPV6 = {"ip6tnl": 4, "ip6gre": 47, "ip6gretap": 47}
OPTIONS = 60


def outer6_of(frame):
    """The same of a packet over IPv6."""
    data = bytes(frame)
    if data[12:14] != b"\x86\xdd" or int.from_bytes(data[18:20], "big") < 100:
        return None
    at, protocol, limit = 54, data[20], ""
    if protocol == OPTIONS:
        at, protocol, limit = 62, data[54], data[55:62].hex()
    if protocol != UDP:
        return None
    udp = data[at:]
    return {
        "class": (data[14] & 15) << 4 | data[15] >> 4, "hoplimit": data[21], "length": data[18:20], "limit": limit, "dport": udp[2:4],
        "udp length": udp[4:6], "has checksum": udp[6:8] != b"\0\0", "behind UDP": udp[8:12],
    }  # fmt: skip


def both_ways6(kind, encap, *more):
    """Ports are open at both ends, of FOU with IPv4 inside."""
    with Lab() as lab:
        tunnel = Ip6Tunnel(lab, kind)
        words = "gue" if encap == "gue" else f"ipproto {IN_IPV6[kind]}"
        tunnel.culvert.do(f"-6 fou add port {PORT} {words}")
        tunnel.far.ip(f"-6 fou add port {PORT} {words}")
        for options in more:
            options = f"{options} encap {encap} encap-dport {PORT}"
            tunnel.make(options)
            with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:
                tunnel.near.ping("10.2.0.2", count=1, length=100, ttl=64 if tunnel.bridged else 65)
                sent = outer6_of(ours.receive(outer6_of, what="culvert's request"))
                answered = outer6_of(theirs.receive(outer6_of, what="Linux's reply"))
            if encap == "fou" and kind == "ip6tnl":
                del sent["behind UDP"], answered["behind UDP"]
            assert sent == answered, f"{kind} {options}:\nculvert {sent}\nLinux   {answered}"
        for length in (28, 29, 64, 576, 1280):
            tunnel.ping_both_ways(length=length, count=2)
        for sender, receiver, address in ((tunnel.near, tunnel.far, "10.2.0.2"), (tunnel.far, tunnel.near, "10.1.0.1")):
            port = receiver.receive_stream(address)
            assert sender.send_stream(address, port, STREAM) == receiver.received(port)
        # Linux's own IPv6 speaks up in a tunnel that is made anew before the other end is.
        assert set(tunnel.culvert.drops()) <= {"ip6_group_unknown", "ip_tunnel_no_device"}, tunnel.culvert.drops()


@case("FOU-02 FOU-04 ip6tnl in fou: both ways, under the headers that Linux sends", peer=True)
def ip6tnl_in_fou():
    both_ways6("ip6tnl", "fou", "mode ipip6", "mode ipip6 noencap-udp6-csum encaplimit none hoplimit 9 tclass 10 encap-sport 777")


@case("FOU-03 FOU-05 ip6tnl in gue: both ways, under the headers that Linux sends", peer=True)
def ip6tnl_in_gue():
    both_ways6("ip6tnl", "gue", "noencap-udp6-csum", "encap-sport 777 encap-remcsum")


@case("FOU-02 FOU-04 ip6gre in fou: both ways, under the headers that Linux sends", peer=True)
def ip6gre_in_fou():
    both_ways6("ip6gre", "fou", "key 7 seq csum", "encaplimit none noencap-udp6-csum")


@case("FOU-03 FOU-05 ip6gretap in gue: both ways, under the headers that Linux sends", peer=True)
def ip6gretap_in_gue():
    both_ways6("ip6gretap", "gue", "key 4 csum", "noencap-udp6-csum encaplimit none")
