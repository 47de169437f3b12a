# SPDX-License-Identifier: BSD-3-Clause
"""The set-ups that tests share.

first_tunnel:   near --- port1  culvert  port0 --- far, the kernel's VTEP        (README.md's tunnel)
vteps:          near --- port1  culvert  port0 --- switch --- several of the kernel's VTEPs
raw_tunnel:     near --- port1  culvert  port0 --- far, both ends bare: tests write and read the frames
"""

from culvert_lab import Port

UNDERLAY = """
link set port0 up
addr add 192.0.2.1/24 dev port0
"""
BRIDGED = """
link add br0 type bridge
link set br0 up
link set vx42 master br0 up
link set port1 master br0 up
"""
NEAR_MAC = "02:00:00:00:0a:01"
FAR_MAC = "02:00:00:00:0a:02"
INNER_MAC = "02:00:00:00:0a:42"  # a station behind the far VTEP
EXPERIMENTAL = 0x88B5  # an EtherType that no kernel takes


def tunnel(remote="192.0.2.2", options="dstport 4789"):
    return f"link add vx42 type vxlan id 42 local 192.0.2.1 remote {remote} {options}\n"


def forget_neighbours(culvert):
    """culvert asks for its next hops as soon as it starts; what it asked before the cables were plugged does not count."""
    culvert.do("neigh flush dev port0")


def first_tunnel(lab, options="dstport 4789", peer_options="dstport 4789", mtu=1500, extra="", tap=True, **more):
    """Returns (culvert, near, far); near is 10.42.0.1, far has 10.42.0.2 on its vx42."""
    far, near = lab.namespace("far"), lab.namespace("near")
    ports = [
        Port(far, addresses=["192.0.2.2/24"], mtu=mtu, mac=FAR_MAC, tap=tap),
        Port(near, addresses=["10.42.0.1/24"], mtu=mtu - 50, mac=NEAR_MAC, tap=tap),
    ]
    culvert = lab.culvert(ports, UNDERLAY + tunnel(options=options) + BRIDGED + extra, **more)
    far.vxlan("vx42", f"id 42 local 192.0.2.2 remote 192.0.2.1 {peer_options}", ["10.42.0.2/24"], mtu=mtu - 50)
    forget_neighbours(culvert)
    return culvert, near, far


def vteps(lab, count, **more):
    """Returns (culvert, near, [vtep, ...]); the VTEPs are 192.0.2.11, .12, ... and all are in culvert's flood list."""
    switch, near = lab.switch(), lab.namespace("near")
    addresses = [f"192.0.2.{11 + i}" for i in range(count)]
    lists = "".join(f"fdb append 00:00:00:00:00:00 dev vx42 dst {a}\n" for a in addresses[1:])
    ports = [Port(switch, device="trunk"), Port(near, addresses=["10.42.0.1/24"], mtu=1450, mac=NEAR_MAC)]
    culvert = lab.culvert(ports, UNDERLAY + tunnel(remote=addresses[0]) + lists + BRIDGED, **more)
    switch.ip("link set trunk master br0")
    hosts = []
    for address in addresses:
        host = lab.namespace(f"vtep{address.rsplit('.', 1)[1]}")
        lab.plug(switch, host, addresses=[f"{address}/24"])
        host.vxlan("vx42", f"id 42 local {address} remote 192.0.2.1 dstport 4789")
        hosts.append(host)
    forget_neighbours(culvert)
    return culvert, near, hosts


def raw_tunnel(lab, options="dstport 4789", extra="", **more):
    """Returns (culvert, far port, near port). No kernel speaks on either cable; the next hop 192.0.2.2 is known."""
    far, near = lab.namespace("far"), lab.namespace("near")
    ports = [Port(far, mac=FAR_MAC), Port(near, mac=NEAR_MAC)]
    known = f"neigh add 192.0.2.2 lladdr {FAR_MAC} dev port0 nud permanent\n"
    culvert = lab.culvert(ports, UNDERLAY + known + tunnel(options=options) + BRIDGED + extra, **more)
    return culvert, ports[0], ports[1]
