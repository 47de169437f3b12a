# SPDX-License-Identifier: BSD-3-Clause
"""Hosts and cables: network namespaces with the kernel's own tunnels in them, and what plugs them into culvert's ports."""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import time

import stream
from echo import echo

SLOW = float(os.environ.get("CULVERT_TEST_SLOW", "1"))  # sanitizers and valgrind stretch every timeout
PR_SET_PDEATHSIG = 1
TIMEOUT_S = 30  # for a TCP stream
LIBC = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """The test needs what this machine does not have."""


def wait_until(predicate, timeout=5.0, what="the condition"):
    """Polls until `predicate()` is true and returns its value; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout * SLOW:g} s in vain for {what}; last seen: {value!r}"
        time.sleep(0.02)


def run(*words, check=True, timeout=60.0, **more):
    """Runs a command to its end; its output is in .stdout, errors included."""
    result = subprocess.run(
        [str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout * SLOW,
        check=False, stdin=subprocess.DEVNULL, **more,
    )
    assert not check or result.returncode == 0, f"{' '.join(map(str, words))}: exit {result.returncode}\n{result.stdout}"
    return result


def die_with_parent():
    """For Popen(preexec_fn=...): a test that is killed takes what it started with it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Namespace:
    """A host: a network namespace without IPv6's own chatter."""

    def __init__(self, name):
        self.name = name
        self.streams = {}
        run("ip", "netns", "add", name)
        if os.path.isdir("/proc/sys/net/ipv6"):
            for device in ("all", "default", "lo"):
                self.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 1)
        self.ip("link set lo up")

    def close(self):
        run("ip", "netns", "del", self.name, check=False)

    def exec(self, *words, **more):
        return run("ip", "netns", "exec", self.name, *words, **more)

    def popen(self, *words, **more):
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *map(str, words)], stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, **more
        )

    def ip(self, line, **more):
        """An ip(8) command line in this namespace."""
        return run("ip", "-n", self.name, *line.split(), **more)

    def bridge(self, line, **more):
        return run("bridge", "-n", self.name, *line.split(), **more)

    def sysctl(self, key, value):
        with self.inside(), open(f"/proc/sys/{key.replace('.', '/')}", "w", encoding="ascii") as file:
            file.write(str(value))

    def ip_json(self, line):
        return json.loads(self.ip(f"-j {line}").stdout or "[]")

    def stats(self, device):
        """The kernel's counters of a device: {"rx": {"packets": ...}, "tx": {...}}."""
        return self.ip_json(f"-s link show dev {device}")[0]["stats64"]

    def mac(self, device):
        return self.ip_json(f"link show dev {device}")[0]["address"]

    def neighbours(self):
        return {n["dst"]: n.get("lladdr") for n in self.ip_json("neigh show")}

    def vxlan(self, name, options, addresses=(), mtu=None):
        self.tunnel(name, "vxlan", options, addresses, mtu)

    def tunnel(self, name, kind, options, addresses=(), mtu=None):
        """The far end of a tunnel: the kernel's own device, up, with addresses."""
        self.ip(f"link add {name} type {kind} {options}")
        if mtu is not None:
            self.ip(f"link set {name} mtu {mtu}")
        for address in addresses:
            self.ip(f"addr add {address} dev {name}")
        self.ip(f"link set {name} up")

    def ping(self, target, count=3, length=84, wait=5.0, **header):
        """Echo requests of `length` bytes of IP, all of which must be answered. Returns the answers' TTLs."""
        answers = echo(self, target, count, length, wait * SLOW, **header)
        assert len(answers) == count, f"ping {target} from {self.name}, {length} bytes: only {sorted(answers)} of {count} answered"
        return set(answers.values())

    def ping_in_vain(self, target, count=3, wait=0.5):
        """Echo requests, none of which must be answered."""
        answers = echo(self, target, count, 84, wait * SLOW)
        assert not answers, f"ping {target} from {self.name}: {sorted(answers)} answered"

    def reaches(self, target):
        """Whether one request is answered within a second: to be waited for."""
        return bool(echo(self, target, 1, 84, 1.0 * SLOW))

    def receive_stream(self, address):
        """A port at which one TCP stream is awaited."""
        receiver = stream.Receiver(self, address, TIMEOUT_S * SLOW)
        self.streams[receiver.port] = receiver
        return receiver.port

    def received(self, port):
        """What came to that port: its length and its hash."""
        return self.streams.pop(port).result()

    def send_stream(self, address, port, length):
        """Sends that many bytes; returns what received() must say."""
        return stream.send(self, address, port, length, TIMEOUT_S * SLOW)

    def cable(self, switch, device, wire, mtu):
        """`device` in this host, `wire` in the switch's namespace, and a cable between them."""
        self.ip(f"link add {device} mtu {mtu} type veth peer name {wire} mtu {mtu} netns {switch.name}")
        return wire

    @contextlib.contextmanager
    def inside(self):
        """Within this block the calling thread is in the namespace: sockets opened here stay in it."""
        with open("/proc/thread-self/ns/net", "rb") as here, open(f"/run/netns/{self.name}", "rb") as there:
            enter_namespace(there)
            try:
                yield
            finally:
                enter_namespace(here)


def enter_namespace(handle):
    if LIBC.setns(handle.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


class Port:
    """One port of culvert, and the end of its cable: `device` in `host`.

    A tap: the kernel's side of net_tap moves to the host. Or, since net_tap takes no more than 1504 bytes, a veth pair that
    culvert opens by net_pcap.
    """

    def __init__(self, host, device="eth0", addresses=(), mtu=1500, mac=None, tap=True):
        self.host, self.device, self.addresses, self.mtu, self.tap = host, device, addresses, mtu, tap
        self.peer_mac = mac
        self.mac = None  # culvert's

    def prepare(self, home, index):
        """Before culvert starts, in `home`; returns EAL's word for the port."""
        name = f"cv{index}"
        if self.tap:
            return f"--vdev=net_tap{index},iface={name}"
        home.ip(f"link add {name} mtu {self.mtu} type veth peer name {self.device} mtu {self.mtu} netns {self.host.name}")
        home.ip(f"link set {name} up")
        complete_checksums(self.host, self.device)
        return f"--vdev=net_pcap{index},rx_iface_in={name},tx_iface={name}"

    def plug(self, home, index, mac):
        """Once culvert runs and its port has the address `mac`."""
        self.mac = mac
        if self.tap:
            home.ip(f"link set cv{index} netns {self.host.name} name {self.device}")
        # A tap's two ends were born with one MAC; the host's end takes another.
        self.peer_mac = self.peer_mac or f"02:aa:{mac[6:]}"
        self.host.ip(f"link set {self.device} address {self.peer_mac} mtu {self.mtu} up")
        for address in self.addresses:
            self.host.ip(f"addr add {address} dev {self.device}")


def complete_checksums(host, device):
    """What ethtool -K DEVICE tx off does: a veth hands on packets whose checksums are still to be filled in."""
    with host.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in (0x17, 0x1F):  # ETHTOOL_STXCSUM, ETHTOOL_STSO: off
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(value)) + bytes(16)
            fcntl.ioctl(any_socket, 0x8946, request)  # SIOCETHTOOL
