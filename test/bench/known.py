# SPDX-License-Identifier: BSD-3-Clause
"""What peers take, measured once on a machine like this one (2 vCPUs, Sapphire Rapids class, TSC 2.6 GHz) and printed beside ours.

TSC clocks a packet, one worker, 64-byte inner frames. `floor`: a push or pop written for this one packet, with no table,
counter or rule. `ovs`: OVS-DPDK 3.1.0 of Debian 12 with a learning bridge (ip4, gre: rules), by the same instrument as ours,
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
    "ipip-push": {"floor": 16, "vpp": 106},
    "ipip-pop": {"floor": 22, "vpp": 227},
    "ipip-push-10k": {"floor": 12, "vpp": 78},
    "ipip-pop-10k": {"floor": 16, "vpp": 181},
    "ipip-push-10k-1000": {"vpp": 86},
    "ipip-pop-10k-1000": {"vpp": 264},
    "gre-push": {"floor": 17, "vpp": 125, "ovs": 123},
    "gre-pop": {"floor": 23, "vpp": 160, "ovs": 201},
    "gre-push-10k": {"floor": 12, "vpp": 98, "ovs": 209},
    "gre-pop-10k": {"floor": 17, "vpp": 115, "ovs": 334},
    "gre-push-10k-1000": {"vpp": 105},
    "gre-pop-10k-1000": {"vpp": 233},
    "gretap-push": {"floor": 16, "vpp": 139, "ovs": 110},
    "gretap-pop": {"floor": 23, "vpp": 180, "ovs": 188},
    "gretap-push-10k": {"floor": 12, "vpp": 202, "ovs": 190},
    "gretap-pop-10k": {"floor": 15, "vpp": 203, "ovs": 324},
    "gretap-push-10k-1000": {"vpp": 220},
    "gretap-pop-10k-1000": {"vpp": 388},
}
