# SPDX-License-Identifier: BSD-3-Clause
"""Things change while packets flow: links flap, tables churn, clients misbehave. Nothing wrong, nothing unaccounted for."""

import json
import re
import signal
import socket
import subprocess

from cases import case
from control_client import ControlSocket
from culvert_lab import SLOW, Lab, Port, wait_until
from topology import FAR_MAC, NEAR_MAC, first_tunnel


def flood_ping(lab, host, target, size=200):
    """A ping flood that runs until it is ended."""
    return lab.process(host, "ping", "-n", "-q", "-f", "-s", size, target, stdout=subprocess.DEVNULL)


@case("cables that are pulled and plugged again carry traffic again")
def cable_flaps():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab)
        near.ping("10.42.0.2")
        flood_ping(lab, near, "10.42.0.2")
        for _ in range(5):
            far.ip("link set eth0 down")
            near.ip("link set eth0 down")
            culvert.do("show lcores")
            near.ip("link set eth0 up")
            far.ip("link set eth0 up")
        wait_until(lambda: near.reaches("10.42.0.2"), 10, "an answer after the flaps")
        far.ping("10.42.0.1")


@case("links taken down, released, deleted and made again under traffic")
def link_flaps():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab, workers=2)
        near.ping("10.42.0.2")
        flood_ping(lab, near, "10.42.0.2")
        flood_ping(lab, far, "10.42.0.1")
        again = "link add vx42 type vxlan id 42 local 192.0.2.1 remote 192.0.2.2 dstport 4789"
        for _ in range(20):
            culvert.do("link set vx42 down", "link set vx42 up")
            culvert.do("link set port1 nomaster", "link set port1 master br0")
            culvert.do("link set br0 down", "link set br0 up")
            culvert.do("link set port0 down", "link set port0 up")
            culvert.do("link del vx42", again, "link set vx42 master br0 up")
            culvert.do("link del br0", "link add br0 type bridge", "link set br0 up")
            culvert.do("link set vx42 master br0", "link set port1 master br0")
        wait_until(lambda: near.reaches("10.42.0.2"), 10, "an answer after the flaps")
        far.ping("10.42.0.1")


@case("two workers forward while FDB entries, routes, neighbours, addresses and links come and go")
def churn():
    with Lab() as lab:
        # Each port is one worker's, so that both have traffic and every frame crosses from one to the other.
        launch = ["--rxq", "1", "--txq", "1", "--queue-map", "(0,0,1),(1,0,2)"]
        culvert, near, far = first_tunnel(lab, workers=2, launch=launch)
        near.ping("10.42.0.2")
        flood_ping(lab, near, "10.42.0.2", size=1000)
        flood_ping(lab, far, "10.42.0.1", size=1000)
        far_inner = far.mac("vx42")
        for n in range(150):
            mac = f"02:00:00:01:00:{n:02x}"
            net = f"10.200.{n}.0/24"
            culvert.do(
                f"fdb add {mac} dev vx42 dst 192.0.2.{n % 250 + 3} static",
                f"neigh replace 192.0.2.{n % 200 + 10} lladdr {mac} dev port0",
                f"route add {net} via 192.0.2.{n % 200 + 10}",
                f"link add d{n} type dummy",
                f"link set d{n} master br0 up",
                f"addr add 198.18.{n}.1/24 dev port0",
                f"fdb replace {far_inner} dev vx42 dst 192.0.2.2 dynamic",
            )
            culvert.do(
                f"fdb del {mac} dev vx42",
                f"route del {net}",
                f"neigh del 192.0.2.{n % 200 + 10} dev port0",
                f"addr del 198.18.{n}.1/24 dev port0",
                f"link del d{n}",
            )
        near.ping("10.42.0.2")
        far.ping("10.42.0.1")
        lcores = culvert.json("show lcores")
        assert len(lcores) == 2 and all(l["rx_packets"] > 100 for l in lcores), lcores


@case("two workers: every flow of many keeps its order and loses nothing")
def many_flows():
    with Lab() as lab:
        culvert, near, far = first_tunnel(lab, workers=2)
        near.ping("10.42.0.2")
        lab.process(far, "iperf3", "-s", stdout=subprocess.DEVNULL)
        wait_until(lambda: ":5201" in far.exec("ss", "-ltn").stdout, 10, "iperf3's server")
        # Slow enough for a shared machine: what is lost then was lost by us.
        words = ["iperf3", "-c", "10.42.0.2", "-u", "-P", "8", "-b", "300K", "-l", "300", "-t", "2", "-J"]
        end = json.loads(near.exec(*words, timeout=60).stdout)["end"]
        assert end["sum"]["lost_packets"] == 0, end["sum"]
        assert all(s["udp"]["out_of_order"] == 0 for s in end["streams"]), end["streams"]


@case("stop halts forwarding, start resumes it")
def stop_and_start():
    with Lab() as lab:
        culvert, near, _ = first_tunnel(lab)
        near.ping("10.42.0.2")
        culvert.do("stop")
        near.ping_in_vain("10.42.0.2")
        culvert.do("start")
        near.ping("10.42.0.2")


@case("SIGINT under traffic: exit 0, and the totals are printed")
def interrupted():
    with Lab() as lab:
        culvert, near, _ = first_tunnel(lab)
        near.ping("10.42.0.2")
        flood_ping(lab, near, "10.42.0.2")
        wait_until(lambda: culvert.stats("vx42")["tx"]["packets"] > 50, 5, "traffic")
        culvert.process.send_signal(signal.SIGINT)
        assert culvert.process.wait(10 * SLOW) == 0, culvert.words()
        assert "port0" in culvert.words() and "port1" in culvert.words(), culvert.words()
        total = {key: int(value) for key, value in re.findall(r"(\w+): (\d+)", culvert.words().split("\nall ")[1].split("\n")[0])}
        made = total["received"] + total["originated"] + total["replicated"]
        assert made == total["sent"] + total["dropped"] + total["consumed"] > 50, f"the totals do not add up: {total}"
        lab.culverts.remove(culvert)


@case("quit at the control socket ends the program with exit 0")
def quit_command():
    with Lab() as lab:
        culvert = lab.culvert([Port(lab.namespace("far"), mac=FAR_MAC), Port(lab.namespace("near"), mac=NEAR_MAC)])
        culvert.control.send(b"quit\n")
        assert culvert.process.wait(10 * SLOW) == 0, culvert.words()
        lab.culverts.remove(culvert)


@case("clients that stall, flood, send garbage, half a line or a megabyte hurt only themselves")
def rude_clients():
    with Lab() as lab:
        culvert, near, _ = first_tunnel(lab)
        near.ping("10.42.0.2")

        def client():
            return ControlSocket(culvert.socket, 10 * SLOW)

        half = client()
        half.send(b"link sh")
        garbage = client()
        garbage.send(bytes(range(1, 256)) + b"\n\xff\xfe\n\n")
        assert garbage.reply()["ok"] is False
        huge = client()
        try:
            huge.send(b"x" * (1 << 20))
            huge.send(b"\n")
            assert huge.reply()["ok"] is False
        except (ConnectionError, BrokenPipeError):
            pass
        staller = client()
        staller.socket.settimeout(0.2)
        try:
            for _ in range(20000):
                staller.send(b"-j link show\n")
        except (socket.timeout, ConnectionError, BrokenPipeError):
            pass
        crowd = []
        try:
            for _ in range(200):
                crowd.append(client())
        except OSError:
            pass
        for one in crowd:
            one.close()
        wait_until(lambda: fresh_answer(culvert), 10, "an answer to a new client")
        near.ping("10.42.0.2")
        half.send(b"ow port0\n")
        assert half.reply()["ok"] is True
        for one in (half, garbage, huge, staller):
            one.close()


def fresh_answer(culvert):
    try:
        control = ControlSocket(culvert.socket, 5 * SLOW)
        try:
            return control.request("show lcores")["ok"]
        finally:
            control.close()
    except OSError:
        return False


@case("several requests in one write are answered in order")
def pipelined():
    with Lab() as lab:
        culvert = lab.culvert([Port(lab.namespace("far"))])
        culvert.control.send(b"link add d1 type dummy\n-j link show d1\nlink del d1\nlink show d1\n")
        first, second, third, fourth = (culvert.control.reply() for _ in range(4))
        assert first["ok"] and second["ok"] and third["ok"] and not fourth["ok"], (first, second, third, fourth)
