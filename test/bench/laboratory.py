# SPDX-License-Identifier: BSD-3-Clause
"""Starts programs with bench ports, lets them run one at a time, and reads what the ports counted."""

import contextlib
import ctypes
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import packets
from sampling import PortStatistics, Window, look, totals

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/interop"))
from control_client import ControlSocket  # noqa: E402

SETTLE_S = 0.03
LEAST_PACKETS = 2000  # of each worker in a window
STARVED_S = 5
START_S = 300


LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: kills stopped programs too


def go_first():
    """Ahead of what else the machine does, where we may."""
    die_with_parent()
    with contextlib.suppress(OSError):
        os.nice(-10)


def free_hugepages_mb():
    try:
        folder = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
        return 2 * int((folder / "free_hugepages").read_text())
    except (OSError, ValueError):
        return 0


def lcores(workers):
    """Control on the first CPU, the first worker on the last: they are never the same where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    places = [cpus[0], *(cpus[-1 - i % len(cpus)] for i in range(workers))]
    return ",".join(f"{lcore}@{cpu}" for lcore, cpu in enumerate(places))


class Program:
    """A DPDK program with two bench ports."""

    def __init__(self, lab, name, words, port_options, workers=1, memory_mb=512, wrapper=()):
        self.lab, self.name = lab, name
        self.folder = lab.folder / name
        self.folder.mkdir(exist_ok=True)
        self.prefix = f"{lab.prefix}-{name}"
        self.log = self.folder / "log"
        self.uses_hugepages = not wrapper and free_hugepages_mb() > memory_mb + 64
        memory = [] if self.uses_hugepages else ["--no-huge"]
        program, own = words
        self.words = [
            *wrapper, program, "--lcores", lcores(workers), *memory, "-m", memory_mb, "--no-shconf", "--no-pci",
            "--no-telemetry", f"--file-prefix={self.prefix}", "--vdev=net_null0", "--vdev=net_null1", "--", *own,
        ]
        env = {**os.environ, "LD_PRELOAD": str(lab.module)}
        if wrapper:
            env["CULVERT_BENCH_REPEATABLE"] = "1"
        for number, options in enumerate(port_options):
            env[f"CULVERT_BENCH_PORT{number}"] = f"{options},statistics={self.statistics_file(number)}".lstrip(",")
        with open(self.log, "wb") as log:
            # testpmd without -i ends when its input does.
            self.process = subprocess.Popen(
                [str(word) for word in self.words], env=env, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent if wrapper else go_first,
            )
        self.ports = []

    def statistics_file(self, number):
        return self.folder / f"port{number}"

    def log_text(self):
        return self.log.read_text(errors="replace")

    def wait_until(self, what, condition):
        end = time.monotonic() + START_S
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log_text()[-3000:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name}: no {what} after {START_S} s:\n{self.log_text()[-3000:]}")
            time.sleep(0.02)

    def open_ports(self):
        self.ports = [PortStatistics(self.statistics_file(number)) for number in (0, 1)]
        self.wait_until("first packet", lambda: any(rx[0][0] for rx in look(self.ports)[0]))

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{self.process.pid}/task")
        for task in status.iterdir():
            while (task / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "TZX":
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
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdin.close()
        shutil.rmtree(f"/var/run/dpdk/{self.prefix}", ignore_errors=True)


class Culvert(Program):
    """culvert, configured for a case."""

    def __init__(self, lab, case, wrapper=(), extra=""):
        folder = lab.folder / case.name
        folder.mkdir(exist_ok=True)
        config = folder / "culvert.conf"
        config.write_text("\n".join(case.config()) + "\n")
        self.socket = folder / "socket"
        own = ["-s", self.socket, "-c", config, "--burst", max(case.burst, 32), *case.launch]
        own += ["--rxq", case.workers, "--txq", case.workers]
        options = ["", ""]
        options[case.source] = source_options(folder, case) + extra
        if extra:  # the other port's packets are not counted either
            options[1 - case.source] = extra.lstrip(",")
        started = time.monotonic()
        super().__init__(lab, case.name, (lab.culvert, own), options, case.workers, case.memory_mb, wrapper)
        self.control = None
        self.wait_until("answer on the control socket", self.answers)
        self.start_s = time.monotonic() - started
        self.open_ports()

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

    def __init__(self, build):
        self.culvert = build / "app/culvert/culvert"
        self.module = build / "test/bench/source/bench_ports.so"
        self.prefix = f"culvert-bench-{os.getpid()}"
        self.folder = None
        self.programs = []
        self.tsc_hz = 0

    def __enter__(self):
        # EAL's files and ours; shared memory, so that counting costs no disk.
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-", dir=base))
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def testpmd(self, mode, case):
        """Debian's dpdk-testpmd on the same packets, None where it is not installed."""
        path = shutil.which("dpdk-testpmd")
        if path is None:
            return None
        name = f"testpmd-{mode}"
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        options = ["", ""]
        options[case.source] = source_options(folder, case)
        own = [f"--forward-mode={mode}", "--auto-start", "--burst=32", "--total-num-mbufs=16384"]
        program = Program(self, name, (path, own), options)
        self.programs.append(program)
        program.wait_until("statistics", lambda: all(program.statistics_file(n).exists() for n in (0, 1)))
        program.open_ports()
        program.pause()
        return program

    def start(self, case):
        program = Culvert(self, case)
        self.programs.append(program)
        self.tsc_hz = program.ports[0].tsc_hz
        return program

    def end(self, program):
        self.programs.remove(program)
        program.close()


def spread(values):
    """(median, p10, p90)"""
    ordered = sorted(values)
    at = lambda q: ordered[min(len(ordered) - 1, round(q * (len(ordered) - 1)))]  # noqa: E731
    return statistics.median(ordered), at(0.1), at(0.9)
