# SPDX-License-Identifier: BSD-3-Clause
"""Who plays the Linux peer of a tunnel that not every kernel has: a namespace here where the kernel has it, else a guest.

The runner provides; a test asks its Lab for `lab.peer(name)`, and never knows which of the two it got.
"""

import contextlib
import os

from guest import Machine
from hosts import Namespace, Skip

KINDS = ("ipip", "gre", "gretap", "sit")
KINDS6 = ("ip6tnl", "ip6gre", "ip6gretap")


class Choice:
    """What provide() found: `machine` is None where the kernel has the tunnels; `refusal` says why there is no peer."""

    machine = None
    refusal = "peers are provided by test/interop/run.py"


def kernel_has_tunnels(name):
    with contextlib.closing(Namespace(name)) as probe:
        commands = [f"link add {kind} type {kind} remote 192.0.2.9" for kind in KINDS]
        commands += [f"link add {kind} type {kind} local ::1 remote 2001:db8::9" for kind in KINDS6]
        commands.append("link add link gretap name vlan type vlan id 9")
        return all(probe.ip(command, check=False).returncode == 0 for command in commands)


@contextlib.contextmanager
def provide(prefix, wanted, slots):
    """For the length of a run of tests, of which `wanted` says whether any needs a peer."""
    if not wanted or os.geteuid() != 0:
        yield
        return
    name = f"{prefix}-{os.getpid()}-peers"
    try:
        if not kernel_has_tunnels(name) or os.environ.get("CULVERT_TEST_GUEST"):
            Choice.machine = Machine(name, slots)
        Choice.refusal = None
    except Skip as skip:
        Choice.refusal = str(skip)
    try:
        yield
    finally:
        if Choice.machine is not None:
            Choice.machine.close()
