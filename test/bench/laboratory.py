# SPDX-License-Identifier: BSD-3-Clause
"""Starts programs with bench ports, lets them run one at a time, and reads what the ports counted."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import packets
from sampling import PortStatistics, Window, is_complete, look, totals

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/interop"))
from control_client import ControlSocket  # noqa: E402

SETTLE_S = 0.03
LEAST_PACKETS = 2000  # of each worker in a window
STARVED_S = 5
START_S = 120
PREFIX = "culvert-bench-"
EAL_WORDS = ("--no-shconf", "--no-pci", "--no-telemetry")
PORT_WORDS = ("--vdev=net_null0", "--vdev=net_null1")

LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: kills stopped programs too


def go_first():
    """Ahead of what else the machine does, where we may."""
    die_with_parent()
    with contextlib.suppress(OSError):
        os.nice(-10)


HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def free_hugepages_mb():
    try:
        return 2 * int((HUGEPAGES / "free_hugepages").read_text())
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def hugepages_mb(wanted):
    """So many more of the kernel's hugepages while it lasts; RuntimeError where there are none to be had."""
    number = HUGEPAGES / "nr_hugepages"
    before = number.read_text()
    try:
        number.write_text(str(int(before) + wanted // 2))
        if free_hugepages_mb() < wanted:
            raise RuntimeError(f"--hugepages: the kernel gave {free_hugepages_mb()} MB of {wanted}")
        yield
    finally:
        number.write_text(before)


def lcores(workers):
    """Control on the first CPU, the first worker on the last: they are never the same where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    places = [cpus[0], *(cpus[-1 - i % len(cpus)] for i in range(workers))]
    return ",".join(f"{lcore}@{cpu}" for lcore, cpu in enumerate(places))


def reap_stale(base):
    """Removes what a run left behind that was killed with no time to tidy up."""
    for folder in Path(base or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        match = re.match(rf"{PREFIX}(\d+)-", folder.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def state_of(task):
    """A thread's state letter; X where it is gone."""
    try:
        return (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "X"


def end_process(process):
    """Stopped or not."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Program:
    """A process with bench ports. The laboratory ends it, however far it came."""

    def __init__(self, lab, name, port_options):
        self.lab, self.name = lab, name
        self.folder = lab.folder / name
        self.folder.mkdir(exist_ok=True)
        self.log = self.folder / "log"
        self.process = None
        self.ports = []
        self.uses_hugepages = False
        # EAL's own files go where ours are, so nothing is left of a program that was killed.
        self.env = {**os.environ, "LD_PRELOAD": str(lab.module), "RUNTIME_DIRECTORY": str(self.folder)}
        for number, options in enumerate(port_options):
            self.env[f"CULVERT_BENCH_PORT{number}"] = f"{options},statistics={self.statistics_file(number)}".lstrip(",")
        lab.programs.append(self)

    def memory_words(self, memory_mb, may_be_huge=True):
        """EAL's options. --in-memory: hugepages need no mounted file system, and no rights to one."""
        self.uses_hugepages = may_be_huge and free_hugepages_mb() > memory_mb + 64
        return ["--in-memory" if self.uses_hugepages else "--no-huge", "-m", memory_mb, *EAL_WORDS]

    def launch(self, words, before=go_first):
        with open(self.log, "wb") as log:
            # testpmd without -i ends when its input does.
            self.process = subprocess.Popen(
                [str(word) for word in words], env=self.env, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=before,
            )

    def statistics_file(self, number):
        return self.folder / f"port{number}"

    def log_text(self):
        return self.log.read_text(errors="replace")

    def wait_until(self, what, condition, seconds=START_S):
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log_text()[-3000:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name}: no {what} after {seconds} s:\n{self.log_text()[-3000:]}")
            time.sleep(0.02)

    def open_ports(self, count=2):
        files = [self.statistics_file(number) for number in range(count)]
        self.wait_until("bench ports (is it linked with DPDK's shared libraries?)", lambda: all(map(is_complete, files)))
        self.ports = [PortStatistics(file) for file in files]
        self.wait_until("first packet", lambda: any(rx[0][0] for rx in look(self.ports)[0]))

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        end = time.monotonic() + STARVED_S
        while any(state not in "TZX" for state in map(state_of, tasks.iterdir())):
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not rest")
            time.sleep(0.001)

    def window(self, seconds):
        """Runs for a while, and gives what happened after it had settled."""
        at_rest = totals(self.ports)
        self.process.send_signal(signal.SIGCONT)
        self.run_for(SETTLE_S)
        before = look(self.ports)
        self.run_for(seconds)
        after = look(self.ports)
        self.pause()
        moved = [now - then for now, then in zip(totals(self.ports), at_rest)]
        return Window(before, after, self.ports[0].bins_per_clock, *moved)

    def run_for(self, seconds):
        """Longer where the machine gives the workers no time."""
        queues = [(port, queue) for port in self.ports for queue in range(port.queues) if port.packets(queue)]
        before = [port.packets(queue) for port, queue in queues]
        end = time.monotonic() + STARVED_S
        time.sleep(seconds)
        while time.monotonic() < end and any(
            port.packets(queue) - then < LEAST_PACKETS for (port, queue), then in zip(queues, before)
        ):
            time.sleep(0.01)

    def close(self):
        for port in self.ports:
            port.close()
        self.ports = []
        if self.process is not None:
            end_process(self.process)
            self.process.stdin.close()
        if self in self.lab.programs:
            self.lab.programs.remove(self)


class Culvert(Program):
    """culvert, configured for a case."""

    def __init__(self, lab, case, wrapper=(), extra="", may_be_huge=True):
        folder = lab.folder / case.name
        folder.mkdir(exist_ok=True)
        config = folder / "culvert.conf"
        config.write_text("\n".join(case.config()) + "\n")
        self.socket = folder / "socket"
        self.control = None
        options = port_options(folder, case)
        if extra:  # the other port's packets are not counted either
            options = [f"{words}{extra}".lstrip(",") for words in options]
        super().__init__(lab, case.name, options)
        if wrapper:
            self.env["CULVERT_BENCH_REPEATABLE"] = "1"
        words = [*wrapper, lab.culvert, "--lcores", lcores(case.workers), *self.memory_words(case.memory_mb, may_be_huge)]
        words += [*PORT_WORDS, "--", "-s", self.socket, "-c", config, "--burst", max(case.burst, 32), *case.launch]
        words += ["--rxq", case.workers, "--txq", case.workers]
        started = time.monotonic()
        self.launch(words, die_with_parent if wrapper else go_first)
        self.wait_until("answer on the control socket", self.answers)
        self.answer_s = time.monotonic() - started
        self.open_ports()
        self.start_s = time.monotonic() - started

    def resident_mb(self):
        """What it has touched, EAL's memory included where that is not of hugepages."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def answers(self):
        try:
            self.control = ControlSocket(self.socket, 60)
            return self.control.request("show drops")["ok"]
        except OSError:
            return False

    def request(self, line):
        return self.control.request(line)

    def close(self):
        if self.control is not None:
            self.control.close()
        super().close()


class Testpmd(Program):
    """Debian's dpdk-testpmd on a case's packets."""

    def __init__(self, lab, mode, case):
        folder = lab.folder / f"testpmd-{mode}"
        folder.mkdir(exist_ok=True)
        super().__init__(lab, folder.name, port_options(folder, case))
        words = ["dpdk-testpmd", "--lcores", lcores(1), *self.memory_words(512), *PORT_WORDS, "--"]
        self.launch([*words, f"--forward-mode={mode}", "--auto-start", "--burst=32", "--total-num-mbufs=16384"])
        self.open_ports()
        self.pause()


def port_options(folder, case):
    """What the case's two bench ports are told."""
    options = ["", ""]
    options[case.source] = source_options(folder, case)
    return options


def source_options(folder, case):
    file = folder / "templates.pcap"
    packets.write_pcap(file, case.packets())
    words = [f"rx={file}", f"header={case.header}", f"nic={int(case.nic)}"]
    if case.burst < 32:
        words.append(f"burst={case.burst}")
    if case.gap:
        words.append(f"gap={case.gap}")
    if case.vary:
        words.append(f"vary={case.vary}")
    return ",".join(words)


class Laboratory:
    """The `with` block of a measurement."""

    def __init__(self, build, wanted_hugepages_mb=0):
        self.build = build
        self.wanted_hugepages_mb = wanted_hugepages_mb
        self.reserved = contextlib.ExitStack()
        self.culvert = build / "app/culvert/culvert"
        self.module = build / "test/bench/source/bench_ports.so"
        self.prefix = f"{PREFIX}{os.getpid()}"
        self.folder = None
        self.programs = []
        self.tsc_hz = 0

    def __enter__(self):
        # EAL's files and ours; shared memory, so that counting costs no disk.
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        reap_stale(base)
        # An end by these signals is one that tidies up, as ctrl-C's is.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        if self.wanted_hugepages_mb:
            self.reserved.enter_context(hugepages_mb(self.wanted_hugepages_mb))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-", dir=base))
        return self

    def __exit__(self, *_):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.end_programs()
        self.reserved.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_programs(self):
        for program in reversed(list(self.programs)):
            with contextlib.suppress(OSError):
                program.close()

    def testpmd(self, mode, case):
        """None where it is not installed."""
        return Testpmd(self, mode, case) if shutil.which("dpdk-testpmd") else None

    def start(self, case):
        program = Culvert(self, case)
        self.tsc_hz = program.ports[0].tsc_hz
        return program


def spread(values):
    """(median, p10, p90)"""
    ordered = sorted(values)
    at = lambda q: ordered[min(len(ordered) - 1, round(q * (len(ordered) - 1)))]  # noqa: E731
    return statistics.median(ordered), at(0.1), at(0.9)
