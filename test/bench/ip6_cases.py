# SPDX-License-Identifier: BSD-3-Clause
"""IPv6: forwarding, and vxlan under an IPv6 outer header. The targets are those of the IPv4 rows beside them."""

from bench_cases import (
    FAR, MANY, NEAR, NEXT_HOP_MAC, PORT_MACS, Case, access_frames, bridge, inner_from_far, raw, stations, underlay,
)  # fmt: skip
from packets import VXLAN_OVERHEAD, frame6, mac, mac_text, vxlan6

LOCAL6, NEXT_HOP6, REMOTE6 = "2001:db8:1::1", "2001:db8:1::2", "2001:db8:64::1"
ACCESS6, STATION6 = "2001:db8:2::1", "2001:db8:2::2"
VXLAN6_OVERHEAD = VXLAN_OVERHEAD + 20
ROUTES = 1 << 18


def underlay6():
    return [
        *underlay(),
        f"addr add {LOCAL6}/64 dev port0 nodad",
        f"addr add {ACCESS6}/64 dev port1 nodad",
        f"neigh add {NEXT_HOP6} lladdr {NEXT_HOP_MAC} dev port0 nud permanent",
    ]


def ip6_config(routes):
    def lines():
        many = [f"-6 route add 3fff:{i >> 16:x}:{i & 0xFFFF:x}::/48 via {NEXT_HOP6}" for i in range(routes)]
        return [*underlay6(), *(many or [f"-6 route add 3fff::/20 via {NEXT_HOP6}"])]

    return lines


def ip6_frames(count, size):
    return lambda: [
        frame6(raw(PORT_MACS[1]), mac(0, NEAR), size, (STATION6, f"3fff::{i + 1:x}"), (1024 + i % 50000, 2000)) for i in range(count)
    ]


def vxlan6_config(count, checksum):
    def lines():
        words = [*underlay6(), f"-6 route add 2001:db8:64::/48 via {NEXT_HOP6}", *bridge("port1")]
        words.append(
            f"link add vx0 type vxlan id 1000 local {LOCAL6} remote {REMOTE6} dstport 4789 udp6zerocsumrx "
            + ("noudp6zerocsumtx" if checksum else "udp6zerocsumtx")
        )
        words.append("link set vx0 master br0 up")
        for i in range(count):
            words.append(f"fdb add {mac_text(i, FAR)} dev vx0 master static")
            words.append(f"fdb add {mac_text(i, FAR)} dev vx0 dst {REMOTE6} self static")
        return words + stations(count, NEAR, "port1")

    return lines


def vxlan6_frames(count, size):
    macs = (raw(PORT_MACS[0]), raw(NEXT_HOP_MAC))
    return lambda: [
        vxlan6(inner_from_far(i, size), 1000, macs, (REMOTE6, LOCAL6), 32768 + i % 28000) for i in range(count)
    ]


def ip6_case(suffix, words, count=1, size=64, routes=0, **more):
    return Case(f"ip6{suffix}", f"ip6, {words}", ip6_config(routes), ip6_frames(count, size), 1, size, "ip6", **more)


def push_case(suffix, words, count=1, size=64, checksum=False, **more):
    config, given = vxlan6_config(count, checksum), access_frames(count, size)
    return Case(f"push6{suffix}", f"push over IPv6, {words}", config, given, 1, size + VXLAN6_OVERHEAD, "push6", **more)


def pop_case(suffix, words, count=1, size=64, **more):
    config, given = vxlan6_config(count, False), vxlan6_frames(count, size)
    return Case(f"pop6{suffix}", f"pop over IPv6, {words}", config, given, 0, size, "pop6", **more)


def ip6_cases():
    counted = {"instructions": True}
    big = {"memory_mb": 2048, "launch": ("--route6-size", str(ROUTES * 2))}
    return [
        ip6_case("", "1 flow", target=("ip4", 1.0), **counted),
        ip6_case("-10k", "10k flows", count=MANY, target=("ip4-10k", 1.0), **counted),
        ip6_case("-1400", "1 flow, 1400 bytes", size=1400, target=("ip6", 1.1)),
        ip6_case("-262k", "262k routes, uniform", routes=ROUTES, vary=f"40:0:1:{ROUTES}", target=("ip6-10k", 1.5), **big),
        push_case("", "1 flow", target=("push", 1.0), **counted),
        push_case("-10k", "10k flows", count=MANY, target=("push-10k", 1.0), **counted),
        push_case("-csum", "1 flow, UDP checksum", checksum=True, **counted),
        pop_case("", "1 flow", target=("pop", 1.0), **counted),
        pop_case("-10k", "10k flows", count=MANY, target=("pop-10k", 1.0), **counted),
    ]
