# SPDX-License-Identifier: BSD-3-Clause
"""A tap into the kernel beside culvert: what culvert does not answer itself is the host's."""

from cases import case
from culvert_lab import Lab, Port, wait_until
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


@case("host tap: frames larger than a packet buffer go through it in pieces, both ways")
def small_buffers():
    stream_both_ways(["--mbuf-size", 512])
