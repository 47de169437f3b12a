#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long a million IPv4 and 200,000 IPv6 routes take to load from a file, and whether lookups then are right; how long it takes
to change 50,000 of them, and to take them all out when their port goes down, and how fast a worker receives meanwhile.

    test/bench/many_routes.py [FOLDER OF A BUILD] [IPV4 ROUTES] [IPV6 ROUTES]

Prefixes are random, their lengths spread as in the Internet's tables; 64 gateways a family. Some hundred answers of `route get`
are held against a longest match of our own.
"""

import ipaddress
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUP = """addr add 192.0.2.1/24 dev port0
addr add 2001:db8::1/64 dev port0 nodad
"""
LENGTHS = {
    4: {24: 62, 23: 9, 22: 11, 21: 5, 20: 4, 19: 3, 18: 2, 17: 1, 16: 3},
    6: {48: 48, 32: 12, 44: 9, 40: 8, 36: 5, 33: 4, 46: 4, 47: 4, 42: 4, 29: 2},
}
ASKED = 300
CHANGED = 50000


def gateway(family, number):
    return f"192.0.2.{2 + number}" if family == 4 else f"2001:db8::{2 + number:x}"


def draw(family):
    """A random prefix as (network, length), outside our own and what no route is for."""
    bits = 32 if family == 4 else 128
    lengths = LENGTHS[family]
    (length,) = random.choices(list(lengths), lengths.values())
    if family == 4:
        address = random.randrange(0x01000000, 0x7F000000)
    else:
        address = (0x2400 << 112) + (random.getrandbits(42) << 80)
    return address >> (bits - length) << (bits - length), length


def table(family, count):
    """{(network, length): number of its gateway}"""
    routes = {}
    while len(routes) < count:
        routes[draw(family)] = random.randrange(64)
    return routes


def commands(family, routes):
    make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    return "".join(
        f"route add {make(network)}/{length} via {gateway(family, hop)}\n" for (network, length), hop in routes.items()
    )


def longest_match(family, routes, address):
    bits = 32 if family == 4 else 128
    for length in range(64, -1, -1):
        if length <= bits and (found := routes.get((address >> (bits - length) << (bits - length), length))) is not None:
            return gateway(family, found)
    return None


def check(ctl, socket, family, routes):
    """Asks for addresses within routes, most of them covered by several."""
    bits = 32 if family == 4 else 128
    make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    addresses = [net | random.getrandbits(bits - length) for net, length in random.sample(list(routes), min(ASKED, len(routes)))]
    lines = "".join(f"route get {make(address)}\n" for address in addresses)
    told = subprocess.run([ctl, "-S", socket, "-b", "-"], input=lines, text=True, check=True, capture_output=True).stdout
    answers = [line for line in told.splitlines() if " via " in line]
    assert len(answers) == len(addresses), told[-1000:]
    for address, answer in zip(addresses, answers):
        words = answer.split()
        assert words[0] == str(make(address)) and words[words.index("via") + 1] == longest_match(family, routes, address), answer


def start(build, folder, text):
    """Runs culvert with these commands to begin with: (the process, seconds until it answers)."""
    (folder / "conf").write_text(text)
    words = [build / "app/culvert/culvert", "--lcores", "0@0,1@1", "--no-huge", "--no-shconf", "-m", "2048", "--no-pci"]
    words += ["--no-telemetry", f"--file-prefix=many-{os.getpid()}", "--vdev=net_null0", "--", "-s", folder / "socket"]
    words += ["-c", folder / "conf", "--idle-sleep", "1000"]
    begin = time.monotonic()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)
    ctl = build / "app/culvertctl/culvertctl"
    while subprocess.run([ctl, "-S", folder / "socket", "version"], capture_output=True, check=False).returncode != 0:
        assert process.poll() is None and time.monotonic() < begin + 300, (folder / "log").read_text()
        time.sleep(0.02)
    return process, time.monotonic() - begin


def received(ctl, socket):
    text = subprocess.run([ctl, "-S", socket, "-j", "show", "lcores"], check=True, capture_output=True, text=True).stdout
    return sum(lcore["rx_packets"] for lcore in json.loads(text))


def disturb(ctl, socket, what, commands, seconds_before=2.0):
    """Runs the commands, and prints how long that took and what part of its rate the worker kept."""
    start_packets, start = received(ctl, socket), time.monotonic()
    time.sleep(seconds_before)
    middle_packets, middle = received(ctl, socket), time.monotonic()
    subprocess.run([ctl, "-S", socket, "-b", "-"], input=commands, text=True, check=True, capture_output=True)
    end_packets, end = received(ctl, socket), time.monotonic()
    quiet = (middle_packets - start_packets) / (middle - start)
    busy = (end_packets - middle_packets) / (end - middle)
    kept = f"{busy / quiet:.0%} of the worker's rate" if quiet else "no packets"
    print(f"  {what}: {end - middle:.2f} s, {kept}", flush=True)


def disturb_all(ctl, socket, routes):
    some = random.sample(list(routes), min(CHANGED, len(routes)))
    lines = "".join(
        f"route replace {ipaddress.IPv4Address(network)}/{length} via {gateway(4, random.randrange(64))}\n" for network, length in some
    )
    disturb(ctl, socket, f"{len(some)} routes replaced", lines)
    disturb(ctl, socket, "port0 down", "link set port0 down\n")
    disturb(ctl, socket, "port0 up", "link set port0 up\n")


def stop(process):
    process.terminate()
    process.wait(60)


def main():
    build = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build-release").resolve()
    counts = {4: int(sys.argv[2]) if len(sys.argv) > 2 else 1000000, 6: int(sys.argv[3]) if len(sys.argv) > 3 else 200000}
    random.seed(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process, empty = start(build, folder, SETUP)
        stop(process)
        for families in ((4,), (6,), (4, 6)):
            tables = {family: table(family, counts[family]) for family in families}
            process, took = start(build, folder, SETUP + "".join(commands(f, tables[f]) for f in families))
            try:
                status = Path(f"/proc/{process.pid}/status").read_text().split()
                for family in families:
                    check(build / "app/culvertctl/culvertctl", folder / "socket", family, tables[family])
                if families == (4,):
                    disturb_all(build / "app/culvertctl/culvertctl", folder / "socket", tables[4])
            finally:
                stop(process)
            what = " and ".join(f"{counts[family]} IPv{family}" for family in families)
            resident = int(status[status.index("VmRSS:") + 1]) // 1024
            print(f"{what} routes: {took - empty:.1f} s, {resident} MiB resident; {ASKED} lookups a family are right", flush=True)


if __name__ == "__main__":
    main()
