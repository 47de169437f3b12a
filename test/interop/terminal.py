# SPDX-License-Identifier: BSD-3-Clause
"""A program on a terminal of its own, typed at as a person would."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from hosts import SLOW, die_with_parent

UP, LEFT, HOME, DELETE = "\x1b[A", "\x1b[D", "\x01", "\x7f"  # keys; HOME is Ctrl-A
END_OF_INPUT = "\x04"  # Ctrl-D
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\x00\x07]")


class Terminal:
    def __init__(self, *words):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.text = ""  # what it printed since the last `expect`
        environment = {**os.environ, "TERM": "vt100", "HOME": "/nonexistent"}
        self.process = subprocess.Popen(
            list(map(str, words)), stdin=slave, stdout=slave, stderr=slave, env=environment, preexec_fn=die_with_parent
        )
        self.slave = slave  # open, so that the settings can be read after the program's end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
        os.close(self.slave)
        os.close(self.master)

    def keys(self, keys):
        os.write(self.master, keys.encode())

    def read(self, deadline):
        """Whether there was something to read."""
        if not select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        self.text += ESCAPES.sub("", os.read(self.master, 65536).decode(errors="replace"))
        return True

    def expect(self, pattern, timeout=10.0):
        """Waits until `pattern` was printed; returns all up to its end and forgets it."""
        deadline = time.monotonic() + timeout * SLOW
        while not (found := re.search(pattern, self.text)):
            assert self.read(deadline), f"'{pattern}' was not printed; what was: {self.text!r}"
        seen, self.text = self.text[: found.end()], self.text[found.end() :]
        return seen

    def command(self, line):
        """Types a line; returns what is printed until the next prompt."""
        self.keys(line + "\r")
        return self.expect(r"\n(?:[^\n]*\n)*culvert> $")

    def ends(self):
        """The exit code; all that is printed until then is in .text."""
        deadline = time.monotonic() + 20 * SLOW
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.text!r}"
            self.read(time.monotonic() + 0.05)
        while self.read(time.monotonic()):
            pass
        return self.process.returncode

    def is_as_before(self):
        """Whether the terminal has the settings it had (libedit's modes are undone)."""
        return termios.tcgetattr(self.slave)[:4] == self.before[:4]
