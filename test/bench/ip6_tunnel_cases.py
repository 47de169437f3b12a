# SPDX-License-Identifier: BSD-3-Clause
"""ip6tnl, ip6gre and ip6gretap: push and pop each, with the encapsulation limit that Linux sends unless told otherwise.

The inner packets are those of the rows over IPv4 beside them (tunnel_cases.py), and so are the targets.
"""

from bench_cases import FAR, MANY, NEAR, NEXT_HOP_MAC, PORT_MACS, Case, access_frames, bridge, inner_from_far, raw, stations
from ip6_cases import LOCAL6, NEXT_HOP6, REMOTE6, underlay6
from packets import ETHER_LEN, ether, ipv4, ipv6, mac, mac_text, udp
from tunnel_cases import BEHIND_PORT1, IPV4_LEN, flow_address, routed_frames

IPV6_LEN = 40
PROTOCOLS = {"ip6tnl": 4, "ip6gre": 47, "ip6gretap": 47}
HEADS = {"ip6tnl": b"", "ip6gre": b"\0\0\x08\0", "ip6gretap": b"\0\0\x65\x58"}
LIMIT = b"\0\4\1\4\1\1\0"
DESTINATION_OPTIONS = 60


def overhead(kind):
    return IPV6_LEN + 8 + len(HEADS[kind]) + (ETHER_LEN if kind == "ip6gretap" else 0)


def add_tunnel(kind):
    return [
        *underlay6(),
        f"-6 route add 2001:db8:64::/48 via {NEXT_HOP6}",
        f"link add tun0 type {kind} local {LOCAL6} remote {REMOTE6}",
        "link set tun0 up",
    ]


def routed_config(kind):
    def lines():
        words = [*add_tunnel(kind), "addr add 198.51.100.1/24 dev port1"]
        words.append(f"neigh add 198.51.100.2 lladdr {mac_text(0, NEAR)} dev port1 nud permanent")
        return [*words, "route add 11.0.0.0/8 via 198.51.100.2", "route add 10.0.0.0/8 dev tun0"]

    return lines


def bridged_config(kind, count):
    def lines():
        words = [*add_tunnel(kind), *bridge("port1", "tun0")]
        words += [f"fdb add {mac_text(i, FAR)} dev tun0 master static" for i in range(count)]
        return words + stations(count, NEAR, "port1")

    return lines


def tunnelled_frames(kind, count, size):
    def one(i):
        if kind == "ip6gretap":
            inner = inner_from_far(i, size)
        else:
            payload = udp(2000, 1024 + i % 50000, bytes(size - ETHER_LEN - IPV4_LEN - 8))
            inner = ipv4(flow_address(i, 1), BEHIND_PORT1 + i, payload)
        behind = bytes([PROTOCOLS[kind]]) + LIMIT + HEADS[kind] + inner
        outer = ipv6(REMOTE6, LOCAL6, behind, DESTINATION_OPTIONS)
        return ether(raw(PORT_MACS[0]), raw(NEXT_HOP_MAC), outer, 0x86DD)

    return lambda: [one(i) for i in range(count)]


def make_case(kind, way, suffix, words, count=1, size=64, **more):
    is_bridged = kind == "ip6gretap"
    config = bridged_config(kind, count) if is_bridged else routed_config(kind)
    if way == "pop":
        given, source, out = tunnelled_frames(kind, count, size), 0, size
    else:
        given = access_frames(count, size) if is_bridged else routed_frames(count, 1, size)
        source, out = 1, size + overhead(kind)
    name = f"{kind}-{way}"
    return Case(f"{name}{suffix}", f"{kind} {way}, {words}", config, given, source, out, name, **more)


def ip6_tunnel_cases():
    cases = []
    for kind, over_ipv4 in (("ip6tnl", "ipip"), ("ip6gre", "gre"), ("ip6gretap", "gretap")):
        for way in ("push", "pop"):
            beside = f"{over_ipv4}-{way}"
            counted = {"instructions": True}
            cases += [
                make_case(kind, way, "", "1 flow", target=(beside, 1.2), **counted),
                make_case(kind, way, "-10k", "10k flows", count=MANY, target=(f"{beside}-10k", 1.2), **counted),
            ]
    return cases
