# SPDX-License-Identifier: BSD-3-Clause
"""The control socket's protocol: one command line out, one JSON document on one line back."""

import json
import socket


class Refused(Exception):
    """A command that culvert did not accept."""

    def __init__(self, line, reply):
        super().__init__(f"'{line}' refused: {reply.get('errno')}: {reply.get('error')}")
        self.errno, self.error = reply.get("errno"), reply.get("error")


class ControlSocket:
    def __init__(self, path, timeout):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.pending = b""
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        while b"\n" not in self.pending:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError(f"culvert closed the control connection (after {self.pending!r})")
            self.pending += more
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def request(self, line):
        self.send(line.encode() + b"\n")
        return self.reply()
