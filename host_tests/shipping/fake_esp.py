"""An ESP chip that waits in its ROM loader, at the end of a pty: what esptool talks to when it writes a flash.

It speaks the serial protocol as Espressif documents it: SLIP frames of a request (0, op, length, checksum) and its answer
(1, op, length, value, data, status). Flash is a bytearray. It takes esptool's stub and then answers as the stub does, which
differs in the length of the status and in the form of MD5 sums. No timing, no reset lines: see docs/flashing.md.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pty
import struct
import threading
import tty
import zlib

SECTOR = 4096
FLASH_IDS = {4 << 20: 0x1640EF, 8 << 20: 0x1740EF, 2 << 20: 0x1540EF}  # a Winbond of that many bytes
# name: (value at 0x40001000 by which old chips are told, chip id in the security info of the newer ones, SPI registers)
CHIPS = {
    "ESP32": (0x00F01D83, None, 0x3FF42000, 0x24, 0x80),
    "ESP32-C3": (0x6921506F, 5, 0x60002000, 0x20, 0x58),
    "ESP32-S3": (0x00000009, 9, 0x60002000, 0x20, 0x58),
}
MAGIC_AT, CLKDIV_AT = 0x40001000, 0x3FF40014
BEGIN, DATA, END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SET_PARAMS, ATTACH, BAUD = 0x0B, 0x0D, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5, SECURITY = 0x10, 0x11, 0x12, 0x13, 0x14
ERASE_ALL = 0xD0
_PLAIN = {MEM_BEGIN, MEM_DATA, SET_PARAMS, ATTACH}


class FakeEsp:
    """`cut_after` data blocks it takes the pty away, `silent_after` so many it says nothing more; `worn`: a flash address
    whose byte cannot be written; `takes_stub` False: it refuses what is loaded into its memory."""

    def __init__(self, chip="ESP32", flash=4 << 20, cut_after=None, silent_after=None, worn=None, takes_stub=True):
        self.magic, self.chip_id, self.spi, self.usr2, self.w0 = CHIPS[chip]
        self.flash = bytearray(b"\xa5" * flash)  # what was there before
        self.cut_after, self.silent_after, self.worn = cut_after, silent_after, worn
        self.takes_stub = takes_stub
        self.is_stub = False
        self.erased: list[tuple[int, int]] = []
        self.bauds: list[int] = []
        self.blocks = 0
        self.registers = {MAGIC_AT: self.magic, CLKDIV_AT: 347}
        self._at = self._inflate = None
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._unplug()
        self._thread.join(5)

    def _unplug(self):
        for end in ("_slave", "_master"):
            handle = getattr(self, end)
            setattr(self, end, None)
            if handle is not None:
                os.close(handle)

    def _run(self):
        packet = None
        while self._master is not None:
            try:
                data = os.read(self._master, 4096)
            except OSError as trouble:
                assert trouble.errno in (errno.EIO, errno.EBADF), trouble
                return
            for byte in data:
                if byte != 0xC0:
                    packet = None if packet is None else packet + bytes((byte,))
                elif packet:
                    self._take(packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
                    packet = None
                else:
                    packet = b""

    def _send(self, packet):
        if self._master is not None:
            escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
            os.write(self._master, b"\xc0" + escaped + b"\xc0")

    def _answer(self, op, value=0, data=b"", status=b"\0\0"):
        data += status + (b"" if self.is_stub else b"\0\0")
        self._send(struct.pack("<BBHI", 1, op, len(data), value) + data)

    def _take(self, packet):
        if len(packet) < 8 or packet[0]:
            return
        op, _size, check = struct.unpack_from("<BHI", packet, 1)
        body = packet[8:]
        if self.silent_after is not None and self.blocks >= self.silent_after:
            return
        if op == SYNC:
            for _ in range(8):
                self._answer(op, 0 if self.is_stub else 0x20120707)
        elif op == READ_REG:
            self._answer(op, self._register(*struct.unpack("<I", body)))
        elif op == WRITE_REG:
            address, value = struct.unpack_from("<II", body)
            self.registers[address] = value
            self._answer(op)
        elif op == SECURITY and self.chip_id is not None:
            self._answer(op, data=struct.pack("<IB7sII", 0, 0, b"", self.chip_id, 0))
        elif op in (MEM_BEGIN, MEM_DATA) and not self.takes_stub:
            self._answer(op, status=b"\x01\x06")
        elif op == MEM_END:
            self._answer(op)
            self.is_stub = True
            self._send(b"OHAI")
        elif op in _PLAIN:
            self._answer(op)
        elif op == BAUD:
            self.bauds.append(struct.unpack_from("<I", body)[0])
            self._answer(op)
        else:
            self._flash_command(op, check, body)

    def _register(self, address):
        if address == self.spi:  # the SPI command register: what was asked is done
            return 0
        if address == self.spi + self.w0:
            opcode = self.registers.get(self.spi + self.usr2, 0) & 0xFF
            return {0x9F: FLASH_IDS[len(self.flash)], 0x5A: 0x50444653}.get(opcode, 0)
        return self.registers.get(address, 0)

    def _flash_command(self, op, check, body):
        if op in (BEGIN, DEFL_BEGIN):
            size, _blocks, _block, self._at = struct.unpack_from("<IIII", body)
            if self._at or size:
                self._erase(self._at, size)
            self._inflate = zlib.decompressobj() if op == DEFL_BEGIN else None
            self._answer(op)
        elif op in (DATA, DEFL_DATA):
            self._data(op, check, body)
        elif op in (END, DEFL_END):
            self._answer(op)
        elif op == MD5:
            address, size = struct.unpack_from("<II", body)
            digest = hashlib.md5(self.flash[address : address + size])
            self._answer(op, data=digest.digest() if self.is_stub else digest.hexdigest().encode())
        elif op == ERASE_ALL and self.is_stub:
            self._erase(0, len(self.flash))
            self._answer(op)
        else:
            self._answer(op, status=b"\x01\x05")  # not known

    def _erase(self, begin, size):
        end = -(-(begin + size) // SECTOR) * SECTOR
        self.erased.append((begin, end))
        self.flash[begin:end] = b"\xff" * (end - begin)

    def _data(self, op, check, body):
        data = body[16 : 16 + struct.unpack_from("<I", body)[0]]
        wrong = 0xEF
        for byte in data:
            wrong ^= byte
        if wrong != check & 0xFF:
            return self._answer(op, status=b"\x01\x07")
        if self._inflate is not None:
            data = self._inflate.decompress(data)
        self.flash[self._at : self._at + len(data)] = data
        if self.worn is not None and self._at <= self.worn < self._at + len(data):
            self.flash[self.worn] ^= 1
        self._at += len(data)
        self.blocks += 1
        if self.blocks == self.cut_after:
            return self._unplug()
        self._answer(op)
