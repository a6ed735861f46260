"""IPv4 packets with UDP and TCP in them: taken apart, and made."""

from __future__ import annotations

import struct
from dataclasses import dataclass

TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Packet:
    """The transport's part of an IPv4 packet; addresses are 4 bytes. `flags`, `seq`, `ack`, `window` and `mss` (0: not said)
    are TCP's."""

    protocol: int
    source: tuple[bytes, int]
    goal: tuple[bytes, int]
    data: bytes
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    mss: int = 0


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def parse(packet: bytes) -> Packet | None:
    """A whole UDP or TCP packet; None for anything else. The checksums are not looked at: PPP has its own."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or int.from_bytes(packet[6:8], "big") & 0x3FFF:
        return None
    header, total, protocol = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big"), packet[9]
    body = packet[header:total]
    if protocol not in (TCP, UDP) or len(body) < (20 if protocol == TCP else 8):
        return None
    ports = struct.unpack_from("!HH", body)
    source, goal = (packet[12:16], ports[0]), (packet[16:20], ports[1])
    if protocol == UDP:
        return Packet(UDP, source, goal, body[8 : int.from_bytes(body[4:6], "big")])
    seq, ack, offset, flags, window = struct.unpack_from("!IIBBH", body, 4)
    return Packet(
        TCP, source, goal, body[(offset >> 4) * 4 :], flags & 31, seq, ack, window, _mss(body[20 : (offset >> 4) * 4])
    )


def _mss(options: bytes) -> int:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
        elif at + 1 >= len(options) or options[at + 1] < 2:
            break
        elif options[at] == 2:
            return int.from_bytes(options[at + 2 : at + 4], "big")
        else:
            at += options[at + 1]
    return 0


def build(packet: Packet) -> bytes:
    """The bytes of an IPv4 packet."""
    (source, source_port), (goal, goal_port) = packet.source, packet.goal
    if packet.protocol == UDP:
        body = struct.pack("!HHHH", source_port, goal_port, 8 + len(packet.data), 0) + packet.data
        at = 6
    else:
        options = struct.pack("!BBH", 2, 4, packet.mss) if packet.mss else b""
        offset = (20 + len(options)) // 4 << 4
        numbers = (source_port, goal_port, packet.seq, packet.ack, offset, packet.flags, packet.window, 0, 0)
        body = struct.pack("!HHIIBBHHH", *numbers) + options + packet.data
        at = 16
    pseudo = source + goal + struct.pack("!BBH", 0, packet.protocol, len(body))
    body = body[:at] + struct.pack("!H", checksum(pseudo + body) or 0xFFFF) + body[at + 2 :]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, packet.protocol, 0) + source + goal
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
