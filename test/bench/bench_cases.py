# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: each case's configuration, packets, and what must come out of it.

port0 is the underlay, port1 the access side. Stations behind port1 are mac(i, 0x0A), those behind port0 or the tunnels
mac(i, 0x0B). The next hop's MAC is configured, so nothing waits for ARP.
"""

import dataclasses
from typing import Callable, Optional

from packets import VXLAN_OVERHEAD, address_text, frame, mac, mac_text, vxlan

PORT_MACS = ("02:00:00:00:00:10", "02:00:00:00:00:11")
NEXT_HOP_MAC = "02:00:00:00:00:20"
NEAR, FAR = 0x0A, 0x0B
LOCAL, NEXT_HOP = "192.0.2.1", "192.0.2.2"
REMOTES = 0x64400000  # 100.64.0.0
MILLION = 1 << 20
MANY = 10_000
TUNNELS = 1000
PACE = 280_000  # TSC clocks from one burst of new stations to the next: control keeps up with them


def raw(text):
    return bytes.fromhex(text.replace(":", ""))


@dataclasses.dataclass
class Case:
    name: str
    title: str
    config: Callable[[], list]        # culvert's commands
    packets: Callable[[], list]       # templates
    source: int                       # the port that receives them
    out_bytes: int                    # of each packet that leaves
    group: str                        # cases that compare: bridge, ip4, push, pop, flood, learn
    copies: int = 1                   # packets that leave for one that comes
    target: Optional[float] = None    # clocks a packet (copy); a tuple (case, factor): times that case's
    instruction_target: Optional[int] = None
    nic: bool = True                  # the source sets hash, checksum verdict and type as a NIC would
    header: int = 128                 # bytes written of each packet; 0 = all
    burst: int = 32
    vary: str = ""
    gap: int = 0                      # TSC clocks between bursts
    workers: int = 1
    memory_mb: int = 512
    launch: tuple = ()
    instructions: bool = False        # callgrind counts it too
    quick: bool = False
    beside: Optional[str] = None      # the figure that counts is the difference to that case
    memory_target_mb: Optional[int] = None
    empty_config: Optional[Callable[[], list]] = None  # the same without the entries whose memory is measured


def underlay():
    return [
        *(f"link set port{i} address {address}" for i, address in enumerate(PORT_MACS)),
        "link set port0 up",
        "link set port1 up",
        f"addr add {LOCAL}/24 dev port0",
        f"neigh add {NEXT_HOP} lladdr {NEXT_HOP_MAC} dev port0 nud permanent",
    ]


def bridge(*members):
    return ["link add br0 type bridge", "link set br0 up", *(f"link set {member} master br0" for member in members)]


def stations(count, block, device):
    """Entries of the bridge. One station alone is learned, as in life; many are there from the start."""
    return [f"fdb add {mac_text(i, block)} dev {device} master static" for i in range(count)]


# Plain bridging and forwarding


def bridge_config(count):
    def lines():
        known = stations(count, NEAR, "port1") if 1 < count < MILLION else []
        return [*underlay()[:4], *bridge("port0", "port1"), *stations(count, FAR, "port0"), *known]

    return lines


def again_and_again(config, line):
    """As many commands as a million entries need, for one entry: what reading them leaves behind is not the entries' memory."""
    return lambda: [*config(), *[line] * MILLION]


def access_frames(count, size=64):
    return lambda: [
        frame(mac(i, FAR), mac(i, NEAR), size, ports=(1024 + i % 50000, 2000)) for i in range(count)
    ]


def ip4_config(routes):
    def lines():
        many = [f"route add {address_text(0x10000000 + (i << 8))}/24 via {NEXT_HOP}" for i in range(routes)]
        return [*underlay(), "addr add 198.51.100.1/24 dev port1", *(many or [f"route add 10.0.0.0/8 via {NEXT_HOP}"])]

    return lines


def routed_frames(count, size=64, first="10.0.0.0"):
    base = int.from_bytes(bytes(map(int, first.split("."))), "big")
    return lambda: [
        frame(raw(PORT_MACS[1]), mac(0, NEAR), size, ip=("198.51.100.2", base + i), ports=(1024 + i % 50000, 2000))
        for i in range(count)
    ]


# VXLAN


def remote(tunnel):
    return address_text(REMOTES + 1 + tunnel)


def vxlan_config(stations_count, tunnels, checksum):
    """Stations are spread over the tunnels; each is known to the bridge and to the tunnel's own FDB."""

    def lines():
        words = [*underlay(), f"route add 100.64.0.0/10 via {NEXT_HOP}", *bridge("port1")]
        for t in range(tunnels):
            words.append(
                f"link add vx{t} type vxlan id {1000 + t} local {LOCAL} remote {remote(t)} dstport 4789 "
                + ("udpcsum" if checksum else "noudpcsum")
            )
            words.append(f"link set vx{t} master br0 up")
        for i in range(stations_count):
            t = i % tunnels
            words.append(f"fdb add {mac_text(i, FAR)} dev vx{t} master static")
            words.append(f"fdb add {mac_text(i, FAR)} dev vx{t} dst {remote(t)} self static")
        return words + stations(stations_count, NEAR, "port1")

    return lines


def inner_from_far(i, size):
    """Station i's frame from behind a tunnel to the one behind port1."""
    return frame(mac(i, NEAR), mac(i, FAR), size, ip=("10.42.0.2", "10.42.0.1"), ports=(2000, 1024 + i % 50000))


def tunnel_frames(count, tunnels, size=64, checksum=False):
    def make():
        packets = []
        for i in range(count):
            inner = inner_from_far(i, size)
            macs = (raw(PORT_MACS[0]), raw(NEXT_HOP_MAC))
            t = i % tunnels
            packets.append(vxlan(inner, 1000 + t, macs, (remote(t), LOCAL), 32768 + i % 28000, checksum))
        return packets

    return make


def flood_config(remotes):
    def lines():
        words = vxlan_config(0, 1, False)()
        return words + [f"fdb append 00:00:00:00:00:00 dev vx0 dst {remote(t)}" for t in range(1, remotes)]

    return lines


def bridge_case(name, title, count=1, size=64, **more):
    return Case(name, title, bridge_config(count), access_frames(count, size), 1, size, "bridge", **more)


def ip4_case(name, title, count=1, size=64, routes=0, **more):
    return Case(name, title, ip4_config(routes), routed_frames(count, size), 1, size, "ip4", **more)


def push_case(name, title, count=1, tunnels=1, size=64, checksum=False, **more):
    return Case(
        name, title, vxlan_config(count, tunnels, checksum), access_frames(count, size), 1, size + VXLAN_OVERHEAD, "push", **more
    )


def pop_case(name, title, count=1, tunnels=1, size=64, checksum=False, **more):
    return Case(
        name, title, vxlan_config(count, tunnels, False), tunnel_frames(count, tunnels, size, checksum), 0, size, "pop", **more
    )


def kind_cases(kind, make, targets, instruction_target):
    """The rows that every way has: flows, sizes, bursts, workers. `targets`: 1 flow, 10k, 10k over 1000 tunnels."""
    tunnel = make in (push_case, pop_case)
    cases = [
        make(kind, f"{kind}, 1 flow", target=targets[0], instruction_target=instruction_target, instructions=True, quick=True),
        make(f"{kind}-10k", f"{kind}, 10k flows", count=MANY, target=targets[1], instructions=True, quick=True),
    ]
    if tunnel:
        cases.append(
            make(
                f"{kind}-10k-1000", f"{kind}, 10k flows, 1000 tunnels", count=MANY, tunnels=TUNNELS, target=targets[2],
                instructions=True, quick=True,
            )
        )
        cases.append(make(f"{kind}-bare", f"{kind}, 1 flow, no help from the NIC", nic=False, instructions=True))
        cases.append(
            make(
                f"{kind}-csum", f"{kind}, 1 flow, UDP checksum, no help from the NIC", checksum=True, nic=False, header=0,
                instructions=True,
            )
        )
        cases.append(
            make(
                f"{kind}-csum-1400", f"{kind}, 1 flow, UDP checksum, no help, 1400 bytes", checksum=True, nic=False, header=0,
                size=1400,
            )
        )
    cases.append(make(f"{kind}-1400", f"{kind}, 1 flow, 1400 bytes", size=1400, target=(kind, 1.1)))
    for burst, factor in ((1, None), (4, 2.0), (256, 1.0)):
        cases.append(make(f"{kind}-b{burst}", f"{kind}, 1 flow, bursts of {burst}", burst=burst, target=factor and (kind, factor)))
    cases.append(make(f"{kind}-2w", f"{kind}, 1 flow a queue, 2 workers", workers=2, target=(kind, 2 / 1.9)))
    return cases


def plain_and_vxlan_cases():
    # 4 bytes at an offset: of the destination MAC, of the source MAC, of the IPv4 destination.
    any_station = f"2:{FAR << 24:#x}:1:{MILLION}"
    new_station = f"8:0x0c000000:1:{1 << 22}:1"
    any_route = f"30:0x10000001:256:{MILLION}"
    big = {"memory_mb": 2048, "launch": ("--fdb-size", str(MILLION * 4), "--route4-size", str(MILLION * 2))}
    return [
        *kind_cases("bridge", bridge_case, (22, 45), 110),
        Case(
            "bridge-1m", "bridge, 1M stations, uniform", bridge_config(MILLION), access_frames(1), 1, 64, "bridge",
            target=("bridge-10k", 2.0), vary=any_station, memory_target_mb=100,
            empty_config=again_and_again(bridge_config(1), f"fdb replace {mac_text(0, FAR)} dev port0 master static"), **big,
        ),
        *kind_cases("ip4", ip4_case, (22, 32), 110),
        ip4_case(
            "ip4-1m", "ip4, 1M routes, uniform", routes=MILLION, target=("ip4-10k", 1.5), vary=any_route,
            memory_target_mb=600,
            empty_config=again_and_again(ip4_config(0), f"route replace 10.0.0.0/8 via {NEXT_HOP}"), **big,
        ),
        *kind_cases("push", push_case, (35, 60, 70), 180),
        *kind_cases("pop", pop_case, (40, 65, 75), 210),
        *(
            Case(
                f"flood-{n}", f"flood to {n} remotes, clocks a copy", flood_config(n), flood_frames, 1, 64 + VXLAN_OVERHEAD,
                "flood", copies=n, target=60, instructions=n == 10, quick=n == 10,
            )
            for n in (10, 100)
        ),
        Case(
            "bridge-paced", "bridge, 1 flow, a burst now and then", bridge_config(1), access_frames(1), 1, 64, "learn", gap=PACE,
            quick=True, **big,
        ),
        Case(
            "learn", "learning a new MAC (beyond that)", bridge_config(1), access_frames(1), 1, 64, "learn", target=60,
            vary=new_station, gap=PACE, beside="bridge-paced", quick=True, **big,
        ),
    ]


def flood_frames():
    return [frame(b"\xff" * 6, mac(0, NEAR), 64)]
