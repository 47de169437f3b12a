# SPDX-License-Identifier: BSD-3-Clause
"""ICMP echo from a namespace, and ICMP errors to it. ping(8) gives up on its last answers after a few round trips' time; here each gets its time."""

import errno
import itertools
import os
import select
import socket
import struct
import time

IP_MTU_DISCOVER = 10
IP_RECVERR = 11
IP_MTU = 14
IP_PMTUDISC_DONT = 0
IP_PMTUDISC_DO = 2
GAP_S = 0.01  # between two requests
HEADERS = 28  # IPv4 and ICMP
NUMBERS = itertools.count(os.getpid())


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(identifier, number, payload):
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, number)
    return struct.pack("!BBHHH", 8, 0, checksum(head + payload), identifier, number) + payload


def echo(host, target, count, length, timeout, dont_fragment=None, ttl=None, tos=None):
    """Sends `count` requests of `length` bytes of IP; {number: ttl} of the right answers that came within `timeout` seconds
    after the last one. A wrong or second answer fails. The DF bit is the kernel's choice unless said."""
    identifier = next(NUMBERS) & 0xFFFF
    payload = bytes(i * 7 & 0xFF for i in range(length - HEADERS))
    answers = {}

    def collect(deadline):
        while len(answers) < count and select.select([raw], [], [], max(0.0, deadline - time.monotonic()))[0]:
            packet = raw.recv(65536)
            head = (packet[0] & 15) * 4
            kind, _, _, whose, number = struct.unpack("!BBHHH", packet[head : head + 8])
            if kind != 0 or whose != identifier:
                continue
            assert number not in answers, f"two answers to request {number}"
            assert packet[head + 8 :] == payload, f"request {number} was answered with other bytes"
            answers[number] = packet[8]

    with host.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with raw:
        discover = None if dont_fragment is None else IP_PMTUDISC_DO if dont_fragment else IP_PMTUDISC_DONT
        for option, value in ((IP_MTU_DISCOVER, discover), (socket.IP_TTL, ttl), (socket.IP_TOS, tos)):
            if value is not None:
                raw.setsockopt(socket.IPPROTO_IP, option, value)
        for number in range(count):
            raw.sendto(request(identifier, number, payload), (target, 0))
            collect(time.monotonic() + GAP_S)
        collect(time.monotonic() + timeout)
    return answers


def error_of(host, target, port=33434, ttl=64, length=0):
    """What the kernel makes of the answer to a datagram: (errno's name, path MTU)."""
    with host.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        one.settimeout(5)
        one.connect((target, port))
        one.send(bytes(length))
        try:
            one.recv(1)
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error)), one.getsockopt(socket.IPPROTO_IP, IP_MTU)
    raise AssertionError("an answer to a datagram for nobody")
