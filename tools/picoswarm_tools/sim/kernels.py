"""Kernels for many nodes in one process: what one node has worked out, the others need not work out again.

Both ends of a pair come to the same shared secret, who takes in a datagram checks the tags that its sender has just made,
and hundreds of nodes take in the same broadcast. `remember` has each of these done once in a process, and the scan of a
table done by CPython's own loops. The bytes are the same; only the time is not.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import sha256
from struct import Struct
from typing import Any, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from picoswarm import agreement, datagram, kernels_host, table
from picoswarm.crypto import Hmac
from picoswarm.identity import pair_key
from picoswarm.membership import NetworkKey

KEYS = 1 << 14  # private keys that stay loaded
SECRETS = 1 << 14
TAGS = 1 << 14  # more than ten thousand nodes that join have under way

_BLOCK = 64  # of SHA-256
_INNER = bytes(x ^ 0x36 for x in range(256))
_OUTER = bytes(x ^ 0x5C for x in range(256))
_STATE, _CREDIT = 63, 62  # of a record (lib/picoswarm/table.py)


Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """What was put here or asked for last: `most` entries at least, twice as many at most. Those that were not wanted for so
    long go together, which costs nothing; to let the oldest one go each time, a dict has to look for it."""

    __slots__ = ("_most", "_new", "_old")

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def get(self, key: Key) -> Value | None:
        """The value of a key, or None."""
        value = self._new.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Remember it."""
        new = self._new
        new[key] = value
        if len(new) > self._most:
            self._old = new
            self._new = {}


class _Tags(Hmac):
    """An HMAC that knows the last tags which it made or found right."""

    def __init__(self, mac: Hmac) -> None:
        vars(self).update(vars(mac))
        self._known: Recent[bytes, bytes] = Recent(TAGS)  # tag -> text

    def sign(self, buf: bytearray, start: int, end: int, at: int) -> None:
        text = bytes(buf[start:end])
        buf[at : at + self.size] = tag = self.digest(text)[: self.size]
        self._known.put(tag, text)

    def check(self, buf: bytearray, start: int, end: int, at: int) -> bool:
        tag = bytes(buf[at : at + self.size])
        if self._known.get(tag) == buf[start:end]:
            return True
        is_right: bool = super().check(buf, start, end, at)
        if is_right:
            self._known.put(tag, bytes(buf[start:end]))
        return is_right


class PairTags:
    """The HMAC of a node's pair tags, which is under another key each time. What one end made, the other finds right by
    looking it up."""

    known: Recent[bytes, bytes] = Recent(TAGS)  # key, prefix and text -> tag; of the whole process

    def __init__(self, key: bytes, size: int) -> None:
        self.size = size
        self.prefix = b""
        self._key = bytes(key)

    def rekey(self, buf: bytearray, at: int, n: int) -> None:
        """Take the key buf[at:at+n]."""
        self._key = bytes(buf[at : at + n])

    def sign(self, buf: bytearray, start: int, end: int, at: int) -> None:
        """Write the tag of prefix || buf[start:end] to buf[at:at+size]."""
        text = buf[start:end]
        buf[at : at + self.size] = tag = self._tag(text)
        self.known.put(b"".join((self._key, self.prefix, text)), tag)

    def check(self, buf: bytearray, start: int, end: int, at: int) -> bool:
        """Whether buf[at:at+size] is what `sign` would write."""
        tag = self.known.get(b"".join((self._key, self.prefix, buf[start:end])))
        return (self._tag(buf[start:end]) if tag is None else tag) == buf[at : at + self.size]

    def _tag(self, text: bytearray) -> bytes:
        key = self._key.ljust(_BLOCK, b"\0")
        inner = sha256(b"".join((key.translate(_INNER), self.prefix, text))).digest()
        return sha256(key.translate(_OUTER) + inner).digest()[: self.size]


_heads: dict[tuple[int, int], Struct] = {}  # (records, step) -> the first 8 bytes of each


def nearest(pool: bytearray, end: int, step: int, target: bytearray, beyond: int, found: array[int], n: int) -> int:
    """As `picoswarm.wire.nearest`."""
    count = end // step
    heads = _heads.get((count, step))
    if heads is None:
        heads = _heads[count, step] = Struct(">" + f"Q{step - 8}x" * count)
    wanted = int.from_bytes(target[:8])
    records = zip(heads.unpack_from(pool), range(count), pool[_STATE:end:step], pool[_CREDIT:end:step], strict=True)
    near = [(head ^ wanted) << 16 | i for head, i, state, credit in records if credit and state & 15 == 1]
    near.sort()
    first = bisect_left(near, beyond + 1 << 56) if beyond >= 0 else 0  # 40 bits of the distance, and 16
    near = near[first : first + n]
    for i, each in enumerate(near):
        found[i] = (each & 0xFFFF) * step
    return len(near)


_pair_keys: Recent[tuple[bytes, bytes], bytes] = Recent(SECRETS)  # (shared secret, the lower id) -> pair key


def shared_pair_key(shared32: bytes, id_a: bytes, id_b: bytes) -> bytes:
    """As `picoswarm.identity.pair_key`, for both ends at once: the secret tells the pair."""
    pair = shared32, min(bytes(id_a), bytes(id_b))
    key = _pair_keys.get(pair)
    if key is None:
        key = pair_key(shared32, id_a, id_b)
        _pair_keys.put(pair, key)
    return key


class SharedAgreements(kernels_host.KeyAgreements):  # type: ignore[misc]
    """Key agreements of all nodes of a process."""

    def __init__(self) -> None:
        super().__init__(0, 0)  # all that it keeps is here
        self.count = 0
        self._keys: Recent[bytes, Any] = Recent(KEYS)  # private -> loaded
        self._publics: Recent[bytes, bytes] = Recent(KEYS)  # private -> public
        self._secrets: Recent[tuple[bytes, bytes], bytes] = Recent(SECRETS)  # two public keys -> their shared secret

    def _private(self, private32: bytes) -> Any:
        key = self._keys.get(private32)
        if key is None:
            key = X25519PrivateKey.from_private_bytes(private32)
            self._keys.put(private32, key)
        return key

    def public(self, private32: bytes) -> bytes:
        self.count += 1
        return self._public(private32)

    def exchange(self, private32: bytes, u32: bytes) -> bytes | None:
        self.count += 1
        public = self._public(private32)
        pair = (public, u32) if public < u32 else (u32, public)
        secret = self._secrets.get(pair)
        if secret is None:
            secret = kernels_host.agreed(self._private(private32), u32)
            if secret is not None:
                self._secrets.put(pair, secret)
        return secret

    def _public(self, private32: bytes) -> bytes:
        public = self._publics.get(private32)
        if public is None:
            public = self._private(private32).public_key().public_bytes_raw()
            self._publics.put(private32, public)
        return public


def remember(key: NetworkKey) -> NetworkKey:
    """The network key that all nodes of a simulation hold, as one object that remembers. From now on this process remembers
    key agreements and pair tags, too."""
    key.mac = _Tags(key.mac)
    datagram.Hmac = PairTags
    agreement.pair_key = shared_pair_key
    table.nearest = nearest
    if not isinstance(kernels_host.agreements, SharedAgreements):
        kernels_host.agreements = SharedAgreements()
    return key


def agreements() -> int:
    """X25519 multiplications that nodes of this process have done, remembered or not."""
    done = kernels_host.agreements
    return done.count if isinstance(done, SharedAgreements) else 0
