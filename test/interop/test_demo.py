# SPDX-License-Identifier: BSD-3-Clause
"""The first command of README.md."""

import os
import signal
import subprocess
from pathlib import Path

from cases import case
from culvert_lab import BUILD, ROOT, SLOW, Lab, run


@case("scripts/demo, twice in a row: both pings without loss, a TCP stream, exit 0, nothing left behind")
def demo():
    for _ in range(2):
        run_demo()


def run_demo():
    with Lab():
        process = subprocess.Popen(
            [ROOT / "scripts/demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            start_new_session=True, env={**os.environ, "CULVERT_BUILD": str(BUILD)},
        )
        try:
            said, _ = process.communicate(timeout=40 * SLOW)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        assert process.returncode == 0, said
        assert said.count(" 0% packet loss") == 2, said
        assert "receiver" in said and "its workers" in said, said
        name = f"culvert-demo-{process.pid}"
        assert name not in run("ip", "netns", "list").stdout, "a namespace is left"
        assert not Path(f"/var/run/dpdk/{name}").exists(), "EAL's folder is left"
        assert not list(Path("/tmp").glob(f"{name}*")), "a folder in /tmp is left"
