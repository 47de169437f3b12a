# SPDX-License-Identifier: BSD-3-Clause
"""Wrong use of the program: the exit code of the contract and one clear line."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cases import case
from culvert_lab import PREFIX, SLOW, Lab, Port, Skip, lcores, program, run
from topology import UNDERLAY

USAGE, ENVIRONMENT = 1, 2


class Launch:
    """Starts culvert with words that must make it refuse, in a folder of its own."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-"))
        self.prefix = f"{PREFIX}-{os.getpid()}"
        self.socket = self.folder / "culvert.sock"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(f"/var/run/dpdk/{self.prefix}", ignore_errors=True)

    def eal(self, workers=1):
        return ["--lcores", lcores(workers), "--no-huge", "--no-shconf", "-m", "256", "--no-pci", "--no-telemetry",
                f"--file-prefix={self.prefix}"]  # fmt: skip

    def ends(self, code, *says, eal=None, own=(), wrapper=()):
        """culvert exits with `code`, and one line of its own holds all of `says`."""
        words = [*wrapper, program("culvert"), *(self.eal() if eal is None else eal), "--", "-s", self.socket, *own]
        done = subprocess.run(
            list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
            timeout=30 * SLOW, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"exit {done.returncode}, not {code}:\n{done.stdout}"
        own_lines = [line for line in done.stdout.splitlines() if not line.startswith(("EAL:", "TELEMETRY:", "TAP:", "tap_"))]
        matching = [line for line in own_lines if all(word in line for word in says)]
        assert len(matching) == 1, f"not one line with {says}:\n{done.stdout}"
        assert not self.socket.exists(), "it left its socket behind"
        return own_lines


@case("wrong use: a vdev that does not exist is named")
def unknown_vdev():
    with Launch() as launch:
        launch.ends(ENVIRONMENT, "net_tpa0", eal=[*launch.eal(), "--vdev=net_tpa0"])
        # EAL goes on silently when a known driver's device does not come up.
        launch.ends(ENVIRONMENT, "net_pcap0", eal=[*launch.eal(), "--vdev=net_pcap0,rx_pcap=/nonexistent.pcap"])


@case("wrong use: a device given twice is named")
def device_twice():
    with Launch() as launch:
        vdevs = ["--vdev=net_null0", "--vdev=net_null0"]
        launch.ends(USAGE, "net_null0", "twice", eal=[*launch.eal(), *vdevs])


@case("wrong use: no hugepages and no --no-huge says how to start either way")
def no_hugepages():
    if int(Path("/proc/sys/vm/nr_hugepages").read_text()) != 0:
        raise Skip("this machine has hugepages")
    with Launch() as launch:
        eal = ["--lcores", lcores(1), "--no-pci", f"--file-prefix={launch.prefix}"]
        said = launch.ends(ENVIRONMENT, "no hugepages are configured", eal=eal)
        assert sum("--no-huge -m" in line for line in said) == 1, said


@case("wrong use: a single lcore is not enough")
def single_lcore():
    with Launch() as launch:
        launch.ends(USAGE, "lcore", eal=launch.eal(workers=0))


@case("wrong use: an unknown option, and a bad value of a known one")
def unknown_option():
    with Launch() as launch:
        launch.ends(USAGE, "--burts", own=["--burts", "32"])
        launch.ends(USAGE, "--burst", own=["--burst", "1000"])
        launch.ends(USAGE, "--log-level", own=["--log-level", "loud"])


@case("wrong use: a word that is no option, an option on the wrong side of --, ports that are masked out")
def misplaced_words():
    with Launch() as launch:
        launch.ends(USAGE, "culvert.conf", "-c FILE", own=["culvert.conf"])
        for words in (["-s", "/tmp/x.sock"], ["--burst", "32"]):
            said = launch.ends(ENVIRONMENT, "EAL did not start", "before `--`", eal=[*launch.eal(), *words])
            assert len(said) <= 3, f"more than EAL's complaint and ours: {said}"
        launch.ends(USAGE, "--portmask 8", "none of the 1 ports", eal=[*launch.eal(), "--vdev=net_null0"], own=["--portmask", "8"])


@case("wrong use: a configuration file that is not there")
def no_config():
    with Launch() as launch:
        launch.ends(USAGE, "/nonexistent/culvert.conf", own=["-c", "/nonexistent/culvert.conf"])


@case("wrong use: a bad line of the configuration is named FILE:LINE:, and nothing stays half-started")
def bad_config():
    with Launch() as launch:
        config = launch.folder / "culvert.conf"
        eal = [*launch.eal(), "--vdev=net_null0"]
        for line, says in (
            ("lnik add br0 type bridge", "lnik"),
            ("link add br0 type brigde", "brigde"),
            ("link set port7 up", "port7"),
            ("addr add 192.0.2.300/24 dev port0", "192.0.2.300/24"),
            ("link add vx type vxlan remote 192.0.2.2", "id"),
        ):
            config.write_text(f"# a comment\n\nlink set port0 \\\n    up\n{line}\nlink add br9 type bridge\n")
            launch.ends(USAGE, f"{config}:5:", says, eal=eal, own=["-c", str(config)])


@case("wrong use: no permission to make a tap")
def no_permission():
    if not shutil.which("setpriv"):
        raise Skip("no setpriv")
    with Launch() as launch:
        os.chmod(launch.folder, 0o777)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
        runtime = launch.folder / "runtime"
        runtime.mkdir()
        os.chmod(runtime, 0o777)
        wrapper = ["env", f"XDG_RUNTIME_DIR={runtime}", *as_nobody]
        if subprocess.run([*wrapper, program("culvert"), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise Skip("the build is in a folder that others may not read")
        launch.ends(ENVIRONMENT, "net_tap0", eal=[*launch.eal(), "--vdev=net_tap0,iface=cvnobody"], wrapper=wrapper)


@case("wrong use: a control socket that another culvert serves")
def taken_socket():
    with Lab() as lab, Launch() as launch:
        first = lab.culvert([Port(lab.namespace("far"))], UNDERLAY)
        launch.socket = first.socket
        words = [program("culvert"), *launch.eal(), "--vdev=net_null0", "--", "-s", first.socket]
        done = run(*words, check=False)
        assert done.returncode == ENVIRONMENT, done.stdout
        said = [line for line in done.stdout.splitlines() if not line.startswith(("EAL:", "TELEMETRY:"))]
        assert len(said) == 1 and f"culvert is already running on {first.socket}" in said[0], done.stdout
        first.do("show lcores")


@case("wrong use: a control socket in a folder that is not there")
def no_folder():
    with Launch() as launch:
        launch.socket = launch.folder / "missing" / "culvert.sock"
        launch.ends(ENVIRONMENT, str(launch.socket), "No such file", eal=[*launch.eal(), "--vdev=net_null0"])


@case("--route6-size is a number of routes")
def route6_size():
    with Launch() as launch:
        launch.ends(USAGE, "--route6-size many", own=["--route6-size", "many"])


@case("--version and --help need no EAL, no hugepages and no root")
def version_and_help():
    for words in (["--version"], ["--help"], ["--", "-V"], ["--", "-h"]):
        done = run(program("culvert"), *words, check=False)
        assert done.returncode == 0, (words, done.stdout)
        assert "DPDK" in done.stdout and "culvert" in done.stdout, (words, done.stdout)


@case("wrong use: the client's exit codes")
def client_codes():
    client = program("culvertctl")

    def ctl(code, *words, says=""):
        done = run(client, *words, check=False)
        assert done.returncode == code, f"{words}: exit {done.returncode}, not {code}: {done.stdout}"
        assert says in done.stdout, (words, done.stdout)
        return done.stdout

    with Lab() as lab:
        culvert = lab.culvert([Port(lab.namespace("far"))], UNDERLAY)
        at = ["-S", culvert.socket]
        ctl(0, *at, "link", "show", says="port0")
        ctl(1, *at, "link", "shwo", says="Error:")
        ctl(1, *at, "lnik", says="Error:")
        ctl(1, *at, "link", "del", "port9", says='Cannot find device "port9"')
        ctl(2, *at, "link", "add", "port0", "type", "dummy", says="EEXIST")
        ctl(1, "--nonsense")
        ctl(2, "-S", "/nonexistent/culvert.sock", "link", says="/nonexistent/culvert.sock")
        batch = lab.folder / "batch"
        batch.write_text("link add d0 type dummy\nlink add d0 type dummy\nlink add d1 type dummy\n")
        said = ctl(2, *at, "-b", batch, says=f"Command failed {batch}:2")
        assert "EEXIST" in said, said
        assert ": d1: " not in ctl(0, *at, "link", "show"), "a batch goes on after a failure only with --force"
        ctl(2, *at, "--force", "-b", batch)
        ctl(0, *at, "link", "show", "d1", says="d1")
