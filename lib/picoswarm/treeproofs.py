"""Proofs `ics23:iavl` and `ics23:simple`, which applications made with the Cosmos SDK give: that a value stands in an IAVL
tree (the store of a module), or in the simple tree of all stores (ICS-23). Loaded when such a proof comes. Pure.

What may stand before and after the hash of a child is narrow, so that no other way than that of the tree leads to its root:
one byte 1 in the simple tree; height, size and version in an IAVL tree, and hashes with their length before them.
"""

from .commits import fields, listed, varint, varint_at
from .compat import const, sha256

_EXISTS = const(1)  # fields of a commitment proof, and of a proof that something exists
_KEY = const(1)
_VALUE = const(2)
_LEAF = const(3)
_STEP = const(4)
_HASH = const(32)
_DEPTH = const(128)
_SHA256 = const(1)
_LEAF_RULE = [1, 0, 1, 1]  # hash, of the key, of the value: SHA-256, none, SHA-256; lengths as Protocol Buffers have them


def _message(data):
    return fields(data) if isinstance(data, bytes) else None


def _head(prefix, layer):
    """Where height, size and version of a node of an IAVL tree end; -1 where they cannot be those of that layer."""
    at = 0
    numbers = []
    try:
        for _ in range(3):
            number, at = varint_at(prefix, at)
            if number & 1:  # it is below zero
                return -1
            numbers.append(number >> 1)
    except IndexError:
        return -1
    if layer:
        return at if numbers[0] >= layer else -1
    return at if numbers[0] == 0 and numbers[1] == 1 and at == len(prefix) else -1


def _is_leaf(is_iavl, prefix):
    return _head(prefix, 0) > 0 if is_iavl else prefix == b"\0"


def _is_step(is_iavl, before, after, layer):
    """Whether this may stand around the hash of a child: nothing and its right sibling, or its left sibling and nothing."""
    at = _head(before, layer) if is_iavl else 1 if before[:1] == b"\1" else -1
    if at < 0:
        return False
    size = b"\x20" if is_iavl else b""
    before = before[at:]
    if before == size:
        return len(after) == len(size) + _HASH and after.startswith(size)
    return not after and len(before) == 2 * len(size) + _HASH and before.startswith(size) and before.endswith(size)


def root_of(kind, data, key, value):
    """The root of the tree in which a commitment proof, as bytes, has this key with this value; None: it has not."""
    parts = _message(data)
    parts = parts and parts.get(_EXISTS)
    parts = listed(parts) if isinstance(parts, bytes) else None
    if not parts or not key or not value:
        return None
    is_iavl = kind == b"ics23:iavl"
    proof = dict(parts)
    leaf = _message(proof.get(_LEAF))
    if leaf is None or proof.get(_KEY) != key or proof.get(_VALUE) != value:
        return None
    prefix = leaf.get(5)
    if [leaf.get(i, 0) for i in (1, 2, 3, 4)] != _LEAF_RULE or not isinstance(prefix, bytes):
        return None
    if not _is_leaf(is_iavl, prefix):
        return None
    digest = sha256(value).digest()
    node = sha256(prefix + varint(len(key)) + key + varint(_HASH) + digest).digest()
    layer = 0
    for number, step in parts:
        if number != _STEP:
            continue
        layer += 1
        step = _message(step)
        if step is None or layer > _DEPTH or step.get(1) != _SHA256:
            return None
        before = step.get(2)
        after = step.get(3, b"")
        if not (isinstance(before, bytes) and isinstance(after, bytes) and _is_step(is_iavl, before, after, layer)):
            return None
        node = sha256(before + node + after).digest()
    return node
