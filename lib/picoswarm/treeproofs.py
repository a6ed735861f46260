"""Proofs `ics23:iavl` and `ics23:simple`, which applications made with the Cosmos SDK give: that a value stands in an IAVL
tree (the store of a module), or in the simple tree of all stores, or that a key does not (ICS-23). Loaded when such a proof
comes. Pure.

What may stand before and after the hash of a child is narrow, so that no other way than that of the tree leads to its root:
one byte 1 in the simple tree; height, size and version in an IAVL tree, and hashes with their length before them.
"""

from .commits import fields
from .compat import const, sha256
from .protobuf import decode_fields, read_varint, varint

_EXISTS = const(1)  # fields of a commitment proof
_IS_ABSENT = const(2)
_LEFT = const(2)  # fields of a proof that something is absent
_RIGHT = const(3)
_KEY = const(1)  # fields of a proof that something exists
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
    for _ in range(3):
        number, at = read_varint(prefix, at, len(prefix))
        if at < 1 or number & 1:  # it does not end, or is below zero
            return -1
        numbers.append(number >> 1)
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
    """The root of the tree in which a commitment proof, as bytes, has this key with this value, or has no such key where the
    value is empty; None where it shows neither."""
    parts = _message(data)
    if not parts or not key:
        return None
    is_iavl = kind == b"ics23:iavl"
    if not value:
        return _without(is_iavl, parts.get(_IS_ABSENT), key)
    found = _way(is_iavl, parts.get(_EXISTS))
    return found[3] if found and found[0] == key and found[1] == value else None


def _without(is_iavl, data, key):
    """The root of the tree in which a key would stand between two neighbors, before the first one or behind the last."""
    parts = _message(data)
    if not parts:
        return None
    left = right = ()
    if _LEFT in parts:
        left = _way(is_iavl, parts[_LEFT])
        if not left or left[0] >= key:
            return None
    if _RIGHT in parts:
        right = _way(is_iavl, parts[_RIGHT])
        if not right or right[0] <= key:
            return None
    before = left[2] if left else []
    behind = right[2] if right else []
    if left and right:
        if left[3] != right[3]:
            return None
        while before and behind and before[-1] == behind[-1]:
            before.pop()
            behind.pop()
        # where they part, one goes to the left and the other to the right
        if not (before and behind) or not before.pop()[1] or behind.pop()[1]:
            return None
    elif not (left or right):
        return None
    for step in before:  # below that, nothing is to the right of the one
        if step[1]:
            return None
    for step in behind:  # nor to the left of the other
        if not step[1]:
            return None
    return (left or right)[3]


def _way(is_iavl, data):
    """(key, value, steps, root) of a proof that something exists; None: it is none. A step is what stands before and after
    the hash of a child, the latter empty where that is the right one."""
    parts = decode_fields(data) if isinstance(data, bytes) else None
    if not parts:
        return None
    proof = dict(parts)
    leaf = _message(proof.get(_LEAF))
    key = proof.get(_KEY)
    value = proof.get(_VALUE)
    if leaf is None or not (isinstance(key, bytes) and isinstance(value, bytes) and key and value):
        return None
    prefix = leaf.get(5)
    if [leaf.get(i, 0) for i in (1, 2, 3, 4)] != _LEAF_RULE or not isinstance(prefix, bytes):
        return None
    if not _is_leaf(is_iavl, prefix):
        return None
    digest = sha256(value).digest()
    node = sha256(prefix + varint(len(key)) + key + varint(_HASH) + digest).digest()
    steps = []
    for number, step in parts:
        if number != _STEP:
            continue
        step = _message(step)
        if step is None or len(steps) >= _DEPTH or step.get(1) != _SHA256:
            return None
        before = step.get(2)
        after = step.get(3, b"")
        if not (isinstance(before, bytes) and isinstance(after, bytes) and _is_step(is_iavl, before, after, len(steps) + 1)):
            return None
        steps.append((before, after))
        node = sha256(before + node + after).digest()
    return key, value, steps, node
