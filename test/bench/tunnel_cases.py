# SPDX-License-Identifier: BSD-3-Clause
"""The cases of ipip, gre and gretap, and of ipip in FOU and GUE: push and pop each, by flows, tunnels and size.

ipip and gre carry what is routed to them: flow i has the address INNER + (its tunnel << 8) + its number in that tunnel.
gretap carries what is bridged to it, as vxlan does.
"""

from bench_cases import (
    FAR, LOCAL, MANY, NEAR, NEXT_HOP, NEXT_HOP_MAC, PORT_MACS, TUNNELS, Case, access_frames, bridge, inner_from_far, raw, remote, stations,
    underlay,
)  # fmt: skip
from packets import ETHER_LEN, address_text, ether, frame, ipv4, mac, mac_text, udp

IPV4_LEN = 20
PROTOCOL_IPIP, PROTOCOL_GRE, PROTOCOL_UDP = 4, 47, 17
FOU_PORT = 5555
# ipip in UDP: what `link add` says of the tunnel, `fou add` of the port, and what is behind the UDP header.
IN_UDP = {
    "fou": (f"encap fou encap-dport {FOU_PORT}", "ipproto 4", b""),
    "gue": (f"encap gue encap-dport {FOU_PORT}", "gue", b"\0\x04\0\0"),
}  # fmt: skip
# What a kind puts between the outer IPv4 header and the inner packet.
GRE_HEADS = {"ipip": b"", "gre": b"\0\0\x08\0", "gretap": b"\0\0\x65\x58"}
INNER = 10 << 24
BEHIND_PORT1 = 11 << 24
# Clocks for 1 flow, 10k flows, 10k flows over 1000 tunnels; instructions for 1 flow.
TARGETS = {
    "ipip-push": ((28, 36, 42), 140), "ipip-pop": ((36, 45, 55), 180),
    "gre-push": ((30, 38, 45), 150), "gre-pop": ((40, 50, 60), 200),
    "gretap-push": ((36, 62, 70), 180), "gretap-pop": ((44, 70, 80), 215),
}  # fmt: skip


def overhead(kind):
    if kind in IN_UDP:
        return IPV4_LEN + 8 + len(IN_UDP[kind][2])
    return IPV4_LEN + len(GRE_HEADS[kind]) + (ETHER_LEN if kind == "gretap" else 0)


def flow_address(i, tunnels):
    return INNER + ((i % tunnels) << 8 if tunnels > 1 else 0) + (i // tunnels if tunnels > 1 else i)


def add_tunnels(kind, tunnels):
    lines = [*underlay(), f"route add 100.64.0.0/10 via {NEXT_HOP}"]
    encap, port, _ = IN_UDP.get(kind, ("", "", b""))
    if encap:
        kind = "ipip"
        lines.append(f"fou add port {FOU_PORT} {port}")
    for t in range(tunnels):
        lines += [f"link add tun{t} type {kind} local {LOCAL} remote {remote(t)} {encap}", f"link set tun{t} up"]
    return lines


def routed_config(kind, tunnels):
    def lines():
        words = add_tunnels(kind, tunnels)
        words += ["addr add 198.51.100.1/24 dev port1", f"neigh add 198.51.100.2 lladdr {mac_text(0, NEAR)} dev port1 nud permanent"]
        words.append("route add 11.0.0.0/8 via 198.51.100.2")
        if tunnels == 1:
            return [*words, "route add 10.0.0.0/8 dev tun0"]
        return words + [f"route add {address_text(INNER + (t << 8))}/24 dev tun{t}" for t in range(tunnels)]

    return lines


def bridged_config(kind, count, tunnels):
    def lines():
        words = [*add_tunnels(kind, tunnels), *bridge("port1", *(f"tun{t}" for t in range(tunnels)))]
        words += [f"fdb add {mac_text(i, FAR)} dev tun{i % tunnels} master static" for i in range(count)]
        return words + stations(count, NEAR, "port1")

    return lines


def routed_frames(count, tunnels, size):
    def one(i):
        return frame(
            raw(PORT_MACS[1]), mac(0, NEAR), size, ip=("198.51.100.2", flow_address(i, tunnels)), ports=(1024 + i % 50000, 2000)
        )

    return lambda: [one(i) for i in range(count)]


def tunnelled_frames(kind, count, tunnels, size):
    protocol = PROTOCOL_IPIP if kind == "ipip" else PROTOCOL_GRE

    def one(i):
        if kind == "gretap":
            inner = inner_from_far(i, size)
        else:
            payload = udp(2000, 1024 + i % 50000, bytes(size - ETHER_LEN - IPV4_LEN - 8))
            inner = ipv4(flow_address(i, tunnels), BEHIND_PORT1 + i, payload)
        if kind in IN_UDP:
            datagram = udp(32768 + i % 28000, FOU_PORT, IN_UDP[kind][2] + inner)
            outer = ipv4(remote(i % tunnels), LOCAL, datagram, PROTOCOL_UDP)
        else:
            outer = ipv4(remote(i % tunnels), LOCAL, GRE_HEADS[kind] + inner, protocol)
        return ether(raw(PORT_MACS[0]), raw(NEXT_HOP_MAC), outer)

    return lambda: [one(i) for i in range(count)]


def make_case(kind, way, suffix, words, count=1, tunnels=1, size=64, **more):
    config = bridged_config(kind, count, tunnels) if kind == "gretap" else routed_config(kind, tunnels)
    if way == "pop":
        given, source, out = tunnelled_frames(kind, count, tunnels, size), 0, size
    else:
        plain = access_frames(count, size) if kind == "gretap" else routed_frames(count, tunnels, size)
        given, source, out = plain, 1, size + overhead(kind)
    name = f"{kind}-{way}"
    return Case(f"{name}{suffix}", f"{kind} {way}, {words}", config, given, source, out, name, **more)


def tunnel_cases():
    cases = []
    for name, (clocks, instructions) in TARGETS.items():
        kind, way = name.split("-")
        one, many, spread = clocks
        counted = {"instructions": True}
        cases += [
            make_case(kind, way, "", "1 flow", target=one, instruction_target=instructions, quick=True, **counted),
            make_case(kind, way, "-10k", "10k flows", count=MANY, target=many, **counted),
            make_case(kind, way, "-10k-1000", "10k flows, 1000 tunnels", count=MANY, tunnels=TUNNELS, target=spread, **counted),
            make_case(kind, way, "-1400", "1 flow, 1400 bytes", size=1400, target=(name, 1.1)),
        ]
    # No goal was set for these: what they cost beyond ipip is what UDP costs.
    for kind in IN_UDP:
        for way in ("push", "pop"):
            cases += [
                make_case(kind, way, "", "1 flow", instructions=True),
                make_case(kind, way, "-10k", "10k flows", count=MANY, instructions=True),
            ]
    return cases
