# SPDX-License-Identifier: BSD-3-Clause
"""The bytes at the far end of a cable: send any frame to culvert, see every frame it sends.

A Wire is a packet socket on the kernel's side of one of culvert's taps. What the kernel itself sends there is not seen.
"""

import select
import socket
import struct
import time

from culvert_lab import SLOW
from scapy.config import conf

conf.ipv6_enabled = False

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import Raw, bind_layers  # noqa: E402

__all__ = ["ARP", "Dot1Q", "Ether", "GRE", "ICMP", "IP", "Raw", "TCP", "UDP", "VXLAN", "Wire", "inner_of", "vxlan_frame"]

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 0x10

bind_layers(UDP, VXLAN, dport=4789)
bind_layers(UDP, VXLAN, dport=8472)


class Wire:
    def __init__(self, host, device="eth0"):
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self.socket.bind((device, ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        for frame in frames:
            self.socket.send(bytes(frame))

    def next_frame(self, deadline):
        """One frame culvert sent, or None at the deadline."""
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self.socket], [], [], left)[0]:
                return None
            data, extra, _, address = self.socket.recvmsg(65536, 256)
            if address[2] == PACKET_OUTGOING:
                continue
            # The kernel takes an outermost VLAN tag out of the frame and hands it over beside it.
            for level, kind, value in extra:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", value[:20])
                    if status & TP_STATUS_VLAN_VALID:
                        data = data[:12] + struct.pack("!HH", tpid or 0x8100, tci) + data[12:]
            return data

    def receive(self, match, timeout=5.0, what="a frame"):
        """The first frame for which match(Ether) holds; the others are passed over, and named when none comes."""
        deadline = time.monotonic() + timeout * SLOW
        passed = []
        while (data := self.next_frame(deadline)) is not None:
            frame = Ether(data)
            if match(frame):
                return frame
            passed.append(frame.summary())
        raise AssertionError(f"no {what} within {timeout * SLOW:g} s; passed over: {passed}")

    def pending(self):
        """What is there by now, without waiting."""
        frames = []
        while (data := self.next_frame(time.monotonic())) is not None:
            frames.append(Ether(data))
        return frames


def vxlan_frame(port, inner, vni=42, src="192.0.2.2", dst="192.0.2.1", dport=4789, sport=49152, checksum=True, **ip):
    """`inner` in VXLAN as the host at `port` would send it to culvert."""
    udp = UDP(sport=sport, dport=dport) if checksum else UDP(sport=sport, dport=dport, chksum=0)
    return Ether(src=port.peer_mac, dst=port.mac) / IP(src=src, dst=dst, **ip) / udp / VXLAN(flags=8, vni=vni) / inner


def inner_of(frame):
    """The frame within a VXLAN frame, as bytes."""
    return bytes(frame[VXLAN].payload)
