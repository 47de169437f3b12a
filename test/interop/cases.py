# SPDX-License-Identifier: BSD-3-Clause
"""The register of test cases: @case("VXLAN-RX-08 unknown VNI is dropped silently")."""

import collections

Case = collections.namedtuple("Case", "name function alone peer")
CASES = []


def case(name, alone=False, peer=False):
    """Registers a test. Its name starts with the behaviour ids it proves; `alone`: nothing runs beside it; `peer`: it asks
    for lab.peer()."""

    def register(function):
        assert name not in {c.name for c in CASES}, f"two cases are called '{name}'"
        CASES.append(Case(name, function, alone, peer))
        return function

    return register
