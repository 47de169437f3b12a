# SPDX-License-Identifier: BSD-3-Clause
"""What peers take, measured once on a machine like this one (2 vCPUs, Sapphire Rapids class, TSC 2.6 GHz) and printed beside ours.

TSC clocks a packet, one worker, 64-byte inner frames. `floor`: a push or pop written for this one packet, with no table,
counter or rule. `ovs`: OVS-DPDK 3.1.0 of Debian 12 with a learning bridge (ip4: a rule), by the same instrument as ours,
in bursts of 32; --peer ovs measures it anew. `vpp`: VPP 26.10 by its own `show runtime`, source excluded but ethernet-input
and tx included; 1 flow in vectors of 32, 10k flows in vectors of 256, which favours it.
"""

KNOWN = {
    "bridge": {"vpp": 71},
    "bridge-10k": {"vpp": 128},
    "bridge-b256": {"vpp": 46},
    "ip4": {"vpp": 72, "ovs": 76},
    "ip4-10k": {"vpp": 62},
    "ip4-b256": {"vpp": 51},
    "push": {"floor": 13, "vpp": 122, "ovs": 109},
    "push-10k": {"floor": 18, "vpp": 169, "ovs": 427},
    "push-10k-1000": {"vpp": 227},
    "push-b256": {"vpp": 87},
    "push-bare": {"floor": 15},
    "pop": {"floor": 18, "vpp": 180, "ovs": 196},
    "pop-10k": {"floor": 21, "vpp": 216, "ovs": 597},
    "pop-10k-1000": {"vpp": 251},
    "pop-b256": {"vpp": 125},
    "pop-bare": {"floor": 22},
    "flood-10": {"vpp": 134},
    "flood-100": {"vpp": 154},
    "learn": {"vpp": 1400},
}
