"""Proofs of values against the hash of an application's state: which lead there, and what does not."""

from picoswarm.compat import sha256
from picoswarm.proofs import is_known, keys_of, root
from picoswarm.protobuf import varint

RUNTIMES = ("cpython", "micropython")


def field(number, value):
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def number(field, value):
    return bytes((field << 3,)) + varint(value)


def sized(data):
    return varint(len(data)) + data


def tree(leaves):
    """(root, the way up from each leaf), by the definition: the left side has the largest power of two below the size."""
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest(), [[]]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    left, left_ways = tree(leaves[:half])
    right, right_ways = tree(leaves[half:])
    ways = [way + [right] for way in left_ways] + [way + [left] for way in right_ways]
    return sha256(b"\1" + left + right).digest(), ways


def operation(key, total, index, way, kind=b"simple:v"):
    inner = number(1, total) + number(2, index) + field(3, bytes(32))
    for aunt in way:
        inner += field(4, aunt)
    return field(1, field(1, kind) + field(2, key) + field(3, field(1, key) + field(2, inner)))


def state(n):
    """(root, [(key, value, proof)]) of an application with n values."""
    pairs = [(b"key%d" % i, b"value" * i) for i in range(n)]
    leaves = [sized(key) + sized(sha256(value).digest()) for key, value in pairs]
    top, ways = tree(leaves)
    return top, [(pairs[i][0], pairs[i][1], operation(pairs[i][0], n, i, ways[i])) for i in range(n)]


def test_a_proof_of_each_value_of_any_number_leads_to_the_hash_of_the_state():
    for n in (1, 2, 3, 5, 8, 9):
        top, values = state(n)
        for key, value, proof in values:
            assert is_known(proof) and root(proof, (key,), value) == top


def test_no_other_value_and_no_other_key_is_proven():
    top, values = state(5)
    key, value, proof = values[3]
    assert root(proof, (key,), value + b"x") != top
    assert root(proof, (b"key4",), value) is None
    assert root(proof, (), value) is None and root(proof, (key, b"store"), value) is None
    for other in (values[2], values[4]):
        assert root(other[2], (other[0],), value) != top


def test_no_changed_byte_of_a_way_proves_anything():
    top, values = state(3)
    key, value, proof = values[1]
    at = len(proof) - 2 * 34  # the last two fields are aunts
    for i in range(at, len(proof)):
        changed = bytearray(proof)
        changed[i] ^= 1
        assert root(bytes(changed), (key,), value) != top


def test_a_way_that_is_none_is_refused():
    top, ways = tree([b"a", b"b", b"c"])
    for total, index, way in (
        (3, 3, ways[0]),
        (0, 0, []),
        (3, 0, ways[0][:1]),
        (3, 0, ways[0] + [bytes(32)]),
        (1 << 62, 1, ways[0]),
        (3, 1, [ways[1][0], ways[1][1][:31]]),
        ((1 << 64) - 1, (1 << 64) - 2, []),
    ):
        assert root(operation(b"key", total, index, way), (b"key",), b"v") is None


def test_an_operation_of_another_kind_is_not_known():
    proof = operation(b"key", 1, 0, [], b"ics23:smt")
    assert not is_known(proof) and root(proof, (b"key",), b"v") is None
    assert not is_known(b"") and not is_known(b"\xff")


def test_a_store_within_a_state_has_two_keys():
    inner, values = state(4)
    key, value, proof = values[2]
    leaves = [sized(name) + sized(sha256(content).digest()) for name, content in ((b"bank", inner), (b"gov", bytes(32)))]
    top, ways = tree(leaves)
    both = proof + operation(b"bank", 2, 0, ways[0])
    assert root(both, keys_of("/store/bank/key", key), value) == top
    assert root(both, keys_of("/store/gov/key", key), value) is None
    assert keys_of("/key", key) == (key,)


def test_any_bytes_are_no_proof():
    _, values = state(5)
    key, value, proof = values[2]
    for n in range(len(proof)):
        assert root(proof[:n], (key,), value) is None
    for i in range(64):
        noise = sha256(bytes((i,))).digest() * 2
        assert root(noise, (key,), value) is None
        assert root(field(1, noise), (key,), value) is None
        assert root(field(1, field(1, b"simple:v") + field(2, key) + field(3, noise)), (key,), value) is None
    assert root(number(1, 5), (key,), value) is None
    assert root(field(1, field(1, b"simple:v") + field(2, key) + number(3, 7)), (key,), value) is None
