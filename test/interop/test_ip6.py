# SPDX-License-Identifier: BSD-3-Clause
"""culvert as an IPv6 router between two Linux hosts: neighbour discovery, detection of duplicates, echo and errors."""

import collections
import re
import socket
import time

from cases import case
from culvert_lab import SLOW, Lab, Port, wait_until
from topology import FAR_MAC, NEAR_MAC
from wire import Wire

NEAR, FAR = "2001:db8:a::2", "2001:db8:b::2"
NEAR_GATEWAY, FAR_GATEWAY = "2001:db8:a::1", "2001:db8:b::1"
SETUP = f"""
addr add {NEAR_GATEWAY}/64 dev port0
addr add {FAR_GATEWAY}/64 dev port1
"""
ICMPV6, SOLICITATION, ADVERTISEMENT = 58, 135, 136


class Discovery:
    """A neighbour solicitation or advertisement in a frame; None if it is something else."""

    @staticmethod
    def of(data):
        if data[12:14] != b"\x86\xdd" or data[20] != ICMPV6 or data[54] not in (SOLICITATION, ADVERTISEMENT):
            return None
        return Discovery(data)

    def __init__(self, data):
        self.type, self.flags, self.hop_limit = data[54], data[58], data[21]
        self.source, self.destination = (socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in (22, 38))
        self.target = socket.inet_ntop(socket.AF_INET6, data[62:78])
        self.option = data[78:86]


def with_ip6(lab, name):
    host = lab.namespace(name)
    for device in ("all", "default"):
        host.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 0)
    # Nothing of the kernel's own accord: no routers asked for, no detection before an address is used.
    host.sysctl("net.ipv6.conf.default.accept_ra", 0)
    host.sysctl("net.ipv6.conf.default.accept_dad", 0)
    return host


def is_settled(culvert):
    return not any(a.get("tentative") for link in culvert.json("-6 addr show") for a in link["addr_info"])


def routed(lab, extra="", near_mtu=1500, far_mtu=1500):
    """near --- port0  culvert  port1 --- far; each host's default route is culvert."""
    near, far = with_ip6(lab, "near"), with_ip6(lab, "far")
    ports = [
        Port(near, addresses=[f"{NEAR}/64"], mtu=near_mtu, mac=NEAR_MAC),
        Port(far, addresses=[f"{FAR}/64"], mtu=far_mtu, mac=FAR_MAC),
    ]
    culvert = lab.culvert(ports, SETUP + extra, link_local=True)
    near.ip(f"-6 route add default via {NEAR_GATEWAY} dev eth0")
    far.ip(f"-6 route add default via {FAR_GATEWAY} dev eth0")
    wait_until(lambda: is_settled(culvert), 10, "the end of duplicate address detection")
    culvert.do("neigh flush dev port0", "neigh flush dev port1")
    return culvert, near, far


def ping(host, target, *words, count=2):
    """ping(8)'s output and whether all was answered."""
    result = host.exec("ping", "-6", "-n", "-c", count, "-i", "0.1", "-W", int(3 * SLOW), *words, target, check=False)
    return result.returncode == 0 and f"{count} received" in result.stdout, result.stdout


def must_answer(host, target, *words, **more):
    good, text = ping(host, target, *words, **more)
    assert good, text


def own_link_local(culvert, device):
    (link,) = culvert.json(f"-6 addr show dev {device}")
    (address,) = [a["local"] for a in link["addr_info"] if a["scope"] == "link"]
    return address


@case("IPv6: echo up to 9000 bytes over 1280, in fragments both ways; groups are reported")
def fragments():
    with Lab() as lab:
        culvert, near, _ = routed(lab, near_mtu=1280, extra="link set port0 mtu 1280\n")
        for size in (0, 1, 1231, 1232, 1233, 1240, 1241, 2472, 4000, 8952):
            must_answer(near, NEAR_GATEWAY, "-s", size)
        must_answer(near, f"{own_link_local(culvert, 'port0')}%eth0", "-s", 4000)
        counted = culvert.json("show snmp")
        # Above 1232 bytes of payload and header: 1233 and more, and the one to the link-local address.
        assert counted["Ip6ReasmOKs"] == counted["Ip6FragOKs"] >= 2 * 6, counted
        assert counted["Ip6ReasmFails"] == 0, counted
        wait_until(culvert.balanced, 5, "the conservation sum")
        with Wire(near) as wire:
            culvert.do("addr add 2001:db8:a::77/64 dev port0 nodad")
            deadline = time.monotonic() + 5 * SLOW
            group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:77")
            while (frame := wire.next_frame(deadline)) is not None:
                # MLDv2: to ff02::16, behind a router alert; the record of the new group alone.
                if bytes(frame)[:6] == b"\x33\x33\0\0\0\x16":
                    data = bytes(frame)
                    assert data[54:62] == b"\x3a\0\5\2\0\0\1\0" and data[62] == 143, data.hex()
                    assert data[70:90] == b"\4\0\0\0" + group, data.hex()
                    break
            else:
                raise AssertionError("no report of the new address's group")


@case("IPv6: closed ports refuse at once, and proxies are answered for")
def closed_ports():
    with Lab() as lab:
        culvert, near, _ = routed(lab)
        for address in (NEAR_GATEWAY, FAR_GATEWAY):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with near.inside():
                    knocker = socket.socket(socket.AF_INET6, kind)
                with knocker:
                    knocker.settimeout(5 * SLOW)
                    try:
                        knocker.connect((address, 81))
                        knocker.send(b"who is there?")
                        knocker.recv(100)
                        raise AssertionError(f"port 81 of {address} is open")
                    except ConnectionRefusedError:
                        pass
        # An address beyond culvert that near believes to be on its own link.
        near.ip("addr add 2001:db8:b::99/64 dev eth0")
        good, _ = ping(near, FAR, "-I", NEAR, count=1)
        assert not good, "answered without a proxy"
        near.ip("neigh flush dev eth0")
        culvert.do(f"neigh add proxy {FAR} dev port0")
        must_answer(near, FAR, "-I", NEAR)


@case("NEI-04 NEI-10 IPv6: ping on the link, link-local, to all nodes, and through culvert")
def echo():
    with Lab() as lab:
        culvert, near, far = routed(lab)
        # Detection of duplicates begins before the hosts have their ends of the taps, and may lose a frame there.
        before = collections.Counter(culvert.drops())
        must_answer(near, NEAR_GATEWAY)
        must_answer(near, f"{own_link_local(culvert, 'port0')}%eth0")
        must_answer(near, "ff02::1%eth0")
        must_answer(near, FAR)
        must_answer(far, NEAR)
        must_answer(near, FAR_GATEWAY)
        for size in (0, 1, 8, 9, 100, 1000, 1231, 1232, 1233, 1451, 1452):
            must_answer(near, FAR, "-s", size)
        (neighbour,) = near.ip_json(f"-6 neigh show to {NEAR_GATEWAY}")
        assert neighbour["lladdr"] == culvert.ports[0].mac and "router" in neighbour, neighbour
        ours = {n["dst"]: n for n in culvert.json("-6 neigh show")}
        assert ours[FAR]["lladdr"] == FAR_MAC, ours
        lost = collections.Counter(culvert.drops()) - before
        assert set(lost) <= {"ip6_group_unknown"}, lost


@case("ICMPv6: hop limit, no route, prohibited, too big, no port")
def errors():
    with Lab() as lab:
        culvert, near, _ = routed(
            lab, "-6 route add prohibit 3fff:2::/32\nlink set port1 mtu 1400\n-6 route add 3fff:3::/32 via fe80::99 dev port1\n"
        )
        must_answer(near, FAR)
        text = ping(near, FAR, "-t", 1, count=1)[1]
        assert re.search(rf"From {NEAR_GATEWAY}.*Time exceeded: Hop limit", text), text
        text = ping(near, "3fff:1::1", count=1)[1]
        assert re.search(rf"From {NEAR_GATEWAY}.*Destination unreachable: No route", text), text
        text = ping(near, "3fff:2::1", count=1)[1]
        assert re.search(rf"From {NEAR_GATEWAY}.*Destination unreachable: Administratively prohibited", text), text
        text = ping(near, "3fff:3::1", "-W", 6, count=1)[1]
        assert re.search(rf"From {NEAR_GATEWAY}.*Destination unreachable: Address unreachable", text), text
        text = ping(near, FAR, "-M", "do", "-s", 1353, count=1)[1]
        assert re.search(rf"From {NEAR_GATEWAY}.*Packet too big: mtu=1400", text), text
        must_answer(near, FAR, "-M", "do", "-s", 1352)
        with near.inside(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
            udp.settimeout(3 * SLOW)
            udp.connect((NEAR_GATEWAY, 33434))
            udp.send(b"anybody?")
            try:
                udp.recv(100)
                raise AssertionError("an answer from a port that nobody has")
            except ConnectionRefusedError:
                pass
        for reason in ("ip6_hop_limit", "ip6_no_route", "ip6_prohibit", "ip6_too_big", "neighbour_failed", "udp_no_port"):
            assert culvert.dropped(reason) >= 1, (reason, culvert.drops())


@case("NEI-01 NEI-02 IPv6: three solicitations, a second apart, for one who does not answer")
def timeline():
    with Lab() as lab:
        culvert, near, far = routed(lab)
        with Wire(far) as wire:
            begin = time.monotonic()
            ping(near, "2001:db8:b::77", "-W", 5, count=1)
            heard = []
            while (data := wire.next_frame(begin + 4.5 * SLOW)) is not None:
                message = Discovery.of(data)
                if message is not None and message.target == "2001:db8:b::77":
                    heard.append((time.monotonic() - begin, message, data))
        assert len(heard) == 3, [m.__dict__ for _, m, _ in heard]
        for _, message, data in heard:
            assert message.destination == "ff02::1:ff00:77" and message.hop_limit == 255, message.__dict__
            assert data[:6] == bytes.fromhex("3333ff000077"), data[:14].hex()
            assert message.source == own_link_local(culvert, "port1"), message.source
            assert message.option == b"\x01\x01" + bytes.fromhex(culvert.ports[1].mac.replace(":", "")), message.option
        state = {n["dst"]: n["state"] for n in culvert.json("-6 neigh show")}
        assert state["2001:db8:b::77"] == ["FAILED"], state


@case("IPv6: a duplicate is found, whoever has the address first")
def duplicates():
    with Lab() as lab:
        culvert, near, _ = routed(lab)
        near.ip("addr add 2001:db8:a::7/64 dev eth0 nodad")

        def ours(address):
            (link,) = culvert.json("-6 addr show dev port0")
            return next(a for a in link["addr_info"] if a["local"] == address)

        culvert.do("addr add 2001:db8:a::7/64 dev port0")
        wait_until(lambda: ours("2001:db8:a::7").get("dadfailed"), 5, "dadfailed")
        assert ours("2001:db8:a::7").get("tentative"), ours("2001:db8:a::7")
        culvert.do("addr add 2001:db8:a::8/64 dev port0")
        wait_until(lambda: not ours("2001:db8:a::8").get("tentative"), 5, "an address that nobody has")
        near.sysctl("net.ipv6.conf.eth0.accept_dad", 1)
        near.ip("addr add 2001:db8:a::8/64 dev eth0")
        wait_until(lambda: "dadfailed" in near.ip("-6 addr show dev eth0").stdout, 5, "the kernel's dadfailed")


@case("NEI-12 IPv6: a neighbour that changes its MAC is followed")
def new_mac():
    with Lab() as lab:
        culvert, near, far = routed(lab)
        must_answer(near, FAR)
        far.ip("link set eth0 address 02:00:00:00:0a:99")
        far.ip(f"-6 route replace default via {FAR_GATEWAY} dev eth0")
        far.ip("-6 neigh flush dev eth0")
        must_answer(far, FAR_GATEWAY)
        wait_until(
            lambda: {n["dst"]: n.get("lladdr") for n in culvert.json("-6 neigh show")}.get(FAR) == "02:00:00:00:0a:99", 5, "the new MAC"
        )
        must_answer(near, FAR)


@case("IPv6: what is shown is what iproute2 shows")
def output():
    with Lab() as lab:
        culvert, _, _ = routed(lab, f"-6 route add default via fe80::1 dev port0\n-6 route add 2001:db8:5::/48 via {NEAR} mtu 1400\n")
        lines = culvert.do("-6 route show").splitlines()
        assert lines == [
            f"2001:db8:5::/48 via {NEAR} dev port0 metric 1024 mtu 1400 pref medium",
            "2001:db8:a::/64 dev port0 proto kernel metric 256 pref medium",
            "2001:db8:b::/64 dev port1 proto kernel metric 256 pref medium",
            "fe80::/64 dev port0 proto kernel metric 256 pref medium",
            "fe80::/64 dev port1 proto kernel metric 256 pref medium",
            "default via fe80::1 dev port0 metric 1024 pref medium",
        ], lines
        got = culvert.do("route get 2001:db8:5::1").splitlines()[0]
        assert got == f"2001:db8:5::1 from :: via {NEAR} dev port0 src {NEAR_GATEWAY} metric 1024 mtu 1400 pref medium", got
        shown = culvert.do("-6 addr show dev port0")
        assert f"    inet6 {NEAR_GATEWAY}/64 scope global \n" in shown, shown
        assert re.search(r"    inet6 fe80::[0-9a-f:]+/64 scope link \n", shown), shown
