"""A node's keys between its store and its engines: read at every boot, made at the first one (docs/security.md).

A key file that is there and cannot be read stops the node: a new key made in its place would be another node to its peers.
"""

import time
from os import urandom

from .compat import const, sha256
from .entropy import Pool
from .errors import EntropyError, Malformed, StoreError
from .membership import Membership
from .nodedb import decode_nodes
from .nodekey import Create, Identity
from .slots import IDENTITY, NETWORK, NODES, OPERATOR, SEED

_SOURCE = const(256)  # bytes of the system's random source, two windows of its health tests
_JITTER = const(32)  # clock readings


def _board_id():
    """Bytes that differ between two boards flashed with one image, as far as the runtime knows any; may be empty."""
    try:
        from machine import unique_id
    except ImportError:
        return b""
    return bytes(unique_id())


def _jitter():
    """Readings of the fastest clock, a byte each, with work of uneven length between them: weak entropy, but none that a
    flash image carries."""
    ticks = getattr(time, "ticks_us", None) or time.perf_counter_ns
    out = bytearray(_JITTER)
    for i in range(_JITTER):
        sha256(out).digest()
        out[i] = ticks() & 0xFF
    return bytes(out)


def gather(store, source=urandom):
    """The entropy pool of this boot: the board's random source, and what tells it from boards with the same flash image.
    To be called with the radio on, where the source depends on it. It always gives a pool; one whose source failed gives
    request ids but no key. `source(n)` returns n bytes."""
    pool = Pool(_board_id(), _jitter(), store.read(SEED) or b"")
    try:
        pool.feed(source(_SOURCE))
    except EntropyError:
        pass  # the pool refuses keys until a healthy source is fed
    return pool


def _load(store, kind, decode):
    """The decoded key of a kind, or None where no file is. Raises StoreError where there is one and none can be read."""
    payload = store.read(kind)
    if payload is None:
        faults = store.faults(kind)
        if faults:
            raise StoreError("no copy of a key is whole; restore it, or remove it to give it up: %s" % "; ".join(faults))
        return None
    try:
        key = decode(payload)
    except Malformed as error:
        raise StoreError("%s: %s" % (kind.name, error))
    try:
        store.write(kind, payload)  # where one of the two copies was lost, it is made again
    except StoreError:
        pass  # a flash that takes no more writes still gives its keys
    return key


def load_identity(store):
    """The Identity in a store, or None before the first boot. Raises StoreError."""
    return _load(store, IDENTITY, Identity.decode)


def load_membership(store):
    """The Membership in a store, or None where nothing was provisioned. Raises StoreError."""
    return _load(store, NETWORK, Membership.decode)


def load_operator(store, keyring, is_gateway):
    """Tell a Keyring which change of keys it follows. Where nothing was provisioned, or can be read, it takes none. A key
    that the change revoked goes, if the power went before it did."""
    payload = store.read(OPERATOR)
    if payload is None:
        return
    from .changes import REVOKE, decode_operator

    try:
        change = decode_operator(payload)[1]
    except Malformed:
        return
    keyring.serial = 0
    if change:
        keyring.serial = change.serial
        keyring.revoked = change.revoked
        if change.kind == REVOKE and change.epoch == keyring.highest.epoch:
            keyring.retired = keyring.lower if is_gateway else None
            keyring.lower = None


def load_nodes(store):
    """The node database in a store: [(id, ip, UDP port)], empty where there is none that can be read."""
    try:
        return decode_nodes(store.read(NODES) or b"\0")
    except (Malformed, StoreError):
        return []


class LoadOrCreate:
    """The job that gives a node its Identity: from the store, or made now and stored before it is given.

    Raises StoreError, and EntropyError when the random source fails; nothing is stored then.
    """

    def __init__(self, store, pool, source=urandom):
        self.result = load_identity(store)
        self._store = store
        self._pool = pool
        self._source = source
        self._job = None

    def step(self):
        """One slice of work; True while more is left, then `.result` is the Identity. After a StoreError the next step
        tries to store the same key again."""
        if self.result is not None:
            return False
        job = self._job
        if self._source is not None:
            self._pool.feed(self._source(_SOURCE))  # tested anew, whatever was fed before
            self._source = None
        elif job is None:
            self._job = Create(self._pool)
        elif job.result is not None or not job.step():
            self._store.write(IDENTITY, job.result.encode())
            self.result = job.result
            self._job = self._pool = None
            return False
        return True
