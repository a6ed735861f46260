"""The second transport (BIP324): both sides send what looks like random bytes, and encrypt everything else.

Elligator-swift keys come from libsecp256k1, through coincurve: what it exports for that has no public name there, so the
version of coincurve is pinned. The ciphers are those of `cryptography`.

    DialTransport   for a connection that we made
    ServeTransport  for one that a peer made: it takes the first transport too, which it knows by its first 16 bytes

Both have what wire.Frames has: `opening` (bytes to send at once), `feed`, `answer` (bytes to send now), `next`, `pack`,
`is_ready`.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from typing import Literal

from coincurve._libsecp256k1 import ffi, lib
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from .wire import MOST_BLOCK, Frames, Malformed, longest

KEY = 64  # bytes of a public key on the wire
TERMINATOR = 16
MOST_GARBAGE = 4095
OWN_GARBAGE = 64  # an old node (bcoin) takes each 24 bytes for a wrong message, and bans an address after ten of them
REKEY = 224  # packets under one key
LENGTH, TAG, HEAD = 3, 16, 1
DECOY = 0x80
NAME = 12
FIRST = 16  # bytes by which the first transport is known

# Numbers of commands, by their order.
SHORT = (
    *("", "addr", "block", "blocktxn", "cmpctblock", "feefilter", "filteradd", "filterclear", "filterload", "getblocks"),
    *("getblocktxn", "getdata", "getheaders", "headers", "inv", "mempool", "merkleblock", "notfound", "ping", "pong"),
    *("sendcmpct", "tx", "getcfilters", "cfilter", "getcfheaders", "cfheaders", "getcfcheckpt", "cfcheckpt", "addrv2"),
)
NUMBERS = {name: number for number, name in enumerate(SHORT) if name}

_context = lib.secp256k1_context_create(1)


def new_key() -> tuple[bytes, bytes]:
    """(secret 32, public key as 64 bytes that look random)."""
    public = ffi.new("unsigned char[64]")
    while True:
        secret = os.urandom(32)
        if lib.secp256k1_ellswift_create(_context, public, secret, os.urandom(32)):
            return secret, bytes(ffi.buffer(public))


def shared_secret(secret: bytes, initiator: bytes, responder: bytes, is_initiator: bool) -> bytes:
    """The 32 bytes that both sides get of their keys."""
    out = ffi.new("unsigned char[32]")
    hash_function = lib.secp256k1_ellswift_xdh_hash_function_bip324
    party = 0 if is_initiator else 1
    if not lib.secp256k1_ellswift_xdh(_context, out, initiator, responder, secret, party, hash_function, ffi.NULL):
        raise Malformed("a key that cannot be")
    return bytes(ffi.buffer(out))


def _expand(pseudorandom: bytes, info: bytes) -> bytes:
    return hmac.digest(pseudorandom, info + b"\1", sha256)


class _LengthCipher:
    """ChaCha20 whose key changes after 224 lengths."""

    def __init__(self, key: bytes) -> None:
        self._count = self._turns = 0
        self._start(key)

    def _start(self, key: bytes) -> None:
        nonce = bytes(8) + self._turns.to_bytes(8, "little")
        self._stream = Cipher(ChaCha20(key, nonce), None).encryptor()

    def crypt(self, data: bytes) -> bytes:
        out = self._stream.update(data)
        self._count += 1
        if self._count == REKEY:
            key = self._stream.update(bytes(32))
            self._count, self._turns = 0, self._turns + 1
            self._start(key)
        return out


class _PacketCipher:
    """ChaCha20-Poly1305 whose key changes after 224 packets."""

    def __init__(self, key: bytes) -> None:
        self._count = self._turns = 0
        self._aead = ChaCha20Poly1305(key)

    def _nonce(self, first: int) -> bytes:
        return first.to_bytes(4, "little") + self._turns.to_bytes(8, "little")

    def _step(self) -> None:
        self._count += 1
        if self._count == REKEY:
            key = self._aead.encrypt(self._nonce(0xFFFFFFFF), bytes(32), b"")[:32]
            self._aead = ChaCha20Poly1305(key)
            self._count, self._turns = 0, self._turns + 1

    def seal(self, data: bytes, beside: bytes) -> bytes:
        out = self._aead.encrypt(self._nonce(self._count), data, beside)
        self._step()
        return out

    def open(self, data: bytes, beside: bytes) -> bytes:
        try:
            out = self._aead.decrypt(self._nonce(self._count), data, beside)
        except InvalidTag:
            raise Malformed("a packet that was changed on its way") from None
        self._step()
        return out


class Encrypted:
    """One side of a connection, from its first byte on."""

    is_encrypted = True

    def __init__(self, magic: bytes, is_initiator: bool, garbage: bytes | None = None) -> None:
        self.is_ready = False
        self._magic = magic
        self._is_initiator = is_initiator
        self._secret, self._public = new_key()
        self._garbage = os.urandom(secrets.randbelow(OWN_GARBAGE)) if garbage is None else garbage
        self._buffer = bytearray()
        self._pending = b""
        self._size: int | None = None  # of the packet that comes, once its length is known
        self._beside = b""  # what the next packet authenticates besides itself: the garbage before the first
        self._stage = "key"
        self.opening = self._public + self._garbage

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._buffer += data
        if self._stage == "key" and len(self._buffer) >= KEY:
            self._agree(bytes(self._buffer[:KEY]))
            del self._buffer[:KEY]

    def answer(self) -> bytes:
        """Bytes to send now."""
        out, self._pending = self._pending, b""
        return out

    def _agree(self, theirs: bytes) -> None:
        first, second = (self._public, theirs) if self._is_initiator else (theirs, self._public)
        secret = shared_secret(self._secret, first, second, self._is_initiator)
        pseudorandom = hmac.digest(b"bitcoin_v2_shared_secret" + self._magic, secret, sha256)
        names = (b"initiator", b"responder") if self._is_initiator else (b"responder", b"initiator")
        lengths = [_LengthCipher(_expand(pseudorandom, name + b"_L")) for name in names]
        packets = [_PacketCipher(_expand(pseudorandom, name + b"_P")) for name in names]
        self._send_length, self._receive_length = lengths
        self._send_packet, self._receive_packet = packets
        ends = _expand(pseudorandom, b"garbage_terminators")
        ours, self._end = (ends[:16], ends[16:]) if self._is_initiator else (ends[16:], ends[:16])
        self._pending += ours + self._seal(b"", self._garbage)
        self._stage = "garbage"

    def _seal(self, contents: bytes, beside: bytes = b"") -> bytes:
        head = self._send_length.crypt(len(contents).to_bytes(LENGTH, "little"))
        return head + self._send_packet.seal(b"\0" + contents, beside)

    def next(self) -> tuple[str, bytes] | None:
        """The next whole message. Raises Malformed."""
        if self._stage == "garbage":
            at = self._buffer.find(self._end, 0, MOST_GARBAGE + TERMINATOR)
            if at < 0:
                if len(self._buffer) >= MOST_GARBAGE + TERMINATOR:
                    raise Malformed("garbage without an end")
                return None
            self._beside = bytes(self._buffer[:at])
            del self._buffer[: at + TERMINATOR]
            self._stage = "packets"
        while self._stage == "packets":
            contents = self._packet()
            if contents is None:
                return None
            if contents is False:
                continue
            if self.is_ready:
                return self._message(contents)
            self.is_ready = True  # the first packet: what it may say of versions nobody needs yet
        return None

    def _packet(self) -> bytes | Literal[False] | None:
        """The contents of the next packet; False for a decoy, None for none yet."""
        if self._size is None:
            if len(self._buffer) < LENGTH:
                return None
            self._size = int.from_bytes(self._receive_length.crypt(bytes(self._buffer[:LENGTH])), "little")
            del self._buffer[:LENGTH]
            if self._size > MOST_BLOCK + HEAD + NAME:
                raise Malformed(f"a packet of {self._size} bytes")
        whole = HEAD + self._size + TAG
        if len(self._buffer) < whole:
            return None
        opened = self._receive_packet.open(bytes(self._buffer[:whole]), self._beside)
        del self._buffer[:whole]
        self._size, self._beside = None, b""
        return False if opened[0] & DECOY else opened[HEAD:]

    @staticmethod
    def _message(contents: bytes) -> tuple[str, bytes]:
        if not contents:
            raise Malformed("an empty packet")
        if contents[0]:
            command = SHORT[contents[0]] if contents[0] < len(SHORT) else f"number {contents[0]}"
            payload = contents[1:]
        else:
            name = contents[1 : 1 + NAME].rstrip(b"\0")
            if len(contents) < 1 + NAME or not name.isascii() or not name.decode().isprintable():
                raise Malformed("a command without a name")
            command, payload = name.decode(), contents[1 + NAME :]
        if len(payload) > longest(command):
            raise Malformed(f"{command} of {len(payload)} bytes")
        return command, payload

    def pack(self, command: str, payload: bytes) -> bytes:
        """A message as it goes over the wire."""
        number = NUMBERS.get(command)
        name = bytes((number,)) if number else b"\0" + command.encode().ljust(NAME, b"\0")
        return self._seal(name + payload)


class DialTransport(Encrypted):
    """See the module."""

    def __init__(self, magic: bytes) -> None:
        super().__init__(magic, True)


class ServeTransport:
    """See the module."""

    opening = b""

    def __init__(self, magic: bytes) -> None:
        self._magic = magic
        self._first = magic + b"version".ljust(FIRST - len(magic), b"\0")
        self._buffer = b""
        self._inner: Frames | Encrypted | None = None
        self._pending = b""

    @property
    def is_ready(self) -> bool:
        """Whether messages can be sent."""
        return self._inner is not None and self._inner.is_ready

    @property
    def is_encrypted(self) -> bool:
        """Whether the peer chose the second transport."""
        return isinstance(self._inner, Encrypted)

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        if self._inner is None:
            self._buffer += data
            if self._buffer[:FIRST] == self._first[: len(self._buffer)]:
                if len(self._buffer) < FIRST:
                    return
                self._inner = Frames(self._magic)
            else:
                self._inner = Encrypted(self._magic, False)
                self._pending = self._inner.opening
            data, self._buffer = self._buffer, b""
        self._inner.feed(data)

    def answer(self) -> bytes:
        """Bytes to send now."""
        out, self._pending = self._pending, b""
        return out + (self._inner.answer() if self._inner else b"")

    def next(self) -> tuple[str, bytes] | None:
        """The next whole message. Raises Malformed."""
        return self._inner.next() if self._inner else None

    def pack(self, command: str, payload: bytes) -> bytes:
        """A message as it goes over the wire."""
        assert self._inner
        return self._inner.pack(command, payload)
