"""The other end of a Pico's PPP link (RFC 1661, 1332, HDLC framing of RFC 1662): it gives the Pico its address and carries
IPv4. Bytes and packets in and out; it does no I/O. The emulated line loses nothing, so nothing is sent twice."""

from __future__ import annotations

import struct
from collections.abc import Iterator

FLAG, ESCAPE = 0x7E, 0x7D
LCP, IPCP, IPV4 = 0xC021, 0x8021, 0x0021
REQUEST, ACK, NAK, REJECT, TERMINATE, TERMINATED, PROTOCOL_REJECT = 1, 2, 3, 4, 5, 6, 8
ECHO, ECHOED = 9, 10
ADDRESS = 3  # an option of IPCP
LCP_KNOWN = (1, 2, 5, 7, 8)  # MRU, characters to escape, magic number, compressed protocol and address fields
NO_ESCAPES = b"\x02\x06\x00\x00\x00\x00"
LONGEST = 4096  # bytes of a frame: what is longer is noise


def fcs16(data: bytes) -> int:
    """The checksum of HDLC frames; over a whole good frame it is 0xF0B8 before its last inversion."""
    fcs = 0xFFFF
    for byte in data:
        fcs = (fcs >> 8) ^ _TABLE[(fcs ^ byte) & 0xFF]
    return fcs ^ 0xFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
    return value


_TABLE = [_entry(i) for i in range(256)]
_SPECIAL = bytes((FLAG, ESCAPE))


def frame(protocol: int, payload: bytes, is_plain: bool) -> bytes:
    """One HDLC frame. `is_plain`: control characters go as they are, as both sides agreed."""
    body = struct.pack("!BBH", 0xFF, 0x03, protocol) + payload
    body += struct.pack("<H", fcs16(body))
    out = bytearray((FLAG,))
    for byte in body:
        if byte in _SPECIAL or (byte < 0x20 and not is_plain):
            out += bytes((ESCAPE, byte ^ 0x20))
        else:
            out.append(byte)
    out.append(FLAG)
    return bytes(out)


class PppPeer:
    """Feed it with `receive`; what has to be sent is in `out`."""

    def __init__(self, own_ip: bytes, guest_ip: bytes) -> None:
        """4-byte addresses."""
        self.own_ip, self.guest_ip = own_ip, guest_ip
        self.out = bytearray()
        self.is_up = False  # the guest has its address
        self.dropped = 0  # frames with a wrong checksum
        self._frame = bytearray()
        self._is_escaped = False
        self._is_plain = False

    def send(self, packet: bytes) -> None:
        """An IPv4 packet for the guest; lost while the link is down."""
        if self.is_up:
            self.out += frame(IPV4, packet, self._is_plain)

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the line; yields the IPv4 packets in them."""
        for byte in data:
            if byte == FLAG:
                body, self._frame, self._is_escaped = bytes(self._frame), bytearray(), False
                if len(body) > 4:
                    yield from self._take(body)
            elif byte == ESCAPE:
                self._is_escaped = True
            elif len(self._frame) < LONGEST:
                self._frame.append(byte ^ 0x20 if self._is_escaped else byte)
                self._is_escaped = False

    def _take(self, body: bytes) -> Iterator[bytes]:
        if fcs16(body) != 0xFFFF ^ 0xF0B8:
            self.dropped += 1
            return
        body = body[2:-2] if body[:2] == b"\xff\x03" else body[:-2]
        size = 1 if body[:1] and body[0] & 1 else 2
        protocol, payload = int.from_bytes(body[:size], "big"), body[size:]
        if protocol == IPV4:
            if self.is_up:
                yield payload
        elif len(payload) < 4:
            return
        elif protocol in (LCP, IPCP):
            self._control(protocol, payload)
        else:  # IPv6, compression: not here
            self._say(LCP, PROTOCOL_REJECT, 1, struct.pack("!H", protocol) + payload)

    def _say(self, protocol: int, code: int, number: int, data: bytes) -> None:
        self.out += frame(
            protocol, struct.pack("!BBH", code, number, 4 + len(data)) + data, self._is_plain and protocol != LCP
        )

    def _control(self, protocol: int, packet: bytes) -> None:
        code, number, length = struct.unpack_from("!BBH", packet)
        data = packet[4:length]
        if code == REQUEST:
            if protocol == LCP:  # a new beginning
                self.is_up = self._is_plain = False
            answer, options = self._judge(protocol, data)
            self._say(protocol, answer, number, options)
            if answer == ACK:
                own = NO_ESCAPES if protocol == LCP else bytes((ADDRESS, 6)) + self.own_ip
                self._say(protocol, REQUEST, 1, own)
                self.is_up = protocol == IPCP
        elif code == ACK and protocol == LCP:
            self._is_plain = True
        elif code == TERMINATE:
            self.is_up = False
            self._say(protocol, TERMINATED, number, b"")
        elif code == ECHO:
            self._say(LCP, ECHOED, number, bytes(4) + data[4:])

    def _judge(self, protocol: int, data: bytes) -> tuple[int, bytes]:
        """(code of the answer, its options) to what the guest asks for."""
        rejected, wrong, at = b"", b"", 0
        while at + 2 <= len(data) and data[at + 1] >= 2:
            kind, option = data[at], data[at : at + data[at + 1]]
            at += data[at + 1]
            if protocol == LCP and kind not in LCP_KNOWN or protocol == IPCP and kind != ADDRESS:
                rejected += option
            elif protocol == IPCP and option[2:] != self.guest_ip:
                wrong += bytes((ADDRESS, 6)) + self.guest_ip
        return (REJECT, rejected) if rejected else (NAK, wrong) if wrong else (ACK, data)
