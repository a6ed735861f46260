"""What an application of CometBFT answers, proven: its proof operations lead from a key and its value, or from a key that is
not there, up a Merkle tree to the hash of the application's state, which the next header holds. Known are `simple:v`
(CometBFT crypto/merkle), and those of treeproofs.py. Loaded when somebody asks for a proof. Pure.
"""

from .commits import fields
from .compat import const, sha256
from .protobuf import decode_fields, varint

_HASH = const(32)
_TOTAL = const(1)  # fields of a proof
_INDEX = const(2)
_AUNTS = const(4)
_SIMPLE = b"simple:v"
_TREES = (b"ics23:iavl", b"ics23:simple")


def keys_of(path, data):
    """The keys that operations have to be of for a query: the one that was asked for, and of `/store/NAME/key`, as the
    Cosmos SDK has it, the store's name."""
    parts = path.split("/")
    return (data, parts[2].encode()) if len(parts) == 4 and parts[1] == "store" else (data,)


def is_known(proof):
    """Whether a proof is of operations that `root` can follow."""
    operations = decode_fields(proof)
    for _, data in operations or ():
        op = _message(data)
        if op is None or (op.get(1) != _SIMPLE and op.get(1) not in _TREES):
            return False
    return bool(operations)


def is_absence(proof, value):
    """Whether a proof with that value is one that the key is not there: trees of ICS-23 have no empty values."""
    operations = decode_fields(proof)
    op = _message(operations[0][1]) if operations else None
    return not value and op is not None and op.get(1) in _TREES


def root(proof, keys, value):
    """The hash of the state to which a proof, operations one after another as bytes, leads from a value, or from the absence
    of one (`is_absence`); None where it is not one of these keys."""
    operations = decode_fields(proof)
    if not operations or len(operations) != len(keys):
        return None
    for i in range(len(keys)):
        op = _message(operations[i][1])
        if op is None or op.get(2) != keys[i]:
            return None
        kind = op.get(1)
        if kind == _SIMPLE:
            value = _simple_root(op.get(3), keys[i], value)
        elif kind in _TREES:
            from .treeproofs import root_of

            value = root_of(kind, op.get(3), keys[i], value)
        else:
            return None
        if value is None:
            return None
    return value


def _simple_root(data, key, value):
    inner = _message(data)
    parts = inner and inner.get(2)
    parts = decode_fields(parts) if isinstance(parts, bytes) else None
    if not parts:
        return None
    digest = sha256(value).digest()
    leaf = sha256(b"\0" + varint(len(key)) + key + varint(_HASH) + digest).digest()
    numbers = dict(parts)
    aunts = [each for number, each in parts if number == _AUNTS]
    return _climb(numbers.get(_INDEX, 0), numbers.get(_TOTAL, 0), leaf, aunts)


def _message(data):
    return fields(data) if isinstance(data, bytes) else None


def _climb(index, total, node, aunts):
    """The root above a leaf, the nearest of its `aunts` first."""
    if not (isinstance(index, int) and isinstance(total, int) and index < total):
        return None
    way = []
    while total > 1:
        half = 1
        while half * 2 < total:
            half *= 2
        is_right = index >= half
        way.append(is_right)
        if is_right:
            index -= half
            total -= half
        else:
            total = half
    if len(way) != len(aunts):
        return None
    for aunt in aunts:
        if not isinstance(aunt, bytes) or len(aunt) != _HASH:
            return None
        node = sha256(b"\1" + (aunt + node if way.pop() else node + aunt)).digest()
    return node
