# SPDX-License-Identifier: BSD-3-Clause
"""The set-ups that tests share.

first_tunnel:   near --- port1  culvert  port0 --- far, the kernel's VTEP        (README.md's tunnel)
vteps:          near --- port1  culvert  port0 --- switch --- several of the kernel's VTEPs
raw_tunnel:     near --- port1  culvert  port0 --- far, both ends bare: tests write and read the frames
ip_tunnel:      near --- port1  culvert  port0 --- switch --- far, a peer with ipip, gre or gretap
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


class IpTunnel:
    """culvert and a peer with a tunnel `tun` between them: a routed one of packets (ipip, gre, ip6tnl, ip6gre) with a network behind each
    end, or one of frames (gretap, ip6gretap) that is bridged to near's network. Either way near is 10.1.0.1 and far 10.2.0.2."""

    def __init__(self, lab, kind, ours="", theirs=None):
        self.kind, self.bridged = kind, kind.endswith("gretap")
        self.switch, self.near, self.far = lab.switch(), lab.namespace("near"), lab.peer("far")
        length = 8 if self.bridged else 24
        ports = [
            Port(self.switch, device="trunk"),
            Port(self.near, addresses=[f"10.1.0.1/{length}"], mac=NEAR_MAC),
        ]
        config = UNDERLAY + ("link add br0 type bridge\nlink set br0 up\n" if self.bridged else "addr add 10.1.0.254/24 dev port1\n")
        self.culvert = lab.culvert(ports, config)
        self.switch.ip("link set trunk master br0")
        self.wire = lab.plug(self.switch, self.far, addresses=["192.0.2.2/24"])
        if self.bridged:
            self.culvert.do("link set port1 master br0 up")
        else:
            self.near.ip("route add default via 10.1.0.254")
            self.far.ip("addr add 10.2.0.2/32 dev lo")
        self.make(ours, theirs)
        forget_neighbours(self.culvert)

    def make(self, ours, theirs=None):
        """Both ends of the tunnel anew; theirs as ours if not said."""
        self.make_ours(ours)
        self.make_theirs(ours if theirs is None else theirs)

    def make_ours(self, options, ends="local 192.0.2.1 remote 192.0.2.2", via=""):
        if self.culvert.request("link show tun")["ok"]:
            self.culvert.do("link del tun")
        self.culvert.do(f"link add tun type {self.kind} {ends} {options}")
        self.culvert.do("link set tun master br0 up" if self.bridged else "link set tun up")
        if not self.bridged:
            self.culvert.do("addr add 10.9.0.1/24 dev tun", f"route add 10.2.0.0/24 {via} dev tun")

    def make_theirs(self, options, ends="local 192.0.2.2 remote 192.0.2.1", via=""):
        self.far.ip("link del tun", check=False)
        known = f"address {INNER_MAC}" if self.bridged else ""
        self.far.ip(f"link add tun {known} type {self.kind} {ends} {options}")
        self.far.ip(f"addr add {'10.2.0.2/8' if self.bridged else '10.9.0.2/24'} dev tun")
        self.far.ip("link set tun up")
        if not self.bridged:
            self.far.ip(f"route add 10.1.0.0/24 {via} dev tun src 10.2.0.2")

    def ping_both_ways(self, **more):
        self.near.ping("10.2.0.2", **more)
        self.far.ping("10.1.0.1", **more)
