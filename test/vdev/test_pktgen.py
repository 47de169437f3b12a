# SPDX-License-Identifier: BSD-3-Clause
"""The ready configurations of scripts/pktgen, with dpdk-testpmd as generator and sink."""

import os
import shutil
from pathlib import Path

from cases import case
from culvert_lab import BUILD, ROOT, Skip, run


@case("scripts/pktgen/replay: every configuration forwards what another process sends, nothing left behind")
def replay():
    if shutil.which("dpdk-testpmd") is None:
        raise Skip("needs dpdk-testpmd")
    before = set(Path("/tmp").glob("culvert-pktgen-*"))
    # How much gets through is the machine's mood; that packets do is the configuration's.
    words = [ROOT / "scripts/pktgen/replay", "--build", os.path.relpath(BUILD, ROOT), "--seconds", 0.2, "--loss", 99]
    for more, cases in (([], ["bridge", "ip4", "vxlan-push", "vxlan-pop"]), (["--wire", "memif", "ip4"], ["ip4"])):
        said = run(*words, *more).stdout
        assert [line.split()[0] for line in said.splitlines()[1:]] == cases, said
    assert set(Path("/tmp").glob("culvert-pktgen-*")) <= before, "a folder in /tmp is left"
