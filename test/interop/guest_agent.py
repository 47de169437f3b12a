# SPDX-License-Identifier: BSD-3-Clause
"""What runs inside the guest: its init, its loader of modules, and the servant of the tests outside.

The guest has a few slots; a test takes one for itself. A slot is a virtio-serial port, on which this program takes calls, and
a NIC on a bridge, to which the hosts of the test are plugged. A call names a host (a network namespace in here, hosts.Namespace) and one of its methods; both ways a line of JSON:

    {"id": 7, "host": "far", "call": "ping", "words": ["10.42.0.1"], "options": {"count": 3}}
    {"id": 7, "value": [64]}        or        {"id": 7, "error": "ping 10.42.0.1 from ...", "log": "Traceback ..."}

On the machine itself `guest_agent.py --files` names the files that a guest needs to run it: what it has loaded by then.
"""

import ctypes
import encodings.ascii  # noqa: F401: these are loaded when they are needed, which --files cannot see
import encodings.idna  # noqa: F401
import encodings.latin_1  # noqa: F401
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import hosts

MODULES = Path("/modules")
PORTS = Path("/sys/class/virtio-ports")
PATIENCE_S = 20
MTU = 9000


def mount(kind, target):
    Path(target).mkdir(parents=True, exist_ok=True)
    if hosts.LIBC.mount(kind.encode(), target.encode(), kind.encode(), 0, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def load(module):
    """insmod, with the number of finit_module(2): glibc has no name for it."""
    with open(module, "rb") as image:
        if hosts.LIBC.syscall(313, image.fileno(), b"", 0) != 0:
            raise OSError(ctypes.get_errno(), f"insmod {module.name}")


def nic(mac):
    """The name of the NIC with this MAC, once it is there."""

    def found():
        devices = Path("/sys/class/net").iterdir()
        return [d.name for d in devices if (d / "address").exists() and (d / "address").read_text().strip() == mac]

    return hosts.wait_until(found, PATIENCE_S, f"the NIC {mac}")[0]


def mac_of(slot):
    return f"52:54:00:00:00:{slot:02x}"


class Slot:
    """Hosts of one test, on one switch with one NIC."""

    def __init__(self, number):
        self.number, self.hosts, self.buffer = number, {}, b""
        self.port, self.switch, self.cables = None, None, itertools.count()

    def open(self):
        def device():
            return [p.name for p in PORTS.iterdir() if (p / "name").read_text().strip() == f"slot{self.number}"]

        name = hosts.wait_until(device, PATIENCE_S, f"slot{self.number}")[0]
        self.port = os.open(f"/dev/{name}", os.O_RDWR)
        device = nic(mac_of(self.number))
        self.switch = f"switch{self.number}"
        hosts.run("ip", "link", "add", self.switch, "type", "bridge", "mcast_snooping", "0")
        for name in (device, self.switch):
            hosts.run("ip", "link", "set", name, "mtu", MTU, "up")
        hosts.run("ip", "link", "set", device, "master", self.switch)

    def serve(self):
        while True:
            request = self.next_request()
            answer = {"id": request.get("id")}
            try:
                answer["value"] = self.perform(request)
            except Exception as error:  # whatever it is, the test shall see it
                answer.update(error=f"{type(error).__name__}: {error}", log=traceback.format_exc())
            line = json.dumps(answer).encode() + b"\n"
            while line:
                line = line[os.write(self.port, line) :]

    def next_request(self):
        """The next line that is a request. A test that was killed may have left half of one."""
        while True:
            while b"\n" not in self.buffer:
                more = os.read(self.port, 65536)
                if not more:  # nobody is at the other end
                    time.sleep(0.02)
                self.buffer += more
            line, self.buffer = self.buffer.split(b"\n", 1)
            try:
                return json.loads(line)
            except ValueError:
                continue

    def perform(self, request):
        words, options = request.get("words", []), request.get("options", {})
        if request["host"] is None:
            return getattr(self, f"do_{request['call']}")(*words, **options)
        value = getattr(self.hosts[request["host"]], request["call"])(*words, **options)
        if isinstance(value, subprocess.CompletedProcess):
            return {"returncode": value.returncode, "stdout": value.stdout}
        return sorted(value) if isinstance(value, set) else value

    def do_clear(self):
        """Before a test: what the one before it left behind goes."""
        for host in self.hosts.values():
            host.close()
        self.hosts.clear()

    def do_host(self, name):
        self.hosts[name] = hosts.Namespace(f"slot{self.number}-{name}")

    def do_cable(self, name, device, mtu):
        """A cable from a host to the slot's switch, which the NIC is part of."""
        wire = f"{self.switch}-{next(self.cables)}"
        self.hosts[name].ip(f"link add {device} mtu {mtu} type veth peer name {wire} mtu {mtu} netns 1")
        hosts.run("ip", "link", "set", wire, "master", self.switch, "up")


def be_init():
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):
        mount(kind, target)
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/")
    for module in sorted(MODULES.iterdir()):
        load(module)
    for devices in ("all", "default"):  # no chatter of the cables' own
        Path(f"/proc/sys/net/ipv6/conf/{devices}/disable_ipv6").write_text("1")
    slots = [Slot(number) for number in range(int(os.environ["slots"]))]
    hosts.run("ip", "link", "set", "lo", "up")
    for slot in slots:
        slot.open()
        threading.Thread(target=slot.serve, daemon=True).start()
    print("the guest is ready", flush=True)
    threading.Event().wait()


def loaded_files():
    """The Python files and shared libraries in this process, and the interpreter."""
    files = {Path(sys.executable).resolve()}
    for module in list(sys.modules.values()):
        for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
            if path and Path(path).is_file():
                files.add(Path(path))
    for line in Path("/proc/self/maps").read_text().splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and words[5].startswith("/") and ".so" in words[5]:
            files.add(Path(words[5]))
    return files


if __name__ == "__main__":
    if sys.argv[1:] == ["--files"]:
        print("\n".join(map(str, sorted(loaded_files()))))
    else:
        try:
            be_init()
        except BaseException:
            traceback.print_exc()
            time.sleep(1)  # init's end is the kernel's panic, and with -no-reboot the machine's end
            raise
