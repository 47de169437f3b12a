#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long 10,000 tunnels take to come and to go by a batch of culvertctl's, and what each takes of memory.

    test/bench/many_tunnels.py [FOLDER OF A BUILD] [NUMBER]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUP = """addr add 192.0.2.1/24 dev port0
route add 10.0.0.0/8 via 192.0.2.2
neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev port0
"""
KINDS = {
    "ipip": "type ipip local 192.0.2.1 remote {remote}",
    "gre": "type gre local 192.0.2.1 remote {remote} key {number}",
    "vxlan": "type vxlan id {number} dstport 4789 local 192.0.2.1 remote {remote}",
}


def remote(number):
    return f"10.{1 + (number >> 16)}.{(number >> 8) & 255}.{number & 255}"


def resident_kb(process):
    words = Path(f"/proc/{process.pid}/status").read_text().split()
    return int(words[words.index("VmRSS:") + 1])


def batch(ctl, socket, text):
    """Seconds that the commands take."""
    begin = time.monotonic()
    subprocess.run([ctl, "-S", socket, "-b", "-"], input=text, text=True, check=True)
    return time.monotonic() - begin


def measure(build, kind, number):
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/socket"
        words = [build / "app/culvert/culvert", "--lcores", "0@0,1@1", "--no-huge", "--no-shconf", "-m", "256", "--no-pci"]
        words += ["--no-telemetry", f"--file-prefix=many-{os.getpid()}", "--vdev=net_null0", "--", "-s", socket, "--idle-sleep", "1000"]
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            ctl = build / "app/culvertctl/culvertctl"
            end = time.monotonic() + 20
            while subprocess.run([ctl, "-S", socket, "version"], capture_output=True, check=False).returncode != 0:
                assert time.monotonic() < end and process.poll() is None, Path(f"{folder}/log").read_text()
                time.sleep(0.05)
            batch(ctl, socket, SETUP)
            options = KINDS[kind]
            make = "".join(
                f"link add t{i} {options.format(number=i + 1, remote=remote(i))}\nlink set t{i} up\n" for i in range(number)
            )
            before = resident_kb(process)
            made_s = batch(ctl, socket, make)
            taken = (resident_kb(process) - before) * 1024 // number
            gone_s = batch(ctl, socket, "".join(f"link del t{i}\n" for i in range(number)))
            print(f"{kind:6} {number} made in {made_s:.2f} s, deleted in {gone_s:.2f} s, {taken} bytes each", flush=True)
        finally:
            process.terminate()
            process.wait()


def main(words):
    build = Path(words[0]).resolve() if words else ROOT / "build-release"
    number = int(words[1]) if len(words) > 1 else 10000
    for kind in KINDS:
        measure(build, kind, number)


if __name__ == "__main__":
    main(sys.argv[1:])
