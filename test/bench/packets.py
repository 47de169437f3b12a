# SPDX-License-Identifier: BSD-3-Clause
"""Packets as bytes, and pcap files of them. Ten thousand are made in a fraction of a second, hence no scapy."""

import socket
import struct

ETHER_LEN = 14
VXLAN_OVERHEAD = 50  # outer Ethernet, IPv4, UDP, VXLAN


def mac(number, block=0x0A):
    """A station's address: 02:00, then `block` and 24 bits of number. Its last 32 bits are (block << 24) + number."""
    return struct.pack("!HI", 0x0200, (block << 24) + number)


def mac_text(number, block=0x0A):
    return ":".join(f"{byte:02x}" for byte in mac(number, block))


def address(text_or_number):
    if isinstance(text_or_number, int):
        return struct.pack("!I", text_or_number)
    return socket.inet_aton(text_or_number)


def address_text(number):
    return socket.inet_ntoa(struct.pack("!I", number))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, payload, protocol=17, ttl=64):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, protocol, 0)
    head += address(source) + address(destination)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, destination, payload, protocol=17, hop_limit=64):
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, address) for address in (source, destination))
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hop_limit) + addresses + payload


def udp(source, destination, payload, addresses=None):
    """With addresses (source, destination): its checksum is right; without: zero, which says there is none."""
    head = struct.pack("!HHHH", source, destination, 8 + len(payload), 0)
    if addresses is not None:
        pseudo = address(addresses[0]) + address(addresses[1]) + struct.pack("!HH", 17, len(head) + len(payload))
        head = head[:6] + struct.pack("!H", checksum(pseudo + head + payload) or 0xFFFF)
    return head + payload


def ether(destination, source, payload, kind=0x0800):
    return destination + source + struct.pack("!H", kind) + payload


def frame(destination, source, size, ip=("10.42.0.1", "10.42.0.2"), ports=(1000, 2000), ttl=64):
    """A UDP frame of `size` bytes without FCS."""
    payload = bytes(size - ETHER_LEN - 28)
    return ether(destination, source, ipv4(*ip, udp(*ports, payload), ttl=ttl))


def frame6(destination, source, size, ip, ports):
    """The same with IPv6. Its UDP checksum is not right: nobody on the way looks at it."""
    payload = bytes(size - ETHER_LEN - 48)
    return ether(destination, source, ipv6(*ip, udp(*ports, payload)), 0x86DD)


def vxlan(inner, vni, outer_macs, outer_ips, source_port, with_checksum=False, port=4789):
    payload = struct.pack("!II", 0x08000000, vni << 8) + inner
    datagram = udp(source_port, port, payload, outer_ips if with_checksum else None)
    return ether(*outer_macs, ipv4(*outer_ips, datagram))


def vxlan6(inner, vni, outer_macs, outer_ips, source_port, port=4789):
    payload = struct.pack("!II", 0x08000000, vni << 8) + inner
    return ether(*outer_macs, ipv6(*outer_ips, udp(source_port, port, payload)), 0x86DD)


def write_pcap(path, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for packet in packets:
            file.write(struct.pack("=IIII", 0, 0, len(packet), len(packet)) + packet)
