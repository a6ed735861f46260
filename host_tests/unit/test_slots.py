"""The two-slot format: whole or discarded, and the newest wins."""

from picoswarm.errors import LocalError, Malformed
from picoswarm.slots import (
    IDENTITY,
    NETWORK,
    NODES,
    PAYLOAD_MAX,
    SEED,
    Kind,
    decode_slot,
    encode_slot,
    newest,
    next_sequence,
)
from support import raises, unhex

RUNTIMES = ("cpython", "micropython", "board")


def test_a_slot_has_the_documented_bytes():
    # The checksum is zlib's, over the 12 bytes before it and the payload.
    expected = unhex("7073776d 01 01 0102 00000003 9539c811 616263")
    assert encode_slot(IDENTITY, 0x0102, b"abc") == expected


def test_a_slot_comes_back():
    for payload in (b"", b"x", bytes(range(256)), bytes(PAYLOAD_MAX)):
        for sequence in (0, 1, 0x7FFF, 0xFFFF):
            assert decode_slot(NODES, encode_slot(NODES, sequence, payload)) == (sequence, payload)


def test_every_flipped_bit_is_found():
    whole = encode_slot(NETWORK, 7, b"thirty-three bytes or so of key..")
    for i in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[i] ^= 1 << bit
            raises(Malformed, decode_slot, NETWORK, bytes(damaged))


def test_every_cut_and_every_tail_is_found():
    whole = encode_slot(NETWORK, 7, b"payload")
    for n in range(len(whole)):
        raises(Malformed, decode_slot, NETWORK, whole[:n])
        # What a torn write leaves: the rest erased, or zero.
        raises(Malformed, decode_slot, NETWORK, whole[:n] + b"\xff" * (len(whole) - n))
        raises(Malformed, decode_slot, NETWORK, whole[:n] + bytes(len(whole) - n))
    raises(Malformed, decode_slot, NETWORK, whole + b"\x00")


def test_two_mixed_writes_are_no_slot():
    old = encode_slot(NETWORK, 7, b"the old payload")
    new = encode_slot(NETWORK, 8, b"a newer payload")
    for n in range(1, len(old)):
        mixed = new[:n] + old[n:]
        if mixed != new and mixed != old:
            raises(Malformed, decode_slot, NETWORK, mixed)


def test_another_kind_or_layout_is_refused_by_name():
    slot = encode_slot(IDENTITY, 1, b"secret")
    assert "another kind" in str(raises(Malformed, decode_slot, NETWORK, slot))
    later = encode_slot(Kind(1, "identity", version=2), 1, b"secret")
    assert "version 2" in str(raises(Malformed, decode_slot, IDENTITY, later))


def test_a_payload_has_a_limit():
    raises(LocalError, encode_slot, NODES, 0, bytes(PAYLOAD_MAX + 1))


def test_no_message_carries_the_payload():
    slot = bytearray(encode_slot(IDENTITY, 1, b"secret"))
    slot[-1] ^= 1
    assert "ecre" not in str(raises(Malformed, decode_slot, IDENTITY, bytes(slot)))


def test_the_newest_slot_counts_across_the_wrap():
    assert newest(None, None) is None
    assert newest(3, None) == 0
    assert newest(None, 3) == 1
    assert newest(4, 4) == 0
    a = None
    slots = [None, None]
    for _ in range(0x10000 + 3):  # a whole round and over the wrap
        at = newest(slots[0], slots[1])
        assert at is None or slots[at] == a
        a = next_sequence(a)
        slots[0 if at is None else 1 - at] = a
    assert a == 2
    assert newest(0xFFFF, 0) == 1
    assert newest(0, 0xFFFF) == 0


def test_kinds_have_numbers_and_short_names_of_their_own():
    kinds = (IDENTITY, NETWORK, NODES, SEED)
    assert len({kind.number for kind in kinds}) == len({kind.name for kind in kinds}) == 4
    for kind in kinds:
        assert len(kind.name) <= 8 and kind.name == kind.name.lower()
