# SPDX-License-Identifier: BSD-3-Clause
"""ICMP errors and fragments: culvert as a router, and a Linux router in the same place, asked the same."""

import concurrent.futures
import socket
import time

from cases import case
from culvert_lab import SLOW, Lab, Port, wait_until
from echo import error_of
from topology import FAR_MAC, NEAR_MAC, first_tunnel
from wire import ICMP, IP, TCP, UDP, Ether, Raw, Wire

NARROW = 600
ROUTES = ("unreachable 10.66.1.0/24", "prohibit 10.66.2.0/24", "blackhole 10.66.3.0/24")
# Every probe comes from an address of its own, since errors to one host are limited.
SENDERS = [f"10.1.0.{n}" for n in range(1, 120)]
MARKER = 0xABCD


class Router:
    """near --- 10.1.0.254  router  10.2.0.254 (MTU 600) --- far. Tests speak for near and far; no kernel does."""

    def __init__(self, lab, of):
        self.near, self.far = lab.namespace(f"near-{of}"), lab.namespace(f"far-{of}")

    def known(self):
        """(address, MAC, side) of every host."""
        yield from ((address, NEAR_MAC, 0) for address in SENDERS)
        yield "10.2.0.9", FAR_MAC, 1

    def open(self):
        self.near_wire, self.far_wire = Wire(self.near), Wire(self.far)
        return self

    def close(self):
        self.near_wire.socket.close()
        self.far_wire.socket.close()

    def ask(self, sender, *packets, group=False):
        """Sends packets from near; returns what near and far get, as far as rules fix it."""
        destination = "ff:ff:ff:ff:ff:ff" if group else self.mac
        self.near_wire.send(*(Ether(src=NEAR_MAC, dst=destination) / packet for packet in packets))
        # Two more, which go the longest ways there are: put together for an answer, and cut. So what comes of them comes last.
        ping = cut(IP(src=sender, dst="10.1.0.254", id=MARKER) / ICMP(type=8, id=MARKER) / Raw(bytes(16)), 0, 8)
        through = IP(src=sender, dst="10.2.0.9", proto=253, id=MARKER) / Raw(bytes(NARROW))
        self.near_wire.send(*(Ether(src=NEAR_MAC, dst=self.mac) / packet for packet in (*ping, through)))
        return self.until(self.near_wire, lambda f: ICMP in f and f[ICMP].id == MARKER and f[ICMP].type == 0), self.until(
            self.far_wire, lambda f: f[IP].proto == 253 and f[IP].id == MARKER
        )

    @staticmethod
    def until(wire, is_marker):
        seen = []

        def check(frame):
            if IP not in frame:
                return False
            if is_marker(frame):
                return "MF" not in frame[IP].flags
            seen.append(fields(frame))
            return False

        wire.receive(check, what="marker")
        return seen


def fields(frame):
    """A packet without its id, if its router chose that; the checksum must be right."""
    ip = frame[IP]
    raw = bytes(ip)
    again = IP(raw)
    del again.chksum
    assert IP(bytes(again)).chksum == ip.chksum, f"IP checksum\n{frame.show(dump=True)}"
    own = ip.src.endswith(".254")
    header = (ip.src, ip.dst, ip.tos, ip.ttl, ip.proto, str(ip.flags), ip.frag, ip.len, bytes(raw[20 : ip.ihl * 4]))
    return (*header, None if own else ip.id, raw[ip.ihl * 4 :])


class LinuxRouter(Router):
    def __init__(self, lab):
        super().__init__(lab, "linux")
        box = lab.namespace("router")
        for host, side, mtu, mac in ((self.near, 0, 1500, NEAR_MAC), (self.far, 1, NARROW, FAR_MAC)):
            host.cable(box, "eth0", f"side{side}", mtu)
            host.ip(f"link set eth0 address {mac} up")
            box.ip(f"link set side{side} up")
            box.ip(f"addr add 10.{side + 1}.0.254/24 dev side{side}")
            box.sysctl(f"net.ipv4.conf.side{side}.rp_filter", 0)
            box.sysctl(f"net.ipv4.conf.side{side}.send_redirects", 0)
        box.sysctl("net.ipv4.conf.all.rp_filter", 0)
        box.sysctl("net.ipv4.ip_forward", 1)
        for route in ROUTES:
            box.ip(f"route add {route}")
        for address, mac, side in self.known():
            box.ip(f"neigh add {address} lladdr {mac} dev side{side} nud permanent")
        self.mac = box.mac("side0")


class CulvertRouter(Router):
    def __init__(self, lab):
        super().__init__(lab, "culvert")
        ports = [Port(self.near, mac=NEAR_MAC), Port(self.far, mac=FAR_MAC)]
        lines = [f"link set port1 mtu {NARROW}"]
        for side in (0, 1):
            lines += [f"link set port{side} up", f"addr add 10.{side + 1}.0.254/24 dev port{side}"]
        lines += [f"route add {route}" for route in ROUTES]
        lines += [f"neigh add {a} lladdr {mac} dev port{side} nud permanent" for a, mac, side in self.known()]
        self.culvert = lab.culvert(ports, "\n".join(lines) + "\n")
        self.mac = ports[0].mac


def cut(packet, *offsets):
    """A packet in pieces that begin at these offsets of its payload, bytes."""
    packet = IP(bytes(packet))
    payload = bytes(packet.payload)
    pieces = []
    for begin, end in zip(offsets, [*offsets[1:], len(payload)], strict=True):
        flags = "MF" if end < len(payload) else 0
        header = {"src": packet.src, "dst": packet.dst, "proto": packet.proto, "id": packet.id, "ttl": packet.ttl}
        pieces.append(IP(**header, flags=flags, frag=begin // 8) / Raw(payload[begin:end]))
    return pieces


def probes():
    """(name, sender -> packets, to a link-layer group)"""
    body = bytes(range(256)) * 6
    far, router = "10.2.0.9", "10.1.0.254"

    def udp(length, dst=far, **header):
        return lambda src: [IP(src=src, dst=dst, **header) / UDP(sport=1000, dport=2000) / Raw(body[: length - 28])]

    yield "time exceeded", udp(100, ttl=1), False
    yield "time exceeded, TOS", udp(100, ttl=1, tos=0xB9), False
    yield "time exceeded, of TTL 0", udp(100, ttl=0), False
    for length in (547, 548, 549, 600):
        yield f"time exceeded, {length} bytes", udp(length, ttl=1), False
    for length in (600, 601, 700, 1000, 1152, 1153, 1500):
        yield f"DF, {length} bytes", udp(length, flags="DF"), False
        yield f"no DF, {length} bytes", udp(length, id=length), False
    yield "a first fragment, too large", udp(900, flags="MF", id=5), False
    yield "a middle fragment, too large", udp(900, flags="MF", frag=111, id=5), False
    yield "a last fragment, too large", udp(901, frag=111, id=5), False
    options = b"\x52\x06abcd\x88\x04ef\x01\x00"  # not to be copied, to be copied

    def optioned(src):
        packet = IP(src=src, dst=far, id=77, ihl=8, options=[]) / Raw(options + body[:1000])
        return [IP(bytes(packet))]

    yield "options, too large", optioned, False
    for route in (1, 2, 3):
        yield f"route {ROUTES[route - 1]}", udp(100, dst=f"10.66.{route}.1"), False
    yield "no route", udp(100, dst="198.18.0.1"), False
    yield "no route, to a link-layer group", udp(100, dst="198.18.0.1"), True
    yield "UDP to the router", udp(100, dst=router), False
    yield "UDP to its other address", udp(100, dst="10.2.0.254"), False
    yield "UDP to its broadcast address", udp(100, dst="10.1.0.255"), False
    yield "UDP to a group", udp(100, dst="224.0.0.9"), False
    yield "protocol 99 to the router", udp(100, dst=router, proto=99), False
    yield "IGMP to the router", udp(100, dst=router, proto=2), False
    for kind in (0, 3, 5, 8, 11, 13):
        yield f"ICMP type {kind}, TTL 1", (lambda src, t=kind: [IP(src=src, dst=far, ttl=1) / ICMP(type=t) / Raw(body[:40])]), False
    yield "time exceeded, first fragment", udp(100, ttl=1, flags="MF"), False
    yield "time exceeded, later fragment", udp(100, ttl=1, frag=10), False

    def ping(src, length=1400):
        return IP(src=src, dst=router, id=99) / ICMP(type=8, id=1) / Raw((body * 3)[:length])

    # Options that the answer brings back: room for two addresses, for one, and none.
    for room, record in enumerate((b"\x07\x07\x08\x0a\x01\x00\x09\x00", b"\x07\x07\x04" + bytes(5), b"\x07\x0b\x04" + bytes(9))):
        message = bytes(ICMP(type=8, id=1) / Raw(body[:40]))

        def recorded(src, record=record, message=message):
            header = IP(src=src, dst=router, proto=1, id=99, ihl=5 + len(record) // 4, options=[])
            return [IP(bytes(header / Raw(record + message)))]

        yield f"ping that records its route, room for {room}", recorded, False

    def knock(flags, port=81, **more):
        return lambda src: [IP(src=src, dst=router, tos=0x10) / TCP(sport=1234, dport=port, flags=flags, **more) / Raw(body[:10])]

    for flags in ("S", "A", "FA", "F", "", "FPU", "R", "SA", "SF"):
        yield f"TCP to a closed port, flags '{flags}'", knock(flags, seq=1000, ack=77 if "A" in flags else 0), False
    yield "TCP with a wrong checksum", knock("S", chksum=0x1234), False
    yield "ping in fragments", (lambda src: cut(ping(src), 0, 256, 800)), False
    yield "ping in fragments, last first", (lambda src: cut(ping(src), 0, 256, 800)[::-1]), False
    yield "ping in fragments, one twice", (lambda src: [*cut(ping(src), 0, 256)[:1] * 2, *cut(ping(src), 0, 256)[1:]]), False
    yield "ping in fragments that overlap", (lambda src: [cut(ping(src), 0, 256)[0], *cut(ping(src), 0, 248)[1:]]), False
    yield "ping larger than the MTU", (lambda src: cut(ping(src, 4000), 0, 1400, 2800)), False


@case(
    "ICMP-01 ICMP-02 ICMP-03 FRAG-02 FRAG-04 FRAG-05 FRAG-06 TUN-RX-12 errors, fragments and "
    "reassembly are a Linux router's, field by field"
)
def as_a_linux_router():
    with Lab() as lab:
        linux, culvert = LinuxRouter(lab).open(), CulvertRouter(lab).open()
        different, answers, through = [], 0, 0
        for sender, (name, packets, group) in zip(SENDERS, probes(), strict=False):
            theirs, ours = (router.ask(sender, *packets(sender), group=group) for router in (linux, culvert))
            answers, through = answers + len(theirs[0]), through + len(theirs[1])
            if ours != theirs:
                different.append(f"{name}:\n  culvert {ours}\n  Linux   {theirs}")
        linux.close()
        culvert.close()
        assert not different, "\n".join(different)
        assert answers >= 29 and through >= 21, f"{answers} answers from the Linux router, {through} packets through it"


@case("FRAG-01 FRAG-02 FRAG-04 FRAG-10 packets of every size through unequal MTUs, as through a Linux router")
def every_size():
    sizes = range(28, 1501)  # net_tap's ports take no larger ones
    body = bytes(range(256)) * 6
    sender, step = SENDERS[0], 50
    with Lab() as lab:
        linux, culvert = LinuxRouter(lab).open(), CulvertRouter(lab).open()
        for begin in range(0, len(sizes), step):
            for flags in ("DF", 0):
                packets = [
                    IP(src=sender, dst="10.2.0.9", id=size, flags=flags) / UDP(sport=1000, dport=2000) / Raw(body[: size - 28])
                    for size in sizes[begin : begin + step]
                ]
                theirs, ours = (router.ask(sender, *packets) for router in (linux, culvert))
                assert ours == theirs, f"{sizes[begin]} bytes and more, {flags}:\n  culvert {ours}\n  Linux   {theirs}"[:4000]
        # To the router itself, in fragments where they must be, and back.
        for begin in range(28, 9001, 641):
            ping = IP(src=sender, dst="10.1.0.254", id=begin) / ICMP(type=8, id=1) / Raw((body * 6)[: begin - 28])
            theirs, ours = (router.ask(sender, *cut(ping, *range(0, begin - 20, 1480))) for router in (linux, culvert))
            assert ours == theirs, f"ping of {begin} bytes:\n  culvert {ours}\n  Linux   {theirs}"[:4000]
        linux.close()
        culvert.close()


def timeline(router, sender, stranger, again_s, until_s):
    """What near and far see, and when, after a packet to somebody who is not there, and another one at `again_s`."""
    packet = Ether(src=NEAR_MAC, dst=router.mac) / IP(src=sender, dst=stranger) / UDP(sport=1, dport=2) / Raw(bytes(20))
    asked = b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x01"
    router.near_wire.send(packet)
    start, events, is_sent_again = time.monotonic(), [], False
    while (now := time.monotonic() - start) < until_s:
        if now >= again_s and not is_sent_again:
            router.near_wire.send(packet)
            is_sent_again = True
        for wire in (router.near_wire, router.far_wire):
            frame = wire.next_frame(time.monotonic() + 0.01)
            data = b"" if frame is None else bytes(frame)
            if data[12:22] == asked and data[38:42] == socket.inet_aton(stranger):
                events.append((f"asked, to {data[:6].hex()}", time.monotonic() - start))
            elif data[23:24] == b"\1" and data[34:36] == b"\3\1":
                events.append(("host unreachable", time.monotonic() - start))
    return events


@case("GOLD-10 NEI-01 NEI-02 NEI-07 the timeline of a next hop that is not there is a Linux router's")
def not_there():
    with Lab() as lab:
        routers = [LinuxRouter(lab).open(), CulvertRouter(lab).open()]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            theirs, ours = pool.map(lambda router: timeline(router, SENDERS[0], "10.2.0.77", 3.5, 7.2), routers)
        assert [what for what, _ in ours] == [what for what, _ in theirs], f"culvert {ours}\nLinux   {theirs}"
        assert len(theirs) == 8, theirs
        for (what, here), (_, there), due in zip(ours, theirs, (0, 1, 2, 3, 3.5, 4.5, 5.5, 6.5), strict=True):
            assert abs(here - due) < 0.4 * SLOW and abs(here - there) < 0.4 * SLOW, f"{what}: culvert {here}, Linux {there}"
        for router in routers:
            router.close()


@case("GOLD-13 ICMP-05 a burst of errors to one host: as many as from a Linux router")
def limited():
    with Lab() as lab:
        linux, culvert = LinuxRouter(lab).open(), CulvertRouter(lab).open()
        for number, (name, target, header) in enumerate(
            (("port unreachable", "10.1.0.254", {}), ("time exceeded", "10.2.0.9", {"ttl": 1}), ("no route", "198.18.0.1", {}))
        ):
            sender = SENDERS[number]
            burst = [IP(src=sender, dst=target, **header) / UDP(sport=1, dport=2)] * 20
            theirs, ours = (len(router.ask(sender, *burst)[0]) for router in (linux, culvert))
            assert ours == theirs, f"{name}: culvert sent {ours}, Linux {theirs}"
        counted = culvert.culvert.json("show snmp")
        assert counted["IcmpOutErrorMsgs"] == 6 + 6 + 2, counted
        assert counted["IcmpOutRateLimitHost"] == 60 - 14, counted
        linux.close()
        culvert.close()


@case("ICMP-02 FRAG-02 VXLAN-SOCK-09 a Linux host understands: traceroute, path MTU discovery, closed ports")
def understood():
    with Lab() as lab:
        near, far = lab.namespace("near"), lab.namespace("far")
        ports = [Port(near, addresses=["10.1.0.1/24"], mac=NEAR_MAC), Port(far, addresses=["10.2.0.9/24"], mac=FAR_MAC, mtu=NARROW)]
        config = f"link set port1 mtu {NARROW}\n"
        for side in (0, 1):
            config += f"link set port{side} up\naddr add 10.{side + 1}.0.254/24 dev port{side}\n"
        culvert = lab.culvert(ports, config)
        near.ip("route add default via 10.1.0.254")
        far.ip("route add default via 10.2.0.254")
        near.ping("10.2.0.9", length=1500, dont_fragment=False)
        assert culvert.json("show snmp")["IpFragOKs"] == 3
        # A traceroute's two steps.
        assert error_of(near, "10.2.0.9", ttl=1)[0] == "EHOSTUNREACH"
        assert error_of(near, "10.2.0.9", ttl=2)[0] == "ECONNREFUSED"
        assert error_of(near, "10.1.0.254")[0] == "ECONNREFUSED"
        assert error_of(near, "198.18.0.1")[0] == "ENETUNREACH"
        assert error_of(near, "10.2.0.9", length=1000) == ("EMSGSIZE", NARROW)
        # To nobody on the network: three requests, then host unreachable.
        assert error_of(near, "10.2.0.77")[0] == "EHOSTUNREACH"
        wait_until(lambda: culvert.dropped("neighbour_failed") == 1, 5, "one packet dropped as neighbour_failed")


@case("VXLAN-PMTU-02 VXLAN-PMTU-03 VXLAN-PMTU-05 TUN-RX-12 FRAG-11 frames larger than the underlay takes go through in fragments, both ways")
def large_frames():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        culvert.do("link set vx42 mtu 1500")
        near.ip("link set eth0 mtu 1500")
        far.ip("link set vx42 mtu 1500")
        for length in (1450, 1451, 1458, 1459, 1499, 1500):
            near.ping("10.42.0.2", length=length, dont_fragment=False)
            far.ping("10.42.0.1", length=length, dont_fragment=False)
        counted = culvert.json("show snmp")
        assert counted["IpFragOKs"] == 5 * 2 * 3, counted
        # Linux's own stack learns from its vxlan, and sends inner fragments after the first outer ones.
        assert counted["IpReasmOKs"] > 0 and counted["IpReasmFails"] == 0, counted
        # With DF, and out of a bridge, the sender hears of it in the receiver's name, and sends less from then on.
        assert error_of(near, "10.42.0.2", length=1450) == ("EMSGSIZE", 1450)
        assert culvert.json("show snmp")["IcmpOutFragNeeded"] == 1
        assert culvert.drops() == {}, culvert.drops()
