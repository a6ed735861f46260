"""Sealed records: what is taken, what is refused, and the change of keys."""

from picoswarm.aead import Aead
from picoswarm.sealed import Sealed

RUNTIMES = ("cpython", "micropython", "qemu")

_KEY = bytes(range(32))


def _pair(number=0):
    """Both ends of a direction, with so many records behind them."""
    ends = Sealed(_KEY), Sealed(_KEY)
    for end in ends:
        end._nonce[4:8] = number.to_bytes(4, "little")
    return ends


def _seal(sealer, text, at=0):
    buf = bytearray(at + 2 + len(text) + 16 + 1)
    buf[at + 2 : at + 2 + len(text)] = text
    end = sealer.seal(buf, at, at + 2 + len(text))
    assert end == len(buf) - 1 and not any(buf[:at]) and buf[-1] == 0
    return bytes(buf[at:end])


def _open(opener, record, at=0):
    """The text of a record, None when it is refused."""
    buf = bytearray(bytes(at) + record + b"?")
    end = opener.open(buf, at, at + len(record))
    assert buf[-1:] == b"?" and not any(buf[:at])
    if end < 0:
        assert bytes(buf[at:-1]) == record
        return None
    return bytes(buf[at + 2 : end])


def test_a_record_is_its_text_and_18_bytes():
    sealer, opener = _pair()
    for size in (0, 1, 2, 63, 64, 65, 500, 768):
        for at in (0, 1, 2, 3):
            text = bytes([(size + i) & 0xFF for i in range(size)])
            record = _seal(sealer, text, at)
            assert len(record) == size + 18 and record[0] << 8 | record[1] == size + 16
            assert _open(opener, record, at) == text


def test_equal_texts_are_never_sealed_alike():
    sealer = Sealed(_KEY)
    assert len({_seal(sealer, b"text") for _ in range(20)}) == 20


def test_every_flipped_byte_is_refused_and_the_right_record_opens_afterwards():
    sealer, opener = _pair()
    record = _seal(sealer, b"text")
    for i in range(len(record)):
        bad = bytearray(record)
        bad[i] ^= 1 << (i & 7)
        assert _open(opener, bytes(bad)) is None, i
    assert _open(opener, record) == b"text"


def test_every_cut_is_refused():
    sealer, opener = _pair()
    record = _seal(sealer, b"text")
    for n in range(len(record)):
        assert _open(opener, record[:n]) is None, n
    assert _open(opener, record + b"\0") is None
    assert _open(opener, record) == b"text"


def test_a_record_is_taken_once():
    sealer, opener = _pair()
    record = _seal(sealer, b"text")
    assert _open(opener, record) == b"text"
    assert _open(opener, record) is None


def test_records_are_taken_in_their_order_only():
    sealer, opener = _pair()
    first, second = _seal(sealer, b"first"), _seal(sealer, b"second")
    assert _open(opener, second) is None
    assert _open(opener, first) == b"first" and _open(opener, second) == b"second"


def test_the_other_direction_does_not_open_what_this_one_sealed():
    record = _seal(Sealed(_KEY), b"text")
    assert _open(Sealed(bytes(32)), record) is None


def test_both_ends_change_their_key_after_2_20_records():
    sealer, opener = _pair((1 << 20) - 2)
    stale = _pair((1 << 20) - 2)[1]
    for text in (b"one", b"two"):
        record = _seal(sealer, text)
        assert _open(opener, record) == text == _open(stale, record)
    Aead.__init__(stale, _KEY)  # as if it had not changed
    record = _seal(sealer, b"under the next key")
    assert _open(stale, record) is None
    assert _open(opener, record) == b"under the next key"


def test_keys_change_again_and_again():
    for number in ((2 << 20) - 1, (16 << 20) - 1, (4096 << 20) - 1):
        sealer, opener = _pair(number)
        stale = _pair(number)[1]
        record = _seal(sealer, b"last")
        assert _open(opener, record) == b"last" == _open(stale, record)
        Aead.__init__(stale, _KEY)
        record = _seal(sealer, b"next")
        assert _open(stale, record) is None
        assert _open(opener, record) == b"next" and opener._nonce == sealer._nonce
        assert int.from_bytes(bytes(sealer._nonce[4:]), "little") == number + 2
