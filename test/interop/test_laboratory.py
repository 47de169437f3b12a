# SPDX-License-Identifier: BSD-3-Clause
"""Does the laboratory itself work? Two kernels' tunnels, no culvert: when this fails, look at the machine first."""

from cases import case
from culvert_lab import Lab
from wire import ICMP, VXLAN, Wire


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
