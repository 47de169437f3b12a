# SPDX-License-Identifier: BSD-3-Clause
"""A tap into the kernel beside culvert: what culvert does not answer itself is the host's."""

import socket

from cases import case
from culvert_lab import SLOW, Lab, Port, wait_until
from test_ip6 import is_settled, with_ip6
from topology import FAR_MAC, UNDERLAY

STREAM = 1 << 20


def stream_both_ways(launch=()):
    with Lab() as lab:
        far = lab.namespace("far")
        culvert = lab.culvert([Port(far, addresses=["192.0.2.2/24"], mac=FAR_MAC)], UNDERLAY, launch=launch)
        far.ping("192.0.2.1")
        errno, _ = culvert.refused("link set port0 host tap a/b")
        assert errno == "EINVAL", errno
        culvert.do("link set port0 host tap host0")
        assert culvert.json("-d link show port0")[0]["host_tap"] == "host0"
        culvert.home.ip("addr add 192.0.2.1/24 dev host0")
        for sender, receiver, address in ((far, culvert.home, "192.0.2.1"), (culvert.home, far, "192.0.2.2")):
            port = receiver.receive_stream(address)
            assert sender.send_stream(address, port, STREAM) == receiver.received(port)
        far.ping("192.0.2.1")
        culvert.home.ping("192.0.2.2")
        wait_until(culvert.balanced, 5, "the conservation sum")
        culvert.do("link set port0 nohost")
        assert "host0" not in culvert.home.ip("link show").stdout, "the tap went"
        far.ping("192.0.2.1")


@case("host tap: TCP both ways between a peer behind the port and the host, beside culvert's own answers")
def tcp():
    stream_both_ways()


def heard(host, address, group, send):
    """What a UDP socket of `host` that is in `group` hears of what `send` sends to its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.inside():
        listener = socket.socket(family, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"host0")
    with listener:
        if group and family == socket.AF_INET:
            member = socket.inet_aton(group) + socket.inet_aton("192.0.2.1")
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        listener.bind((address, 0))
        listener.settimeout(5 * SLOW)
        send(listener.getsockname()[1])
        return listener.recvfrom(2000)[0]


@case("host tap: TCP over IPv6, fragments, broadcasts and groups reach the host")
def everything_else():
    with Lab() as lab:
        far = with_ip6(lab, "far")
        culvert = lab.culvert(
            [Port(far, addresses=["192.0.2.2/24", "2001:db8::2/64"], mac=FAR_MAC)],
            UNDERLAY + "addr add 2001:db8::1/64 dev port0\n",
            link_local=True,
        )
        wait_until(lambda: is_settled(culvert), 10, "the end of duplicate address detection")
        culvert.home.sysctl("net.ipv6.conf.default.disable_ipv6", 0)
        culvert.home.sysctl("net.ipv6.conf.default.accept_dad", 0)
        culvert.do("link set port0 host tap host0")
        culvert.home.ip("addr add 192.0.2.1/24 dev host0")
        culvert.home.ip("addr add 2001:db8::1/64 dev host0 nodad")
        for sender, receiver, address in (
            (far, culvert.home, "2001:db8::1"),
            (culvert.home, far, "2001:db8::2"),
        ):
            port = receiver.receive_stream(address)
            assert sender.send_stream(address, port, STREAM) == receiver.received(port)

        def sender_of(data, target):
            def send(port):
                with far.inside():
                    speaker = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
                    speaker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    speaker.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                with speaker:
                    speaker.sendto(data, (target, port))

            return send

        for address, group, target in (
            ("0.0.0.0", None, "192.0.2.1"),
            ("0.0.0.0", None, "255.255.255.255"),
            ("0.0.0.0", None, "192.0.2.255"),
            ("0.0.0.0", "224.0.0.5", "224.0.0.5"),
            ("::", None, "2001:db8::1"),
        ):
            assert heard(culvert.home, address, group, sender_of(b"hello", target)) == b"hello", target
            whole = bytes(range(250)) * 7
            if group is None and "255" not in target:
                assert heard(culvert.home, address, group, sender_of(whole, target)) == whole, target
        far.ping("192.0.2.1")
        wait_until(culvert.balanced, 5, "the conservation sum")


@case("host tap: frames larger than a packet buffer go through it in pieces, both ways")
def small_buffers():
    stream_both_ways(["--mbuf-size", 512])
