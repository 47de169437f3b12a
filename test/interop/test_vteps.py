# SPDX-License-Identifier: BSD-3-Clause
"""Several Linux VTEPs on one underlay."""

from cases import case
from culvert_lab import Lab, wait_until
from topology import EXPERIMENTAL, vteps
from wire import Ether, Raw, Wire

STATION = "02:00:00:00:42:42"


@case("VXLAN-TX-06 VXLAN-TX-07 a broadcast is copied to three VTEPs, once each")
def flood():
    with Lab() as lab:
        culvert, near, hosts = vteps(lab, 3)
        before = culvert.process_counters()
        with Wire(hosts[0], "vx42") as a, Wire(hosts[1], "vx42") as b, Wire(hosts[2], "vx42") as c, Wire(near) as sender:
            wanted = [bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=STATION, type=EXPERIMENTAL) / Raw(bytes([n]) * 60)) for n in range(5)]
            sender.send(*wanted)
            for wire in (a, b, c):
                seen = [bytes(wire.receive(lambda f: f.type == EXPERIMENTAL, what="the broadcast")) for _ in wanted]
                assert seen == wanted, seen
                assert not [f for f in wire.pending() if f.type == EXPERIMENTAL], "a copy too many"
        after = wait_until(culvert.balanced, 5, "rest")
        assert after["replicated"] - before["replicated"] >= 2 * len(wanted), (before, after)


@case("VXLAN-LRN-05 a MAC that moves to another VTEP is followed")
def mac_moves():
    with Lab() as lab:
        culvert, near, (one, two) = vteps(lab, 2)
        for host in (one, two):
            host.ip("link set vx42 down")
            host.ip(f"link set vx42 address {STATION}")
        for host, address in ((one, "192.0.2.11"), (two, "192.0.2.12"), (one, "192.0.2.11")):
            host.ip("link set vx42 up")
            host.ip("addr add 10.42.0.2/24 dev vx42")
            host.ping("10.42.0.1")
            assert culvert.remotes("vx42").get(STATION) == [address], culvert.remotes("vx42")
            near.ping("10.42.0.2")
            host.ip("addr del 10.42.0.2/24 dev vx42")
            host.ip("link set vx42 down")


@case("VXLAN-TX-05 a learned station's packets go to its VTEP alone")
def unicast_is_not_flooded():
    with Lab() as lab:
        culvert, near, (one, two) = vteps(lab, 2)
        two.ip("addr add 10.42.0.2/24 dev vx42")
        two.ping("10.42.0.1")
        idle = one.stats("vx42")["rx"]["packets"]
        near.ping("10.42.0.2", count=10)
        wait_until(culvert.balanced, 5, "rest")
        assert one.stats("vx42")["rx"]["packets"] == idle, "the other VTEP got some of it"


@case("VXLAN-TX-07 VXLAN-FDB-10 a remote taken from the flood list gets nothing more")
def flood_list_shrinks():
    with Lab() as lab:
        culvert, near, (one, two) = vteps(lab, 2)
        culvert.do("fdb del 00:00:00:00:00:00 dev vx42 dst 192.0.2.12")
        assert culvert.remotes("vx42")["00:00:00:00:00:00"] == ["192.0.2.11"], culvert.remotes("vx42")
        with Wire(one, "vx42") as stays, Wire(two, "vx42") as gone, Wire(near) as sender:
            sender.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=STATION, type=EXPERIMENTAL) / Raw(b"x" * 60))
            stays.receive(lambda f: f.type == EXPERIMENTAL, what="the broadcast")
            culvert.do("fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.12")
            sender.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=STATION, type=EXPERIMENTAL) / Raw(b"y" * 60))
            seen = gone.receive(lambda f: f.type == EXPERIMENTAL, what="the second broadcast")
            assert seen[Raw].load == b"y" * 60, "the first broadcast came too"


@case("two stations behind two VTEPs do not meet through culvert's tunnel (split horizon of one vxlan link)")
def no_hairpin():
    with Lab() as lab:
        culvert, _, (one, two) = vteps(lab, 2)
        with Wire(one, "vx42") as sender, Wire(two, "vx42") as other:
            before = culvert.stats("vx42")["rx"]["packets"]
            sender.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=STATION, type=EXPERIMENTAL) / Raw(b"z" * 60))
            wait_until(lambda: culvert.stats("vx42")["rx"]["packets"] > before, 5, "the broadcast at culvert")
            wait_until(culvert.balanced, 5, "rest")
            assert not [f for f in other.pending() if f.type == EXPERIMENTAL], "a vxlan link sent out what came in by it"
