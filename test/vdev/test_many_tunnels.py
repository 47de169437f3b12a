# SPDX-License-Identifier: BSD-3-Clause
"""Ten thousand tunnels, and what becomes of the others' packets meanwhile. How long it takes is test/bench/many_tunnels.py's."""

import threading

from cases import case
from culvert_lab import Lab, wait_until
from topology import EXPERIMENTAL, INNER_MAC, NEAR_MAC, raw_tunnel
from wire import VXLAN, Ether, Raw, Wire, inner_of

MANY = 10000
PACE_S = 0.005


def remote(number):
    return f"10.{1 + (number >> 16)}.{(number >> 8) & 255}.{number & 255}"


class Stream:
    """Numbered frames into a tunnel, one after the other, until told to stop."""

    def __init__(self, wire):
        self.wire, self.sent, self.stop = wire, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.wait(PACE_S):
            frame = bytes(Ether(src=NEAR_MAC, dst=INNER_MAC, type=EXPERIMENTAL) / Raw(len(self.sent).to_bytes(4, "big") * 16))
            self.wire.send(frame)
            self.sent.append(frame)

    def end(self):
        self.stop.set()
        self.thread.join()
        return self.sent


def come_and_go(kind):
    options = "local 192.0.2.1 remote" if kind == "ipip" else "id {} dstport 4790 local 192.0.2.1 remote"
    with Lab() as lab:
        culvert, far, near = raw_tunnel(lab, extra="route add 10.0.0.0/8 via 192.0.2.2\n")
        before = len(culvert.json("link show"))
        with Wire(near.host) as inside, Wire(far.host) as outside:
            stream = Stream(inside)
            try:
                for number in range(MANY):
                    culvert.do(
                        f"link add t{number} type {kind} {options.format(number)} {remote(number)}",
                        f"link set t{number} up",
                    )
                made = culvert.json("show tunnels")
                for number in range(MANY):
                    culvert.do(f"link del t{number}")
            finally:
                sent = stream.end()
            states = {tunnel["state"] for tunnel in made}
            assert len(made) >= MANY and states == {"ready"}, (len(made), states)
            seen = [inner_of(outside.receive(lambda f: VXLAN in f, what="a frame in VXLAN")) for _ in sent]
            assert seen == sent, f"{len(sent)} frames sent while tunnels came and went: lost or out of order"
        left = [link["ifname"] for link in culvert.json("link show")]
        assert len(left) <= before + 1, left[:20]  # tunl0 stays
        wait_until(culvert.balanced, 5, "rest")
        assert culvert.drops() == {}, culvert.drops()


@case("TUN-TX-10 10,000 ipip links come and go while another tunnel's frames pass: none is lost")
def ipip():
    come_and_go("ipip")


@case("VXLAN-CRE-20 10,000 vxlan links come and go while another's frames pass: none is lost")
def vxlan():
    come_and_go("vxlan")
