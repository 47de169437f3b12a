# SPDX-License-Identifier: BSD-3-Clause
"""All cases, in the order of the table."""

from bench_cases import plain_and_vxlan_cases
from ip6_cases import ip6_cases
from ip6_tunnel_cases import ip6_tunnel_cases
from tunnel_cases import tunnel_cases


def all_cases():
    return [*plain_and_vxlan_cases(), *tunnel_cases(), *ip6_cases(), *ip6_tunnel_cases()]
