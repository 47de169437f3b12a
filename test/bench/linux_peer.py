# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's own bridge, routes and vxlan on a case's packets, in a name space of their own.

    testpmd: bench source -> net_af_packet on load0 === in0, the kernel's work, out0 (an ifb, which drops what it is given)

All of it happens on testpmd's CPU, inside the system call that sends, so the same clock covers it. What the load itself
takes (packet socket, veth, the kernel's receive path up to where it looks for somebody who wants the packet) is measured
by sending the same packets to an in0 that has nobody behind it, and taken off.
"""

import os
import re
import tempfile
from pathlib import Path

from bench_cases import FAR, LOCAL, MANY, NEAR, NEXT_HOP, NEXT_HOP_MAC, PORT_MACS, TUNNELS, remote
from hosts import Namespace, run
from laboratory import PREFIX, Program, lcores, port_options
from packets import mac_text

NOBODYS_MAC = "02:00:00:00:00:30"
IN_MACS = {"bridge": NOBODYS_MAC, "push": NOBODYS_MAC, "ip4": PORT_MACS[1], "pop": PORT_MACS[0]}


def can_do(case):
    """(what, stations, tunnels), or None."""
    match = re.fullmatch(r"(bridge|ip4|push|pop)(-10k)?(-1000)?", case.name)
    return match and (match[1], MANY if match[2] else 1, TUNNELS if match[3] else 1)


def reap_stale():
    """Removes name spaces of runs that were killed."""
    for line in run("ip", "netns", "list").stdout.splitlines():
        match = re.match(rf"{PREFIX}(\d+)-\S*", line)
        if match and not Path(f"/proc/{match[1]}").exists():
            run("ip", "netns", "del", match[0], check=False)


class Kernel(Program):
    """testpmd as the load, and the kernel set up for the case, or not at all."""

    def __init__(self, lab, case, is_set_up):
        self.what, self.stations, self.tunnels = can_do(case)
        folder = lab.folder / f"linux-{case.name}-{is_set_up}"
        folder.mkdir(exist_ok=True)
        super().__init__(lab, folder.name, port_options(folder, case)[case.source : case.source + 1])
        self.space = None
        self.space = Namespace(f"{PREFIX}{os.getpid()}-{'kernel' if is_set_up else 'load'}")
        self.prepare(IN_MACS[self.what] if is_set_up else NOBODYS_MAC)
        if is_set_up:
            {"bridge": self.bridged, "ip4": self.routed, "push": self.pushed, "pop": self.popped}[self.what]()
        words = ["ip", "netns", "exec", self.space.name, "dpdk-testpmd", "--lcores", lcores(1), *self.memory_words(256)]
        words += ["--vdev=net_null0", "--vdev=net_af_packet0,iface=load0,qdisc_bypass=1", "--"]
        self.launch([*words, "--forward-mode=io", "--auto-start", "--burst=32", "--total-num-mbufs=8192", "--no-flush-rx"])
        self.open_ports(1)
        self.pause()

    def close(self):
        super().close()
        if self.space is not None:
            self.space.close()

    def arrived(self):
        """Packets that the kernel sent on, from the first one."""
        return self.space.stats("out0")["rx"]["packets"]

    def batch(self, program, lines):
        """Many commands of ip(8) or bridge(8) in one process."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            self.space.exec(program, "-batch", file.name)

    def prepare(self, in_mac):
        for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0"):
            name, value = setting.split("=")
            self.space.exec("sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{name.replace('.', '/')}")
        self.batch("ip", [
            f"link add load0 type veth peer name in0 address {in_mac}",
            f"link add out0 address {PORT_MACS[0]} type ifb",
            "link set load0 up", "link set in0 up", "link set out0 up",
        ])  # fmt: skip

    def know(self, block, devices):
        self.batch("bridge", [
            f"fdb add {mac_text(i, block)} dev {devices[i % len(devices)]} master static" for i in range(self.stations)
        ])  # fmt: skip

    def bridge(self, *members):
        lines = ["link add br0 type bridge mcast_snooping 0", "link set br0 up"]
        self.batch("ip", [*lines, *(f"link set {member} master br0 up" for member in members)])

    def underlay(self, device):
        self.batch("ip", [
            f"addr add {LOCAL}/24 dev {device}", f"neigh add {NEXT_HOP} lladdr {NEXT_HOP_MAC} dev {device} nud permanent",
            f"route add 100.64.0.0/10 via {NEXT_HOP}",
        ])  # fmt: skip

    def add_tunnels(self, other):
        """Bridged with `other`. Each knows its remote by its own FDB too, as in culvert's case."""
        names = [f"vx{t}" for t in range(self.tunnels)]
        self.batch("ip", [
            f"link add {name} type vxlan id {1000 + t} local {LOCAL} remote {remote(t)} dstport 4789 noudpcsum"
            for t, name in enumerate(names)
        ])  # fmt: skip
        self.bridge(other, *names)
        self.know(FAR, names)
        self.batch("bridge", [
            f"fdb add {mac_text(i, FAR)} dev vx{i % self.tunnels} dst {remote(i % self.tunnels)} self static"
            for i in range(self.stations)
        ])  # fmt: skip
        self.know(NEAR, [other])

    def bridged(self):
        self.bridge("in0", "out0")
        self.know(FAR, ["out0"])
        self.know(NEAR, ["in0"])

    def routed(self):
        self.underlay("out0")
        self.batch("ip", ["addr add 198.51.100.1/24 dev in0", f"route add 10.0.0.0/8 via {NEXT_HOP}"])

    def pushed(self):
        self.underlay("out0")
        self.add_tunnels("in0")

    def popped(self):
        self.underlay("in0")
        self.add_tunnels("out0")
