"""Kernels for many nodes in one process: what one node has worked out, the others need not work out again.

Both ends of a pair come to the same shared secret, and hundreds of nodes take in the same broadcast. `remember` has each of
these done once in a process. The bytes are the same; only the time is not.
"""

from __future__ import annotations

from picoswarm import kernels_host
from picoswarm.crypto import Hmac
from picoswarm.membership import NetworkKey

KEYS = 1 << 14  # private keys that stay loaded
SECRETS = 1 << 14
TAGS = 1 << 10


class _Tags(Hmac):
    """An HMAC that knows the last tags which it made or found right."""

    def __init__(self, mac: Hmac) -> None:
        vars(self).update(vars(mac))
        self._known: dict[bytes, bytes] = {}  # tag -> text

    def sign(self, buf: bytearray, start: int, end: int, at: int) -> None:
        super().sign(buf, start, end, at)
        self._note(bytes(buf[at : at + self.size]), bytes(buf[start:end]))

    def check(self, buf: bytearray, start: int, end: int, at: int) -> bool:
        tag, text = bytes(buf[at : at + self.size]), bytes(buf[start:end])
        if self._known.get(tag) == text:
            return True
        is_right: bool = super().check(buf, start, end, at)
        if is_right:
            self._note(tag, text)
        return is_right

    def _note(self, tag: bytes, text: bytes) -> None:
        self._known[tag] = text
        if len(self._known) > TAGS:
            del self._known[next(iter(self._known))]


class SharedAgreements(kernels_host.KeyAgreements):  # type: ignore[misc]
    """Key agreements of all nodes of a process."""

    def __init__(self) -> None:
        super().__init__(KEYS)
        self.count = 0
        self._publics: dict[bytes, bytes] = {}  # private -> public
        self._secrets: dict[tuple[bytes, bytes], bytes] = {}  # two public keys -> their shared secret

    def public(self, private32: bytes) -> bytes:
        self.count += 1
        return self._public(private32)

    def exchange(self, private32: bytes, u32: bytes) -> bytes | None:
        self.count += 1
        public = self._public(private32)
        pair = (public, u32) if public < u32 else (u32, public)
        secret: bytes | None = self._secrets.get(pair)
        if secret is None:
            secret = super().exchange(private32, u32)
            if secret is not None:
                self._secrets[pair] = secret
                if len(self._secrets) > SECRETS:
                    del self._secrets[next(iter(self._secrets))]
        return secret

    def _public(self, private32: bytes) -> bytes:
        public = self._publics.get(private32)
        if public is None:
            public = self._publics[private32] = super().public(private32)
            if len(self._publics) > KEYS:
                del self._publics[next(iter(self._publics))]
        return public


def remember(key: NetworkKey) -> NetworkKey:
    """The network key that all nodes of a simulation hold, as one object that remembers. Key agreements of this process are
    remembered from now on, too."""
    key.mac = _Tags(key.mac)
    if not isinstance(kernels_host.agreements, SharedAgreements):
        kernels_host.agreements = SharedAgreements()
    return key


def agreements() -> int:
    """X25519 multiplications that nodes of this process have done, remembered or not."""
    done = kernels_host.agreements
    return done.count if isinstance(done, SharedAgreements) else 0
