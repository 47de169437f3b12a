# SPDX-License-Identifier: BSD-3-Clause
"""What the machine gives: ports with fewer queues than there are workers, hugepages."""

import contextlib
from pathlib import Path

from cases import case
from culvert_lab import Lab, Skip, wait_until
from topology import EXPERIMENTAL, FAR_MAC, INNER_MAC, NEAR_MAC, first_tunnel, raw_tunnel
from wire import VXLAN, Ether, Raw, Wire, inner_of, vxlan_frame

FRAMES = 200


def numbered(source, target):
    return [bytes(Ether(src=source, dst=target, type=EXPERIMENTAL) / Raw(n.to_bytes(4, "big") * 16)) for n in range(FRAMES)]


@case("ports with one queue under two workers: frames cross to the worker that has it, all and in order")
def hand_over():
    with Lab() as lab:
        launch = ["--rxq", "1", "--txq", "1", "--queue-map", "(0,0,1),(1,0,2)"]
        culvert, far, near = raw_tunnel(lab, workers=2, launch=launch)
        queues = {l["lcore"]: [(q["port"], q["queue"]) for q in l["queues"]] for l in culvert.json("show lcores")}
        assert queues == {1: [(0, 0)], 2: [(1, 0)]}, queues
        with Wire(near.host) as inside, Wire(far.host) as outside:
            wanted = numbered(NEAR_MAC, INNER_MAC)
            inside.send(*wanted)
            seen = [inner_of(outside.receive(lambda f: VXLAN in f, what="a frame in VXLAN")) for _ in wanted]
            assert seen == wanted, "frames into the tunnel: lost or out of order"
            wanted = numbered(INNER_MAC, NEAR_MAC)
            outside.send(*(vxlan_frame(far, Raw(frame)) for frame in wanted))
            seen = [bytes(inside.receive(lambda f: f.type == EXPERIMENTAL, what="a frame out of VXLAN")) for _ in wanted]
            assert seen == wanted, "frames out of the tunnel: lost or out of order"
        wait_until(culvert.balanced, 5, "rest")
        taken = {l["lcore"]: l["rx_packets"] for l in culvert.json("show lcores")}
        assert taken[1] >= FRAMES and taken[2] >= FRAMES, taken
        assert culvert.drops() == {}, culvert.drops()


@case("one port's only queue belongs to another worker: pings cross both ways under two workers")
def fewer_queues():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab, workers=2, launch=["--rxq", "1", "--txq", "1"])
        near.ping("10.42.0.2", count=20, length=1450)
        far.ping("10.42.0.1", count=20, length=1450)
        assert far.mac("eth0") == FAR_MAC and culvert.drops() == {}, culvert.drops()


@contextlib.contextmanager
def hugepages(wanted):
    """`wanted` free 2 MB pages more; the machine's own number afterwards."""
    number = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    try:
        before = int(number.read_text())
        number.write_text(str(before + wanted))
    except OSError as error:
        raise Skip(f"no hugepages: {error}") from None
    try:
        got = int(number.read_text()) - before
        if got < wanted:
            raise Skip(f"no hugepages: the kernel gave {got} of {wanted}")
        yield
    finally:
        number.write_text(str(before))


@case("a start with hugepages: the tunnel works, and the pages are given back", alone=True)
def with_hugepages():
    free = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
    with hugepages(256):
        before = int(free.read_text())
        with Lab() as lab:
            culvert, near, far = first_tunnel(lab, memory=["--in-memory", "-m", 256])
            assert int(free.read_text()) < before, "its memory is not in hugepages"
            near.ping("10.42.0.2", length=1450)
            far.ping("10.42.0.1", length=1450)
            assert culvert.drops() == {}, culvert.drops()
        wait_until(lambda: int(free.read_text()) == before, 5, "the pages")
