# SPDX-License-Identifier: BSD-3-Clause
"""A TCP stream through a vxlan between two of the kernel's name spaces: the kernel's own at both ends over a veth, and
culvert over net_tap at one end (test/interop/topology.py's first tunnel).
"""

import contextlib
import json
import subprocess

import culvert_lab
from culvert_lab import Lab, wait_until
from topology import first_tunnel

STREAM_S = 4
SETTLE_S = 1


def stream(client, server, address):
    """Gbit/s that arrive."""
    listening = server.popen("iperf3", "-s", "-B", address, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    words = ("iperf3", "-c", address, "-t", STREAM_S, "-O", SETTLE_S, "-J")
    said = {}

    def has_run():
        with contextlib.suppress(ValueError):
            said.update(json.loads(client.exec(*words, check=False).stdout))
        return "sum_received" in said.get("end", {})

    try:
        wait_until(has_run, 30, f"a stream to {address}")
    finally:
        listening.terminate()
        listening.wait()
    return said["end"]["sum_received"]["bits_per_second"] / 1e9


def through_the_kernel(lab):
    far, near = lab.namespace("far"), lab.namespace("near")
    near.ip(f"link add eth0 type veth peer name eth0 netns {far.name}")
    for host, own, other in ((near, "192.0.2.1", "192.0.2.2"), (far, "192.0.2.2", "192.0.2.1")):
        host.ip("link set eth0 up")
        host.ip(f"addr add {own}/24 dev eth0")
        host.vxlan("vx42", f"id 42 local {own} remote {other} dstport 4789", [f"10.42.0.{own[-1]}/24"])
    return stream(near, far, "10.42.0.2")


def through_culvert(lab):
    culvert, near, far = first_tunnel(lab)
    speed = stream(near, far, "10.42.0.2")
    back = stream(far, near, "10.42.0.1")
    culvert.stop()
    lab.culverts.remove(culvert)
    return speed, back


def rows(build):
    """Two rows, in Gbit/s."""
    culvert_lab.BUILD = build
    with Lab() as lab:
        kernel = through_the_kernel(lab)
    with Lab() as lab:
        push, pop = through_culvert(lab)
    yield {"name": "tcp-linux", "title": "  Linux: TCP through vxlan, both ends", "gbits": kernel}
    yield {"name": "tcp-culvert-push", "title": "TCP through net_tap, culvert pushes", "gbits": push}
    yield {"name": "tcp-culvert-pop", "title": "TCP through net_tap, culvert pops", "gbits": pop}
