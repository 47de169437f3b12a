# SPDX-License-Identifier: BSD-3-Clause
"""culvert -i and culvertctl on a terminal: editing, history, completion, wrong words, the end."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

from cases import case
from control_client import ControlSocket
from culvert_lab import PREFIX, SLOW, Lab, Port, lcores, program, wait_until
from terminal import DELETE, END_OF_INPUT, HOME, LEFT, UP, Terminal
from topology import UNDERLAY
from wire import Ether, Raw, Wire


@contextlib.contextmanager
def culvert_at_terminal(*own, vdev="net_null0", wrapper=()):
    """culvert -i with one port; yields its terminal after the first prompt, and its socket."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-"))
    prefix = f"{PREFIX}-{os.getpid()}-prompt"
    words = [*wrapper, program("culvert"), "--lcores", lcores(1), "--no-huge", "--no-shconf", "-m", "256", "--no-pci"]
    words += ["--no-telemetry", f"--file-prefix={prefix}", f"--vdev={vdev}"]
    words += ["--", "-i", "-s", folder / "culvert.sock", "--idle-sleep", "50", *own]
    try:
        with Terminal(*words) as terminal:
            terminal.expect("culvert> ", 30)
            yield terminal, folder / "culvert.sock"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True)


@case("prompt: commands are answered, wrong words are named, and it goes on")
def answers():
    with culvert_at_terminal() as (terminal, _):
        assert "port0: <" in terminal.command("link show port0")
        assert "Error: " in (said := terminal.command("lnik show")) and "lnik" in said, said
        assert "brigde" in (said := terminal.command("link add br0 type brigde")), said
        assert "Error: link add port0:" in (said := terminal.command("link add port0 type dummy")), said
        assert "monitor" in (said := terminal.command("monitor")) and "control socket only" in said, said
        terminal.command("")
        assert "port0: <" in terminal.command("link show port0")


@case("prompt: the line can be edited, and former lines come back")
def edits():
    with culvert_at_terminal() as (terminal, _):
        assert "port0: <" in terminal.command(f"link shoz{DELETE}w port0")
        assert "port0: <" in terminal.command(f"ink show port0{HOME}l")
        assert "port0: <" in terminal.command(f"link show pot0{LEFT}{LEFT}r")
        terminal.command("link add d0 type dummy")
        assert "EEXIST" in (said := terminal.command(UP)), said
        assert "port0: <" in terminal.command(UP * 3)


@case("prompt: the tab key completes words, and lists them when there are several")
def completes():
    with culvert_at_terminal() as (terminal, _):
        terminal.command("link add d0 type dum\t")
        assert "d0: <" in terminal.command("link show d0")
        assert "port0: <" in terminal.command("link sho\t por\t")
        terminal.keys("link \t\t")
        listed = terminal.expect(r"show[^\n]*\n")
        assert "add" in listed and "del" in listed and "set" in listed, listed


@case("prompt: quit and the end of input end the program with exit 0 and the terminal as it was")
def ends():
    for last in ("quit\r", END_OF_INPUT):
        with culvert_at_terminal() as (terminal, socket):
            terminal.keys(last)
            assert terminal.ends() == 0, terminal.text
            assert "received: 0" in terminal.text, f"no totals: {terminal.text!r}"
            assert terminal.is_as_before(), "the terminal is left in the prompt's mode"
            assert not socket.exists(), "the control socket is left behind"
    with culvert_at_terminal() as (terminal, _):
        terminal.keys("link sho")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ends() == 0 and terminal.is_as_before(), terminal.text


def received(control):
    return control.request("-j show process")["data"]["rx"]


@case("prompt: forwarding waits for `start`, with -a it does not, and `stop` halts it")
def waits_for_start():
    for own in ((), ("-a",)):
        with Lab() as lab:
            home = lab.namespace("culvert")
            enter = ("ip", "netns", "exec", home.name)
            with culvert_at_terminal(*own, vdev="net_tap0,iface=cv0", wrapper=enter) as (terminal, path):
                control = ControlSocket(path, 10 * SLOW)
                with contextlib.closing(control), Wire(home, "cv0") as wire:

                    def arrives(control=control, wire=wire):
                        before = received(control)
                        wire.send(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x88B5) / Raw(b"x" * 60))
                        wait_until(lambda: received(control) > before, 5, "the frame")

                    if not own:
                        wire.send(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x88B5) / Raw(b"x" * 60))
                        terminal.command("show lcores")
                        assert received(control) == 0, "a frame was taken before `start`"
                        terminal.command("start")
                    arrives()
                    terminal.command("stop")
                    terminal.command("start")
                    arrives()


@case("culvertctl without a command on a terminal is a prompt; exit and the end of input leave culvert running")
def client_prompt():
    with Lab() as lab:
        culvert = lab.culvert([Port(lab.namespace("far"))], UNDERLAY)
        for last in ("exit\r", END_OF_INPUT):
            with Terminal(program("culvertctl"), "-S", culvert.socket) as terminal:
                terminal.expect("culvert> ")
                assert "port0: <" in terminal.command("link sho\t port0")
                assert "Error: " in (said := terminal.command("lnik")) and "lnik" in said, said
                assert "192.0.2.1" in terminal.command("addr show dev port0")
                terminal.keys(last)
                assert terminal.ends() == 0, terminal.text
                assert terminal.is_as_before(), "the terminal is left in the prompt's mode"
        culvert.do("show lcores")
