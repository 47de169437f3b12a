# SPDX-License-Identifier: BSD-3-Clause
"""ip6tnl, ip6gre and ip6gretap between culvert and a Linux kernel: tunnels with IPv6 underneath."""

from cases import case
from culvert_lab import Lab, wait_until
from echo import checksum
from test_ip6 import must_answer
from topology import IpTunnel
from wire import Wire

OURS, THEIRS = "2001:db8:9::1", "2001:db8:9::2"
NEAR, NEAR_GATEWAY, FAR = "2001:db8:a::2", "2001:db8:a::1", "2001:db8:f::2"
IPV4, IPV6, GRE, DESTINATION_OPTIONS = 4, 41, 47, 60
STREAM = 1 << 20


def enable(host, *devices):
    for device in devices:
        host.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 0)


class Ip6Tunnel(IpTunnel):
    """An IpTunnel between 2001:db8:9::1 and ::2. A routed one has IPv6 behind both its ends, too."""

    def __init__(self, lab, kind, ours="", theirs=None):
        self.has_underlay = False
        super().__init__(lab, kind, ours, theirs)

    def make_underlay(self):
        if self.has_underlay:
            return
        self.has_underlay = True
        enable(self.far, "all", "default", "lo", "eth0")
        self.far.ip(f"-6 addr add {THEIRS}/64 dev eth0 nodad")
        self.culvert.do(f"addr add {OURS}/64 dev port0 nodad")
        if self.bridged:
            self.near.ip("link set eth0 mtu 1400")  # no one cuts IPv6's outer packets
            return
        enable(self.near, "eth0")
        self.near.ip(f"-6 addr add {NEAR}/64 dev eth0 nodad")
        self.near.ip(f"-6 route add default via {NEAR_GATEWAY} dev eth0")
        self.culvert.do(f"addr add {NEAR_GATEWAY}/64 dev port1 nodad")

    def make_ours(self, options, ends=f"local {OURS} remote {THEIRS}", via=""):
        self.make_underlay()
        super().make_ours(options, ends, via)
        if not self.bridged:
            self.culvert.do("-6 route add 2001:db8:f::/64 dev tun")

    def make_theirs(self, options, ends=f"local {THEIRS} remote {OURS}", via=""):
        super().make_theirs(options, ends, via)
        if not self.bridged:
            enable(self.far, "tun")
            self.far.ip(f"-6 addr replace {FAR}/128 dev lo nodad")
            self.far.ip(f"-6 route replace 2001:db8:a::/64 dev tun src {FAR}")

    def check_counters(self):
        """What one end sent the other received."""

        def mirrored():
            ours, theirs = self.culvert.stats("tun"), self.far.stats("tun")
            return all(
                [rx["packets"], rx["bytes"], rx["errors"]] == [tx["packets"], tx["bytes"], tx["errors"]]
                for rx, tx in ((ours["rx"], theirs["tx"]), (theirs["rx"], ours["tx"]))
            )

        wait_until(mirrored, 5, f"equal counters: {self.culvert.stats('tun')} and {self.far.stats('tun')}")


def both_ways(kind, options=""):
    with Lab() as lab:
        tunnel = Ip6Tunnel(lab, kind, options)
        for length in (28, 29, 64, 127, 128, 576, 1280, 1400):
            tunnel.ping_both_ways(length=length, count=2)
        if not tunnel.bridged:
            for size in (0, 1, 8, 100, 1000, 1232, 1380):
                must_answer(tunnel.near, FAR, "-s", size)
            tunnel.check_counters()
        for sender, receiver, address in ((tunnel.near, tunnel.far, "10.2.0.2"), (tunnel.far, tunnel.near, "10.1.0.1")):
            port = receiver.receive_stream(address)
            assert sender.send_stream(address, port, STREAM) == receiver.received(port)
        assert set(tunnel.culvert.drops()) <= {"ip6_group_unknown"}, tunnel.culvert.drops()


@case("TUN-RX-06 TUN-TX-22 ip6tnl: ping by IPv4 and IPv6, TCP and counters both ways", peer=True)
def ip6tnl_both_ways():
    both_ways("ip6tnl")


@case("TUN-RX-06 TUN-TX-22 ip6gre: ping by IPv4 and IPv6, TCP and counters both ways", peer=True)
def ip6gre_both_ways():
    both_ways("ip6gre", "key 7 csum")


@case("TUN-RX-06 TUN-TX-22 ip6gretap: ping and TCP both ways", peer=True)
def ip6gretap_both_ways():
    both_ways("ip6gretap")


def outer_fields(frame, options):
    """What a tunnel decides of a frame over IPv6, and of a GRE header in it; None for what is not its packet."""
    data = bytes(frame)
    if data[12:14] != b"\x86\xdd":
        return None
    ip, at = data[14:54], 54
    protocol, fields = ip[6], {"class": (ip[0] & 15) << 4 | ip[1] >> 4, "hoplimit": ip[7]}
    label = int.from_bytes(ip[:4], "big") & 0xFFFFF
    # Of its own accord each end makes it of the flow, and of nothing that the other knows.
    fields["label"] = label if "flowlabel" in options and "flowlabel inherit" not in options else "own"
    if protocol == DESTINATION_OPTIONS:
        fields["options"] = data[at + 1 : at + 8].hex()
        protocol, at = data[at], at + 8
    fields["protocol"] = protocol
    if protocol == GRE:
        flags = int.from_bytes(data[at : at + 2], "big")
        length = 4 + 4 * sum(flags >> bit & 1 for bit in (15, 13, 12))
        end = 54 + int.from_bytes(ip[4:6], "big")
        if flags & 0x8000:
            assert checksum(data[at:end]) == 0, "GRE checksum"
        key = data[at + 4 + (4 if flags & 0x8000 else 0) :][:4].hex() if flags & 0x2000 else ""
        fields |= {"flags": flags, "type": data[at + 2 : at + 4].hex(), "key": key}
        at += length
        if fields["type"] == "6558":
            at += 14
    elif protocol not in (IPV4, IPV6):
        return None
    inner = data[at:]
    fields["inner"] = inner[0] >> 4
    if inner[0] >> 4 == 4:
        fields["echo"] = inner[20] if inner[9] == 1 else None
        fields["tos"] = inner[1]
    else:
        fields["echo"] = inner[40] if inner[6] == 58 else None
    return fields


def as_linux_sends(kind, options):
    """The answers of one end and the requests of the other have the same headers, for each of these options."""
    with Lab() as lab:
        tunnel = Ip6Tunnel(lab, kind)
        for words in options:
            tunnel.make(words)
            for tos in (0, 0xB8, 0xB9, 0xBB):
                with Wire(tunnel.switch, "trunk") as ours, Wire(tunnel.switch, tunnel.wire) as theirs:
                    # culvert is a router on the request's way to the tunnel; the answer begins at its other end.
                    tunnel.near.ping("10.2.0.2", count=1, ttl=64 if tunnel.bridged else 65, tos=tos)

                    def is_echo(number):
                        return lambda frame: (outer_fields(frame, words) or {}).get("echo") == number

                    sent = outer_fields(ours.receive(is_echo(8), what="culvert's request"), words)
                    answered = outer_fields(theirs.receive(is_echo(0), what="Linux's reply"), words)
                del sent["echo"], answered["echo"]
                assert sent == answered, f"type {kind} {words}, TOS {tos:#x}:\nculvert {sent}\nLinux   {answered}"
        # Between the making of one end and of the other Linux's old one may still have something to say.
        assert set(tunnel.culvert.drops()) <= {"ip6_group_unknown", "ip_tunnel_no_device"}, tunnel.culvert.drops()


COMMON = (
    "", "hoplimit 9", "hoplimit 9 tclass b8", "tclass inherit", "encaplimit none", "encaplimit 0 flowlabel 12345",
    "flowlabel inherit encaplimit 255", "hoplimit inherit tclass inherit",
)


@case("TUN-TX-07 TUN-TX-16 TUN-ECN-05 ip6tnl: outer headers are Linux's for each option", peer=True)
def ip6tnl_headers():
    as_linux_sends("ip6tnl", COMMON + ("mode ipip6", "mode any tclass ff"))


@case("TUN-TX-07 TUN-TX-16 GRE-HDR-03 ip6gre: outer headers are Linux's for each option", peer=True)
def ip6gre_headers():
    as_linux_sends("ip6gre", COMMON + ("key 7", "key 0", "csum", "seq", "key 1.2.3.4 csum seq encaplimit none"))


@case("TUN-TX-07 TUN-TX-16 GRE-HDR-03 ip6gretap: outer headers are Linux's for each option", peer=True)
def ip6gretap_headers():
    as_linux_sends("ip6gretap", COMMON + ("key 7 csum",))


@case("TUN-PMTU-04 TUN-PMTU-05 ip6tnl: senders behind the tunnel hear what fits, by IPv4 and IPv6", peer=True)
def ip6tnl_mtu():
    with Lab() as lab:
        tunnel = Ip6Tunnel(lab, "ip6tnl")
        tunnel.culvert.do("link set tun mtu 1500")  # the device lets pass what the path does not
        for family, target, least in (("-4", "10.2.0.2", 28), ("-6", FAR, 48)):
            for length in (1500, 1452):
                words = ("ping", family, "-n", "-c", 2, "-i", "0.1", "-W", 2, "-M", "do", "-s", length - least, target)
                result = tunnel.near.exec(*words, check=False)
                is_told = "mtu" in result.stdout.lower() and "1452" in result.stdout
                assert is_told if length == 1500 else "2 received" in result.stdout, (words, result.stdout)
        assert tunnel.culvert.drops()["ip_tunnel6_too_big"] >= 2, tunnel.culvert.drops()


@case("UI-TUN-02 -6 tunnel: Linux shows the same of the same words", peer=True)
def old_words():
    words = {
        "l1": f"local {OURS} remote 2001:db8:9::6",
        "l2": f"mode ipip6 local {OURS} remote 2001:db8:9::7 ttl 9 tclass 2c flowlabel 12345 encaplimit 7",
        "l3": f"mode any local {OURS} remote 2001:db8:9::8 encaplimit none tclass inherit flowlabel inherit dscp inherit",
        "l4": f"mode ip6gre local {OURS} remote 2001:db8:9::9 key 5 csum iseq",
        "l5": f"mode ip6gre local {OURS} remote 2001:db8:9::a ikey 5 okey 1.2.3.4",
    }
    with Lab() as lab:
        tunnel = Ip6Tunnel(lab, "ip6tnl")
        for name, options in words.items():
            tunnel.culvert.do(f"-6 tunnel add {name} {options}")
            tunnel.far.ip(f"-6 tunnel add {name} {options}")
            ours = tunnel.culvert.do(f"-6 tunnel show {name}").strip()
            theirs = tunnel.far.ip(f"-6 tunnel show {name}").stdout.strip()
            assert ours == theirs, f"culvert {ours}\nLinux   {theirs}"
