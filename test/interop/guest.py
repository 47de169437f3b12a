# SPDX-License-Identifier: BSD-3-Clause
"""A machine whose kernel has the tunnels that this one's kernel lacks: QEMU, Debian's kernel, guest_agent.py within.

One machine serves a whole run of tests. It is software all the way (TCG): no test depends on whether KVM works here. The
runner starts it; the processes of the tests, which are forked from the runner, share it slot by slot. Nothing of it is a
file: not its file system, not its serial ports, not the locks of its slots. It ends with the runner, however that ends.
"""

import fcntl
import functools
import itertools
import json
import os
import platform
import select
import shutil
import socket
import subprocess
import tempfile
import time

import guest_image
import guest_kernel
from guest_agent import MTU, mac_of
from hosts import SLOW, Namespace, Skip, run, wait_until

QEMU = "qemu-system-x86_64"
BOOT_S = 60
MEMORY_MB = 256
# The tests look at bytes: nothing is left for a device to fill in or to put together.
PLAIN = "csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off," \
    "host_ecn=off,host_ufo=off"


class Machine:
    """In the runner: the virtual machine, and a bridge for each of its NICs in a namespace around it."""

    def __init__(self, name, slots):
        if platform.machine() != "x86_64" or shutil.which(QEMU) is None:
            raise Skip(f"needs a kernel with ipip and gre, or {QEMU}")
        kernel = guest_kernel.kernel()
        self.locks = os.memfd_create("slots")
        self.home = Namespace(name)
        self.sockets, self.process = [], None
        self.log = tempfile.TemporaryFile()
        try:
            self.start(kernel, slots)
        except BaseException:
            self.close()
            raise

    def start(self, kernel, slots):
        image = os.memfd_create("initramfs")
        guest_image.build(f"/proc/self/fd/{image}", kernel)
        words = [QEMU, "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", MEMORY_MB, "-nodefaults", "-no-user-config", "-no-reboot"]
        words += ["-display", "none", "-kernel", kernel.image, "-initrd", f"/proc/self/fd/{image}"]
        words += ["-append", f"console=ttyS0 panic=-1 mitigations=off quiet slots={slots} {guest_image.INIT}"]
        words += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-device", "virtio-serial-pci"]
        theirs = []
        for slot in range(slots):
            self.home.ip(f"tuntap add slot{slot} mode tap")
            self.home.ip(f"link add br{slot} mtu {MTU} type bridge mcast_snooping 0")
            self.home.ip(f"link set slot{slot} mtu {MTU} master br{slot} up")
            self.home.ip(f"link set br{slot} up")
            ours, other = socket.socketpair()
            self.sockets.append(ours)
            theirs.append(other)
            words += ["-chardev", f"socket,id=slot{slot},fd={other.fileno()}"]
            words += ["-device", f"virtserialport,chardev=slot{slot},name=slot{slot}"]
            words += ["-netdev", f"tap,id=net{slot},ifname=slot{slot},script=no,downscript=no,vnet_hdr=off"]
            words += ["-device", f"virtio-net-pci,netdev=net{slot},mac={mac_of(slot)},host_mtu={MTU},{PLAIN}"]
        try:
            inherited = [image, *(s.fileno() for s in theirs)]
            self.process = self.home.popen(*words, stdout=self.log, stderr=subprocess.STDOUT, pass_fds=inherited)
        finally:
            os.close(image)
            for one in theirs:
                one.close()

    def words(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")[-4000:]

    def take_slot(self):
        """In a test's process: a slot of its own, as soon as there is one; it is given back when the process ends."""

        def free():
            for number in range(len(self.sockets)):
                try:
                    fcntl.lockf(self.locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                except BlockingIOError:
                    continue
                return Slot(self, number)
            return None

        return wait_until(free, BOOT_S, "a free slot of the guest")

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for one in self.sockets:
            one.close()
        self.home.close()
        self.log.close()
        os.close(self.locks)


class Slot:
    """In a test: its share of the machine, which can make hosts."""

    counter = itertools.count()

    def __init__(self, machine, number):
        self.machine, self.number = machine, number
        self.socket, self.pending = machine.sockets[number], b""
        self.switch, self.outside = None, None
        self.call(None, "clear", patience=BOOT_S)

    def close(self):
        self.machine.home.ip(f"link del wire{self.number}", check=False)
        self.call(None, "clear")
        fcntl.lockf(self.machine.locks, fcntl.LOCK_UN, 1, self.number)

    def host(self, name):
        self.call(None, "host", name)
        return GuestHost(self, name)

    def cable(self, switch, wire):
        """Returns the end of the cable in the switch: `wire`, or what it was called the first time."""
        if self.switch is None:
            inner, home = f"wire{self.number}", self.machine.home
            home.ip(f"link add {inner} mtu {MTU} type veth peer name {wire} mtu {MTU} netns {switch.name}")
            home.ip(f"link set {inner} master br{self.number} up")
            self.switch, self.outside = switch, wire
        assert self.switch is switch, "a guest's hosts are all on one switch"
        return self.outside

    def call(self, host, method, *words, patience=60.0, **options):
        key = f"{os.getpid()}-{next(self.counter)}"
        request = {"id": key, "host": host, "call": method, "words": words, "options": options}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + patience * SLOW
        while (answer := self.next_answer(deadline)).get("id") != key:
            pass  # for a test that was killed before it came
        if "error" in answer:
            raise AssertionError(f"in the guest: {answer['error']}\n{answer['log']}")
        value = answer["value"]
        if isinstance(value, dict) and value.keys() == {"returncode", "stdout"}:
            return subprocess.CompletedProcess([method, *words], **value)
        return value

    def next_answer(self, deadline):
        while b"\n" not in self.pending:
            ready = select.select([self.socket], [], [], max(0.0, deadline - time.monotonic()))[0]
            more = self.socket.recv(65536) if ready else b""
            if not more:
                raise AssertionError(f"the guest {'does not answer' if not ready else 'is gone'}:\n{self.machine.words()}")
            self.pending += more
        line, self.pending = self.pending.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError:
            return {}


class GuestHost:
    """A host in the guest: what a Namespace can do, done there. Sockets cannot be had out of it."""

    def __init__(self, slot, name):
        self.slot, self.name = slot, name

    def __getattr__(self, method):
        if method.startswith("_") or not hasattr(Namespace, method):
            raise AttributeError(method)
        return functools.partial(self.slot.call, self.name, method)

    def ping(self, *words, **options):
        return set(self.slot.call(self.name, "ping", *words, **options))

    def cable(self, switch, device, wire, mtu):
        """All hosts of the slot are on one switch in there; it gets a cable to the one out here with the first of them."""
        self.slot.call(None, "cable", self.name, device, mtu)
        return self.slot.cable(switch, wire)
