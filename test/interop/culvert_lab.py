# SPDX-License-Identifier: BSD-3-Clause
"""A laboratory for one test: namespaces, Linux peers in them, and culvert between them.

Everything made here is taken down again when the `with Lab()` block ends, however it ends. Names carry the process id, so
tests run side by side; what a killed run left behind is removed by `reap_stale()`.

culvert runs in a namespace of its own. Its ports are net_tap devices; once it answers on its control socket, the kernel's
side of each tap moves into the namespace of the host that shall sit at the other end of that "cable".
"""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from control_client import ControlSocket, Refused
from hosts import SLOW, Namespace, Port, Skip, run, wait_until
from peers import Choice

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CULVERT_BUILD", ROOT / "build"))
PREFIX = "culvert-test"
__all__ = ["BUILD", "PREFIX", "ROOT", "SLOW", "Lab", "Port", "Skip", "lcores", "program", "reap_stale", "run", "wait_until"]


def reap_stale():
    """Removes namespaces of test processes that are gone, and what still runs in them."""
    for line in run("ip", "netns", "list").stdout.splitlines():
        name = line.split()[0] if line.split() else ""
        match = re.match(rf"{PREFIX}-(\d+)-", name)
        if match and not Path(f"/proc/{match[1]}").exists():
            for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", name, check=False)


def lcores(workers):
    """The control lcore and the workers, all floating over the CPUs we may use: several culverts share a small machine."""
    cpus = ",".join(str(c) for c in sorted(os.sched_getaffinity(0)))
    return ",".join(f"{lcore}@({cpus})" for lcore in range(workers + 1))


def program(name):
    for path in (BUILD / "app" / name / name, BUILD / "app" / name, BUILD / "bin" / name):
        if path.is_file():
            return path
    raise AssertionError(f"{name} is not built in {BUILD} (scripts/build)")


class Culvert:
    """The program under test with its ports cabled up, talking through its control socket."""

    def __init__(
        self, lab, ports, config="", launch=(), workers=1, memory=("--no-huge", "--no-shconf", "-m", 512), link_local=False
    ):
        self.lab, self.ports = lab, ports
        self.home = lab.namespace("culvert")
        self.name = self.home.name
        self.socket = lab.folder / f"{self.name}.sock"
        self.config = lab.folder / f"{self.name}.conf"
        self.config.write_text(config if link_local else config + self.without_link_local(config))
        self.log = lab.folder / f"{self.name}.log"
        words = [program("culvert"), "--lcores", lcores(workers), *memory, "--no-pci"]
        words += ["--no-telemetry", f"--file-prefix={self.name}"]
        words += [port.prepare(self.home, index) for index, port in enumerate(ports)]
        words += ["--", "-s", self.socket, "-c", self.config, "--idle-sleep", 50, *launch]
        with open(self.log, "wb") as log:
            self.process = self.home.popen(*words, stdout=log, stderr=subprocess.STDOUT)
        self.control = None
        wait_until(self.answers, 20, f"an answer on culvert's control socket\n{self.words()}")
        self.pool_at_start, self.drops_at_start = None, {}
        for index, port in enumerate(ports):
            port.plug(self.home, index, self.link(f"port{index}")["address"])
        # Both at once: what links say when they come up may be on its way again a moment later.
        at_rest = wait_until(self.balanced, 5, "the conservation sum at the start")
        self.pool_at_start = self.free_packets(at_rest)
        # A tap takes nothing until the host's side is up, and culvert may have had a group to report by then.
        self.drops_at_start = self.drops()

    def without_link_local(self, config):
        """Commands that keep the links from IPv6's own chatter: detection of duplicates, a packet a link, would be counted."""
        made = re.findall(r"^link add (?:link \S+ )?(?:name )?(\S+)(?=.* type (?:vxlan|gretap|bridge|dummy|vlan))", config, re.M)
        names = [f"port{index}" for index in range(len(self.ports))] + made
        return "".join(f"link set {name} addrgenmode none\n" for name in names)

    def words(self):
        return self.log.read_text(errors="replace")

    def answers(self):
        assert self.process.poll() is None, f"culvert exited with {self.process.returncode}:\n{self.words()}"
        try:
            self.control = ControlSocket(self.socket, 10 * SLOW)
            return self.control.request("show lcores")["ok"]
        except OSError:
            return False

    # Commands

    def request(self, line):
        """The whole reply to a command line, refused or not."""
        return self.control.request(line)

    def do(self, *lines):
        """Commands that must be accepted; returns the last one's text."""
        for line in lines:
            reply = self.request(line)
            if not reply["ok"]:
                raise Refused(line, reply)
        return reply.get("output", "")

    def json(self, line):
        reply = self.request(f"-j {line}")
        if not reply["ok"]:
            raise Refused(line, reply)
        return reply["data"] if reply.get("data") is not None else json.loads(reply["output"])

    def refused(self, line):
        """A command that must be refused; returns (errno's name, message)."""
        reply = self.request(line)
        assert not reply["ok"], f"'{line}' was accepted: {reply}"
        return reply["errno"], reply["error"]

    # What it counts

    def link(self, name):
        return self.json(f"-s -s link show {name}")[0]

    def stats(self, name):
        return self.link(name)["stats64"]

    def drops(self):
        """{reason: packets} since the ports were plugged, summed over links and directions."""
        total = {reason: -packets for reason, packets in self.drops_at_start.items()}
        for row in self.json("show drops"):
            total[row["reason"]] = total.get(row["reason"], 0) + row["packets"]
        return {reason: packets for reason, packets in total.items() if packets != 0}

    def dropped(self, reason):
        return self.drops().get(reason, 0)

    def remotes(self, device):
        """A vxlan device's own table: {mac: [remote, ...]}."""
        table = {}
        for row in self.json(f"fdb show dev {device}"):
            if "self" in row["flags"] and "dst" in row:
                table.setdefault(row["mac"], []).append(row["dst"])
        return table

    def stations(self, device):
        """The MACs that the bridge has learned behind a member."""
        rows = self.json(f"fdb show dev {device}")
        return {row["mac"] for row in rows if "master" in row and row.get("state") != "permanent"}

    def process_counters(self):
        return self.json("show process")

    def balanced(self):
        """interface.md section 8, at rest: every packet received or made has exactly one fate."""
        now = self.process_counters()
        made = now["rx"] + now["originated"] + now["replicated"]
        return now if made == now["tx"] + now["drops"] + now["consumed"] and now["in_flight"] == 0 else False

    @staticmethod
    def free_packets(counters):
        return counters["mbufs"]["free"] + counters["mbufs"].get("cached", 0)

    def pool_free(self):
        return self.free_packets(self.process_counters())

    def check_conservation(self):
        try:
            wait_until(self.balanced, 6, "rx + originated + replicated = tx + drops + consumed with nothing in flight")
            # A driver may have held a packet at the start that it had not handed over yet: then there is one more.
            wait_until(lambda: self.pool_free() >= self.pool_at_start, 6, f"the pool's {self.pool_at_start} free packets")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.process_counters()}\n{self.drops()}") from None

    # Its end

    def stop(self):
        """What every test ends with: nothing unaccounted for, and a clean exit."""
        self.check_conservation()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20 * SLOW)
        assert code == 0, f"culvert exited with {code}:\n{self.words()}"
        assert not self.socket.exists(), "the control socket is left behind"

    def close(self):
        if self.control is not None:
            self.control.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        run("rm", "-rf", f"/var/run/dpdk/{self.name}")


class Lab:
    """The `with` block of a test. Take-down runs in the reverse order of the making."""

    counter = itertools.count()

    def __init__(self):
        self.things = contextlib.ExitStack()
        self.culverts = []
        self.folder, self.slot = None, None

    def __enter__(self):
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
            raise Skip("needs root and /dev/net/tun")
        self.folder = Path(self.things.enter_context(tempfile.TemporaryDirectory(prefix=f"{PREFIX}-")))
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                for culvert in self.culverts:
                    culvert.stop()
        finally:
            if kind is not None:
                for culvert in self.culverts:
                    self.describe(culvert)
            self.things.close()

    @staticmethod
    def describe(culvert):
        """What a person needs to see of a failed test."""
        print(f"--- {culvert.name}'s log\n{culvert.words()[-4000:]}")
        with contextlib.suppress(Exception):
            for line in ("show drops", "-s link show", "fdb show", "neigh show", "route show", "-j show process"):
                print(f"--- {line}\n{culvert.request(line).get('output')}")

    def namespace(self, name):
        made = Namespace(f"{PREFIX}-{os.getpid()}-{next(self.counter)}-{name}")
        self.things.callback(made.close)
        return made

    def peer(self, name):
        """A Linux host whose kernel has ipip, gre and gretap. Its cable is plug()ged into a switch."""
        if Choice.refusal is not None:
            raise Skip(Choice.refusal)
        if Choice.machine is None:
            return self.namespace(name)
        if self.slot is None:
            self.slot = Choice.machine.take_slot()
            self.things.callback(self.slot.close)
        return self.slot.host(name)

    def culvert(self, ports, config="", **more):
        made = Culvert.__new__(Culvert)
        made.process, made.control = None, None
        try:
            made.__init__(self, ports, config, **more)
        except BaseException:
            if made.process is not None:
                print(f"--- {made.name}'s log\n{made.words()[-4000:]}")
                made.close()
            raise
        self.things.callback(made.close)
        self.culverts.append(made)
        return made

    def process(self, namespace, *words, **more):
        """A program that runs beside the test, ended with it."""
        made = namespace.popen(*words, **more)

        def end():
            made.terminate()
            made.wait(10)

        self.things.callback(end)
        return made

    def switch(self, name="switch"):
        """An Ethernet switch: a namespace with a bridge; `plug(switch, host)` runs a cable to it."""
        made = self.namespace(name)
        made.ip("link add br0 type bridge mcast_snooping 0")
        made.ip("link set br0 up")
        return made

    def plug(self, switch, host, device="eth0", addresses=(), mtu=1500):
        """Returns the name of the cable's end in the switch."""
        wire = host.cable(switch, device, f"p{next(self.counter)}", mtu)
        switch.ip(f"link set {wire} master br0 up")
        for address in addresses:
            host.ip(f"addr add {address} dev {device}")
        host.ip(f"link set {device} up")
        return wire
