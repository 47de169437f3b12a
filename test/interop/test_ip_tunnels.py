# SPDX-License-Identifier: BSD-3-Clause
"""ipip, gre and gretap between culvert and a Linux kernel."""

import re

from cases import case
from culvert_lab import Lab, wait_until
from echo import checksum, error_of
from topology import IpTunnel
from wire import GRE, ICMP, IP, Ether, Wire

KINDS = ("ipip", "gre", "gretap")
PROTOCOLS = {"ipip": 4, "gre": 47, "gretap": 47}
STREAM = 2 << 20


def check_counters(tunnel):
    """What one end sent the other received. A frame's Ethernet header counts where it is received, and not where it is sent."""
    header = 14 if tunnel.bridged else 0

    def mirrored():
        ours, theirs = tunnel.culvert.stats("tun"), tunnel.far.stats("tun")
        return all(
            [rx["packets"], rx["bytes"], rx["errors"]] == [tx["packets"], tx["bytes"] + header * tx["packets"], tx["errors"]]
            for rx, tx in ((ours["rx"], theirs["tx"]), (theirs["rx"], ours["tx"]))
        )

    wait_until(mirrored, 5, f"equal counters: {tunnel.culvert.stats('tun')} and {tunnel.far.stats('tun')}")


def both_ways(kind, options=""):
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind, options)
        for length in (28, 29, 64, 127, 128, 576, 1280, 1400, 1438):
            tunnel.ping_both_ways(length=length, count=2)
        check_counters(tunnel)  # of a stream's segments Linux counts several as one
        for sender, receiver, address in ((tunnel.near, tunnel.far, "10.2.0.2"), (tunnel.far, tunnel.near, "10.1.0.1")):
            port = receiver.receive_stream(address)
            assert sender.send_stream(address, port, STREAM) == receiver.received(port)
        assert tunnel.culvert.drops() == {}, tunnel.culvert.drops()


@case("IPIP-TX-01 IPIP-RX-03 TUN-RX-06 TUN-TX-22 ipip: ping, TCP and counters both ways", peer=True)
def ipip_both_ways():
    both_ways("ipip")


@case("GRE-TX-02 GRE-RX-12 TUN-RX-06 TUN-TX-22 gre: ping, TCP and counters both ways", peer=True)
def gre_both_ways():
    both_ways("gre")


@case("GRETAP-TX-01 GRE-RX-09 TUN-RX-06 TUN-TX-22 gretap: ping, TCP and counters both ways", peer=True)
def gretap_both_ways():
    both_ways("gretap")


def outer_fields(frame):
    """What a tunnel decides of a frame, as text to compare; the checksums must be right."""
    ip = frame[IP]
    again = IP(bytes(ip))
    del again.chksum
    assert IP(bytes(again)).chksum == ip.chksum, f"outer IP checksum\n{frame.show(dump=True)}"
    fields = {"ihl": ip.ihl, "tos": ip.tos, "flags": str(ip.flags), "frag": ip.frag, "ttl": ip.ttl, "proto": ip.proto}
    inner = ip.payload
    if ip.proto == 47:
        gre = ip.payload
        fields |= {name: getattr(gre, name) for name in ("key_present", "seqnum_present", "chksum_present", "routing_present")}
        fields |= {name: getattr(gre, name) for name in ("recursion_control", "flags", "version", "proto", "key")}
        if gre.chksum_present:
            assert checksum(bytes(gre)) == 0, f"GRE checksum\n{frame.show(dump=True)}"
        inner = gre.payload[IP]
    fields["inner"] = (inner.len, inner.tos, inner.ttl, str(inner.flags))
    fields["length"] = ip.len - inner.len
    return fields


def pings_seen(tunnel, **header):
    """A ping from each end, as its tunnel sends it: (culvert's, Linux's) frame."""
    with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:

        def is_request(frame):
            return IP in frame and frame[IP].proto == PROTOCOLS[tunnel.kind] and ICMP in frame and frame[ICMP].type == 8

        # Where culvert routes, it is one router on the way to its tunnel; far's packets begin at theirs.
        hops = {} if tunnel.bridged or "ttl" not in header else {"ttl": header["ttl"] + 1}
        tunnel.near.ping("10.2.0.2", count=1, **{**header, **hops})
        tunnel.far.ping("10.1.0.1", count=1, **header)
        return ours.receive(is_request, what="culvert's ping"), theirs.receive(is_request, what="Linux's ping")


INNER_HEADERS = (
    {"ttl": 9, "tos": 0, "dont_fragment": True},
    {"ttl": 64, "tos": 0x29, "dont_fragment": False},
    {"ttl": 254, "tos": 0xB8 | 2, "dont_fragment": True},
    {"ttl": 33, "tos": 3, "dont_fragment": False},
)


def as_linux_sends(kind, options, mirror=None):
    """culvert's packets and Linux's have the same headers, for each of these options and of the inner headers."""
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        for words in options:
            tunnel.make(words, (mirror or {}).get(words))
            for number, header in enumerate(INNER_HEADERS):
                frames = pings_seen(tunnel, **header)
                if kind == "gre" and frames[0][GRE].seqnum_present:
                    # Each end has sent a request and an answer before; the other's ping came first.
                    seen = [frame[GRE].sequence_number for frame in frames]
                    assert seen == [2 * number, 2 * number + 1], f"{words}, {header}: {seen}"
                ours, theirs = (outer_fields(frame) for frame in frames)
                if "ikey" in words:
                    assert (ours.pop("key"), theirs.pop("key")) == (0x01020304, 5), words
                assert ours == theirs, f"type {kind} {words}, {header}:\nculvert {ours}\nLinux   {theirs}"
        assert tunnel.culvert.drops() == {}, tunnel.culvert.drops()


COMMON = (
    "", "ttl 77", "ttl 255 tos 10", "tos inherit", "tos 1f", "nopmtudisc", "ttl inherit tos inherit nopmtudisc", "dev port0 tos fd",
)
KEYED = (
    "key 7", "key 0", "ikey 5 okey 1.2.3.4", "ocsum icsum", "seq", "key 255.255.255.255 csum seq ttl 3 tos inherit",
    "nopmtudisc ignore-df", "ttl 5 nopmtudisc csum",
)
# What the other end must be told where the two directions differ.
MIRRORED = {"ikey 5 okey 1.2.3.4": "ikey 1.2.3.4 okey 5", "dev port0 tos fd": "dev eth0 tos fd"}


@case("TUN-TX-07 TUN-TX-13 TUN-TX-16 TUN-TX-18 TUN-ECN-05 TUN-ECN-06 ipip: outer headers are Linux's for each option", peer=True)
def ipip_headers():
    as_linux_sends("ipip", ("mode ipip", *COMMON), MIRRORED)


@case("GRE-HDR-02 GRE-HDR-03 GRE-HDR-04 GRE-HDR-05 GRE-TX-05 gre: outer headers are Linux's for each option", peer=True)
def gre_headers():
    as_linux_sends("gre", (*COMMON, *KEYED), MIRRORED)


@case("GRETAP-TX-01 GRE-HDR-05 GRE-TX-05 gretap: outer headers are Linux's for each option", peer=True)
def gretap_headers():
    as_linux_sends("gretap", (*COMMON, *KEYED), MIRRORED)


def errors(stats):
    return {key: stats[key] for key in ("packets", "errors", "crc_errors", "fifo_errors", "frame_errors", "length_errors")}


def refused_in_both(kind, options):
    """With (options, counter): each end sends what the other refuses, and counts as that and as an error."""
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        for words, counter in options:
            tunnel.make(words)
            tunnel.near.ping_in_vain("10.2.0.2")
            tunnel.far.ping_in_vain("10.1.0.1")
            rx = errors(tunnel.far.ip_json("-s -s link show dev tun")[0]["stats64"]["rx"])
            assert rx["errors"] == rx[counter] == 3 and rx["packets"] == 0, f"{words}: {rx}"
            wait_until(lambda: errors(tunnel.culvert.stats("tun")["rx"]) == rx, 5, f"{words}: Linux's counters, {rx}")


@case("TUN-RX-02 TUN-RX-03 GRE-RX-14 gre: a checksum or sequence number too few or too many is refused as Linux does", peer=True)
def gre_policy():
    refused_in_both(
        "gre", (("icsum noocsum", "crc_errors"), ("noicsum ocsum", "crc_errors"), ("iseq nooseq", "fifo_errors"))
    )


def no_tunnel(kind, pairs):
    """What comes for no tunnel is seen by none, at either end; culvert names it."""
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        tunnel.far.ip("addr add 192.0.2.22/24 dev eth0")
        for number, (mine, other, ends) in enumerate(pairs):
            tunnel.make_ours(mine)
            tunnel.make_theirs(other, ends=ends)
            tunnel.near.ping_in_vain("10.2.0.2")
            tunnel.far.ping_in_vain("10.1.0.1")
            wait_until(lambda: tunnel.culvert.dropped("ip_tunnel_no_device") == 3 * number + 3, 5, f"{tunnel.culvert.drops()}")
            for stats in (tunnel.culvert.stats("tun"), tunnel.far.stats("tun")):
                assert (stats["rx"]["packets"], stats["rx"]["errors"], stats["tx"]["packets"]) == (0, 0, 3), f"{mine}, {other}: {stats}"


STRAIGHT = "local 192.0.2.2 remote 192.0.2.1"


@case("GRE-RX-10 TUN-LKP-02 gre: a key that nobody has, none, and one too many find no tunnel at either end", peer=True)
def gre_keys():
    no_tunnel("gre", (("key 7", "key 8", STRAIGHT), ("key 7", "", STRAIGHT), ("", "key 0", STRAIGHT)))


@case("ipip: packets of another source find no tunnel at either end", peer=True)
def ipip_addresses():
    no_tunnel("ipip", (("", "", "local 192.0.2.22 remote 192.0.2.1"),))


def decapsulated(tunnel):
    """Pings with all sixteen pairs of outer and inner ECN into both ends; ({pair: TOS} that culvert's end passed on, Linux's)."""
    far, culvert = tunnel.far.mac("eth0"), tunnel.culvert.ports[0].mac
    pairs = [(outer, inner) for outer in range(4) for inner in range(4)]
    protocol = PROTOCOLS[tunnel.kind]
    header = b"\0\0\x08\0" if tunnel.kind == "gre" else b""

    def frames(source, target, outer_ends, inner_ends):
        for number, (outer, inner) in enumerate(pairs):
            ping = IP(src=inner_ends[0], dst=inner_ends[1], tos=0x40 | inner, ttl=9) / ICMP(id=77, seq=number) / b"ecn"
            ip = IP(src=outer_ends[0], dst=outer_ends[1], tos=0x80 | outer, proto=protocol)
            yield Ether(src=source, dst=target) / ip / (header + bytes(ping))

    def passed_on(wire, kind):
        """One of the pairs is dropped, and there is no waiting for it."""
        seen = {}
        for _ in pairs[1:]:
            frame = wire.receive(lambda f: ICMP in f and f[ICMP].type == kind and f[ICMP].id == 77, what=f"one more than {seen}")
            inner = frame[ICMP].underlayer
            assert checksum(bytes(inner)[:20]) == 0, frame.show(dump=True)
            seen[pairs[frame[ICMP].seq]] = inner.tos
        return seen

    with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.near) as behind, Wire(tunnel.switch, tunnel.wire) as theirs:
        ours.send(*frames(far, culvert, ("192.0.2.2", "192.0.2.1"), ("10.2.0.2", "10.1.0.1")))
        from_culvert = passed_on(behind, 8)
        theirs.send(*frames(culvert, far, ("192.0.2.1", "192.0.2.2"), ("10.1.0.1", "10.2.0.2")))
        return from_culvert, passed_on(theirs, 0)


def ecn(kind):
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        ours, theirs = decapsulated(tunnel)
        assert ours == theirs, f"(outer, inner): TOS delivered\nculvert {ours}\nLinux   {theirs}"
        assert tunnel.culvert.stats("tun")["rx"]["errors"] == tunnel.far.stats("tun")["rx"]["errors"] == 1
        assert tunnel.culvert.stats("tun")["rx"]["frame_errors"] == 1


@case("TUN-ECN-01 TUN-ECN-02 ipip: each pair of outer and inner ECN comes out as it does of Linux", peer=True)
def ipip_ecn():
    ecn("ipip")


@case("TUN-ECN-01 TUN-ECN-02 gre: each pair of outer and inner ECN comes out as it does of Linux", peer=True)
def gre_ecn():
    ecn("gre")


def by_route(kind):
    with Lab() as lab:
        tunnel = IpTunnel(lab, kind)
        tunnel.make_ours("", ends="local 192.0.2.1", via="via 192.0.2.2 onlink")
        tunnel.make_theirs("", ends="local 192.0.2.2", via="via 192.0.2.1 onlink")
        if kind == "gre":  # GRE-TX-03: to Linux the outer destination is a neighbour's link address
            tunnel.far.ip("neigh add 192.0.2.1 lladdr 192.0.2.1 dev tun nud permanent")
        tunnel.ping_both_ways()
        assert tunnel.culvert.drops() == {}, tunnel.culvert.drops()


@case("gre without a remote: the routes' gateways are the outer destinations", peer=True)
def gre_by_route():
    by_route("gre")


@case("TUN-TX-03 ipip without a remote: the routes' gateways are the outer destinations", peer=True)
def ipip_by_route():
    by_route("ipip")


@case("link show and tunnel show say of our tunnels what ip says of Linux's", peer=True)
def shown_alike():
    with Lab() as lab:
        tunnel = IpTunnel(lab, "gre")
        tunnel.far.ip("link del tun")
        tunnel.culvert.do("link del tun")
        made = {}
        for kind, words in [(kind, words) for kind in KINDS for words in COMMON[:-1] + (KEYED if kind != "ipip" else ("mode ipip",))]:
            name = f"tun{len(made)}"
            made[name] = f"type {kind} local 192.0.2.1 remote 192.0.2.{100 + len(made)} {words}"
            tunnel.culvert.do(f"link add {name} {made[name]}")
            tunnel.far.ip(f"link add {name} {made[name]}")
        for show in ("-d link show", "tunnel show"):
            ours, theirs = entries(tunnel.culvert.do(show)), entries(tunnel.far.ip(show).stdout)
            for name, line in made.items():
                assert ours.get(name) == theirs.get(name), f"{line}\n{show}:\n{ours.get(name)}\n{theirs.get(name)}"
            ours, theirs = ({link["ifname"]: link for link in links} for links in (tunnel.culvert.json(show), tunnel.far.ip_json(show)))
            for name, line in made.items():
                ours_too, theirs_too = (in_both(links.get(name)) for links in (ours, theirs))
                assert ours_too == theirs_too, f"{line}\n-j {show}:\n{ours_too}\n{theirs_too}"


def entries(text):
    """By name, and without numbers and addresses that are a machine's own, and what the kernel alone has."""
    text = re.sub(r"^\d+: ", "", text, flags=re.MULTILINE)
    text = re.sub(r" (addrgenmode|numtxqueues) .*", " ", text)
    text = re.sub(r"(minmtu|maxmtu) \d+", r"\1", text)
    text = re.sub(r"qdisc \w+", "qdisc", text)
    text = re.sub(r"link/ether \S+", "link/ether", text)
    return {re.match(r"\w*", entry)[0]: entry.rstrip() for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE)}


def in_both(link):
    """What a link's JSON must have in common; nothing of `tunnel show` is left out."""
    if link is None or "ifindex" not in link:
        return link
    return {key: link.get(key) for key in ("link", "ifname", "flags", "mtu", "link_type", "link_pointtopoint", "linkinfo")}


@case("TUN-PMTU-04 TUN-PMTU-07 TUN-RX-12 packets larger than the underlay takes: told of with DF, in fragments without", peer=True)
def larger_than_the_underlay():
    for kind, overhead in (("ipip", 20), ("gre", 24)):
        with Lab() as lab:
            tunnel = IpTunnel(lab, kind, "nopmtudisc")
            tunnel.culvert.do("link set tun mtu 1500")
            tunnel.far.ip("link set tun mtu 1500")
            for length in (1500 - overhead, 1501 - overhead, 1500):
                tunnel.ping_both_ways(length=length, dont_fragment=False)
            counted = tunnel.culvert.json("show snmp")
            assert counted["IpFragOKs"] == 2 * 6, counted
            assert counted["IpReasmOKs"] > 0 and counted["IpReasmFails"] == 0, counted
            assert tunnel.culvert.drops() == {}, tunnel.culvert.drops()
            # The inner DF is the outer one's, too.
            assert error_of(tunnel.near, "10.2.0.2", length=1472) == ("EMSGSIZE", 1500 - overhead)
            assert tunnel.culvert.drops() == {"ip_tunnel_too_big": 1}, tunnel.culvert.drops()
