# SPDX-License-Identifier: BSD-3-Clause
"""What the bench ports count (test/bench/source/statistics.hpp), read while the program runs."""

import array
import mmap
import struct

MAGIC = 0x3148434E45425643
HEAD = struct.Struct("=8Q")
RX_HEAD = 128
TX_SIZE = 64


def is_complete(path):
    """Whether the port behind the file has said all it has to: the mark comes last."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError:
        return False
    return len(head) == 8 and struct.unpack("=Q", head)[0] == MAGIC


class PortStatistics:
    """One port's file, mapped."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        magic, self.tsc_hz, self.bins, self.bins_per_clock, self.queues, self.overhead, _, _ = HEAD.unpack_from(self.map)
        if magic != MAGIC:
            raise ValueError(f"{path}: no statistics of a bench port")
        self.rx_size = RX_HEAD + 8 * self.bins

    @staticmethod
    def go(path):
        """Tells the port behind the file to begin to count."""
        with open(path, "r+b") as file:
            file.seek(56)
            file.write(struct.pack("=Q", 1))

    def counted_packets(self):
        return HEAD.unpack_from(self.map)[6]

    def packets(self, queue):
        return struct.unpack_from("=Q", self.map, HEAD.size + queue * self.rx_size)[0]

    def rx(self, queue):
        at = HEAD.size + queue * self.rx_size
        numbers = struct.unpack_from("=11Q", self.map, at)
        histogram = array.array("Q", self.map[at + RX_HEAD : at + self.rx_size])
        return numbers, histogram

    def tx(self, queue):
        return struct.unpack_from("=5Q", self.map, HEAD.size + self.queues * self.rx_size + queue * TX_SIZE)

    def close(self):
        self.map.close()


class Window:
    """What happened between two looks at all ports of a program; clocks are TSC clocks a packet (or copy).

    What was received and sent is of the whole turn: it can be told apart only while the program rests.
    """

    def __init__(self, before, after, bins_per_clock, received, sent, sent_bytes):
        self.received, self.sent, self.sent_bytes = received, sent, sent_bytes
        self.source = ratio((a[0][5] - b[0][5], a[0][6] - b[0][6]) for a, b in zip(after[0], before[0]))
        self.sink = ratio((a[3] - b[3], a[4] - b[4]) for a, b in zip(after[1], before[1]))
        # A worker's own cost, by queue: workers have their own clocks.
        self.own = []
        for (_, now), (_, then) in zip(after[0], before[0]):
            counts = [n - t for n, t in zip(now, then)]
            total = sum(counts)
            if total > 0:
                self.own.append([quantile(counts, total, q) / bins_per_clock for q in (0.5, 0.1, 0.9)])
        self.mean = ratio((a[0][7] - b[0][7], a[0][8] - b[0][8]) for a, b in zip(after[0], before[0]))

    @property
    def median(self):
        return sum(own[0] for own in self.own) / len(self.own) if self.own else None


def ratio(pairs):
    """Clocks by packets, summed over queues."""
    clocks, packets = map(sum, zip(*pairs))
    return clocks / packets if packets > 0 else None


def quantile(counts, total, q):
    wanted = q * total
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if count and seen >= wanted:
            # Within a bin: as if spread evenly.
            return index + 1 - (seen - wanted) / count
    return len(counts)


def look(ports):
    """One look at a program's ports: ([rx queue ...], [tx queue ...])."""
    rx = [port.rx(queue) for port in ports for queue in range(port.queues) if port.packets(queue)]
    tx = [port.tx(queue) for port in ports for queue in range(port.queues)]
    return rx, tx


def totals(ports):
    """(packets received, packets sent, bytes sent)"""
    received = sum(port.packets(queue) for port in ports for queue in range(port.queues))
    sent = [port.tx(queue) for port in ports for queue in range(port.queues)]
    return received, sum(queue[0] for queue in sent), sum(queue[1] for queue in sent)
