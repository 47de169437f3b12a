# SPDX-License-Identifier: BSD-3-Clause
"""A TCP stream between two hosts, neither of which need be here: what is compared is how much came, and its hash."""

import hashlib
import random
import socket
import threading


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


BLOCK = random.Random(42).randbytes(1 << 16)


class Receiver:
    """Listens in a host, and takes the first stream that comes."""

    def __init__(self, host, address, timeout):
        with host.inside():
            self.listener = socket.create_server((address, 0), family=family_of(address))
        self.timeout = timeout
        self.listener.settimeout(self.timeout)
        self.port = self.listener.getsockname()[1]
        self.length, self.hash, self.failed = 0, hashlib.sha256(), None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with self.listener:
                connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(self.timeout)
                while more := connection.recv(1 << 20):
                    self.length += len(more)
                    self.hash.update(more)
        except OSError as error:
            self.failed = error

    def result(self):
        self.thread.join()
        assert self.failed is None, f"a stream broke after {self.length} bytes: {self.failed}"
        return [self.length, self.hash.hexdigest()]


def send(host, address, port, length, timeout):
    """What a right receiver answers."""
    with host.inside():
        sender = socket.socket(family_of(address))
    sent = hashlib.sha256()
    with sender:
        sender.settimeout(timeout)
        sender.connect((address, port))
        left = length
        while left > 0:
            sender.sendall(BLOCK[:left])
            sent.update(BLOCK[:left])
            left -= len(BLOCK[:left])
    return [length, sent.hexdigest()]
