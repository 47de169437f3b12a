# SPDX-License-Identifier: BSD-3-Clause
"""Debian's OVS-DPDK on a case's packets, through the same bench ports and by the same clock.

It has a database and a name space of its own, neither systemd nor the machine's own Open vSwitch is asked, and when the
laboratory ends nothing of it is left.

    br-in: port1 and the tunnels, a learning bridge (NORMAL) that knows the stations as culvert does
    br-out: port0; the bridge's own port has the underlay's address
"""

import itertools
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from bench_cases import FAR, LOCAL, MANY, NEAR, NEXT_HOP, NEXT_HOP_MAC, PORT_MACS, TUNNELS, remote
from laboratory import Program, die_with_parent, end_process, lcores, port_options
from packets import address_text, mac_text

DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
MEMORY_MB = 1024
FLOOD_REMOTES = 10
UNDER_WAY = 50


# What OVS calls the tunnels of a case's kind, and the options of a port.
PORT_TYPES = {"vxlan": "vxlan options:dst_port=4789", "gretap": "gre", "gre": "gre options:packet_type=legacy_l3"}


def can_do(case):
    """(what, stations, tunnels) of a case that OVS has something like, else None."""
    match = re.fullmatch(r"(bridge|ip4|push|pop|(?:gre|gretap)-(?:push|pop)|flood-10)(-10k)?(-1000)?", case.name)
    if match is None:
        return None
    return match[1], MANY if match[2] else 1, TUNNELS if match[3] else FLOOD_REMOTES if match[1] == "flood-10" else 1


def is_installed():
    return Path(DAEMON).exists() and shutil.which("ovsdb-server") is not None


class Ovs(Program):
    """ovs-vswitchd with a case's ports, stations and tunnels."""

    def __init__(self, lab, case):
        what, self.stations, self.tunnels = can_do(case)
        kind = what.rpartition("-")[0]
        self.kind = kind if kind in PORT_TYPES else "vxlan"
        folder = lab.folder / f"ovs-{case.name}"
        folder.mkdir(exist_ok=True)
        # The source comes last: packets for stations that are not known yet would be flooded to a thousand tunnels.
        # DPDK numbers ports in the order of their coming.
        self.source = case.source
        options = port_options(folder, case)
        super().__init__(lab, folder.name, [options[1 - case.source], options[case.source]])
        self.env.update(OVS_RUNDIR=str(folder), OVS_LOGDIR=str(folder), OVS_DBDIR=str(folder))
        self.database = None
        self.control_file = None
        self.start_database()
        self.launch(["unshare", "--net", DAEMON, self.at_database, "--no-chdir", "-vconsole:info", "--unixctl=control"])
        self.control_file = folder / "control"
        self.wait_until("bridge", lambda: "(Open vSwitch)" in self.log_text(), 30)
        {"bridge": self.bridged, "ip4": self.routed}.get(what, self.tunnelled)()
        self.open_ports()

    # The processes

    def start_database(self):
        file = self.folder / "conf.db"
        self.at_database = f"unix:{self.folder}/db.sock"
        self.run("ovsdb-tool", "create", file, SCHEMA)
        words = ["ovsdb-server", file, f"--remote=p{self.at_database}", "--no-chdir", "-vconsole:warn"]
        with open(self.folder / "database.log", "wb") as log:
            self.database = subprocess.Popen(
                list(map(str, words)), env=self.own_env(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        control, worker = (int(place.split("@")[1]) for place in lcores(1).split(","))
        memory = [word for word in self.memory_words(MEMORY_MB) if word != "--in-memory"]
        # OVS adds --in-memory unless told --legacy-mem, and EAL will have no --no-huge beside it.
        eal = " ".join(map(str, memory if self.uses_hugepages else ["--legacy-mem", *memory]))
        settings = {
            "dpdk-init": "true", "dpdk-extra": f"{eal} --file-prefix=ovs", "dpdk-lcore-mask": hex(1 << control),
            "pmd-cpu-mask": hex(1 << worker), "max-idle": "3600000", "flow-limit": "200000",
        }
        words = [f'other_config:{key}="{value}"' for key, value in settings.items()]
        end = time.monotonic() + 10
        while not (self.folder / "db.sock").exists() and time.monotonic() < end:
            time.sleep(0.02)
        self.run("ovs-vsctl", f"--db={self.at_database}", "--no-wait", "--", "init", "--", "set", "Open_vSwitch", ".", *words)

    def own_env(self):
        return {key: value for key, value in self.env.items() if key != "LD_PRELOAD"}

    def run(self, *words):
        """A command of OVS's, or ip(8), to its end."""
        done = subprocess.run(
            list(map(str, words)), env=self.own_env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )
        if done.returncode != 0:
            log = self.log_text()[-500:] if self.log.exists() else ""
            raise RuntimeError(f"{' '.join(map(str, words))[:300]}: exit {done.returncode}\n{done.stdout[-1500:]}\n{log}")

    def vsctl(self, *parts):
        """Several commands in one transaction."""
        words = itertools.chain.from_iterable(["--", *part.split()] for part in parts)
        self.run("ovs-vsctl", f"--db={self.at_database}", "--timeout=30", *words)

    def rules(self, bridge, *lines):
        file = self.folder / "rules"
        file.write_text("".join(f"priority=9,{line}\n" for line in lines))
        self.run("ovs-ofctl", "add-flows", f"unix:{self.folder}/{bridge}.mgmt", file)

    def in_its_space(self, line):
        self.run("nsenter", f"--net=/proc/{self.process.pid}/ns/net", "ip", *line.split())

    def ask(self, requests):
        """Requests (method, word...) over one connection, several under way: OVS takes ten a turn, and its turns are long."""
        requests = list(requests)
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(60)
            control.connect(str(self.control_file))
            replies = json_documents(control)
            for first in range(0, len(requests), UNDER_WAY):
                some = requests[first : first + UNDER_WAY]
                for number, (method, *words) in enumerate(some):
                    control.sendall(json.dumps({"id": number, "method": method, "params": words}).encode())
                for request in some:
                    reply = next(replies)
                    if reply.get("error"):
                        raise RuntimeError(f"OVS: {' '.join(request)}: {reply['error']}")

    def close(self):
        super().close()
        if self.database is not None:
            end_process(self.database)

    # What the cases need

    def add_bridges(self, *names):
        settings = "datapath_type=netdev other-config:mac-table-size=100000 other-config:mac-aging-time=3600"
        self.vsctl(*(f"add-br {name} -- set bridge {name} {settings}" for name in names))

    def add_port(self, number, bridge):
        port = f"port{number}"
        self.vsctl(f"add-port {bridge} {port} -- set interface {port} type=dpdk options:dpdk-devargs=net_null{number}")

    def know(self, block, ports):
        """Stations that the bridge has from the start, as culvert's has."""
        self.ask(("fdb/add", "br-in", ports[i % len(ports)], "0", mac_text(i, block)) for i in range(self.stations))

    def bridged(self):
        self.add_bridges("br-in")
        self.add_port(0, "br-in")
        self.know(FAR, ["port0"])
        self.add_port(1, "br-in")
        self.know(NEAR, ["port1"])

    def routed(self):
        """OVS routes by rules only."""
        self.add_bridges("br-in")
        self.add_port(0, "br-in")
        macs = f"mod_dl_src:{PORT_MACS[0]},mod_dl_dst:{NEXT_HOP_MAC}"
        self.rules("br-in", f"ip,dl_dst={PORT_MACS[1]},nw_dst=10.0.0.0/8,actions=dec_ttl,{macs},output:port0")
        self.add_port(1, "br-in")

    def tunnelled(self):
        bridges = ("br-out", "br-in")
        self.add_bridges(*bridges)
        self.add_port(1 - self.source, bridges[1 - self.source])
        self.vsctl(f'set bridge br-out other-config:hwaddr="{PORT_MACS[0]}"')
        self.in_its_space(f"addr add {LOCAL}/24 dev br-out")
        self.in_its_space("link set br-out up")
        self.in_its_space(f"route add 100.64.0.0/10 via {NEXT_HOP}")
        self.ask([("tnl/neigh/set", "br-out", NEXT_HOP, NEXT_HOP_MAC)])
        tunnels = [f"tun{t}" for t in range(self.tunnels)]
        floods = self.tunnels == FLOOD_REMOTES
        keys = [f" options:key={1000 + (0 if floods else t)}" if self.kind == "vxlan" else "" for t in range(self.tunnels)]
        self.vsctl(*(
            f"add-port br-in {name} -- set interface {name} type={PORT_TYPES[self.kind]}{keys[t]} "
            f"options:local_ip={LOCAL} options:remote_ip={remote(t)}"
            for t, name in enumerate(tunnels)
        ))
        # A copy for the host is a system call, which no case is about.
        self.run("ovs-ofctl", "mod-port", f"unix:{self.folder}/br-in.mgmt", "br-in", "no-flood")
        if self.kind == "gre":
            self.route_by_rules()
        elif not floods:
            self.know(FAR, tunnels)
        if self.source == 0 and self.kind != "gre":
            self.know(NEAR, ["port1"])
        self.add_port(self.source, bridges[self.source])
        self.rules("br-out", "in_port=LOCAL,actions=output:port0", "in_port=port0,actions=LOCAL")
        if self.kind == "gre" and self.source == 0:
            macs = f"mod_dl_src:{PORT_MACS[1]},mod_dl_dst:{mac_text(0, NEAR)}"
            self.rules("br-in", f"ip,nw_dst=11.0.0.0/8,actions=dec_ttl,{macs},output:port1")

    def route_by_rules(self):
        """Which tunnel an address is behind (tunnel_cases.py)."""
        if self.tunnels == 1:
            self.rules("br-in", "ip,nw_dst=10.0.0.0/8,actions=dec_ttl,output:tun0")
        else:
            networks = (address_text((10 << 24) + (t << 8)) for t in range(self.tunnels))
            self.rules("br-in", *(f"ip,nw_dst={n}/24,actions=dec_ttl,output:tun{t}" for t, n in enumerate(networks)))



def json_documents(control):
    """What comes over a connection, one document after the other."""
    text, decoder = "", json.JSONDecoder()
    while True:
        try:
            document, end = decoder.raw_decode(text)
            text = text[end:].lstrip()
            yield document
        except ValueError:
            more = control.recv(65536)
            if not more:
                raise RuntimeError("OVS has closed the connection") from None
            text += more.decode()
