"""Records of a gateway's sessions are those of the library, by whichever package they are made."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from picoswarm.sealed import Sealed
from picoswarm_gateway.cipher import HEAD, REKEY, TAG, Cipher, OpensslCipher, Scratch, SodiumCipher

KEY = bytes(range(32))
TEXTS = (b"abc", b"", bytes(67), bytes(range(256)) * 16)
KINDS = pytest.mark.parametrize("kind", (OpensslCipher, SodiumCipher))


def sealed(cipher: Sealed, text: bytes) -> bytes:
    """The library's record."""
    buf = bytearray(HEAD) + text + bytes(TAG)
    return bytes(buf[: cipher.seal(buf, 0, HEAD + len(text))])


def start(cipher, count: int):
    """A cipher that has done so many records under its first key."""
    cipher._count = count
    return cipher


def test_libsodium_is_taken_where_it_is():
    assert Cipher is SodiumCipher


@KINDS
def test_records_are_the_librarys_and_open_again(kind):
    scratch, board = Scratch(), Sealed(KEY)
    sealer, opener = kind(KEY, scratch), kind(KEY, scratch)
    for text in TEXTS:
        record = sealer.seal(text)
        assert record == sealed(board, text)
        assert opener.open(b"before" + record + b"after", 6, 6 + len(record)) == text


@KINDS
@pytest.mark.parametrize("place", (0, 1, 2, 40, -1))
def test_a_changed_record_is_refused_and_the_right_one_still_opens(kind, place):
    sealer, opener = kind(KEY, Scratch()), kind(KEY, Scratch())
    record = sealer.seal(bytes(67))
    wrong = bytearray(record)
    wrong[place] ^= 1
    with pytest.raises(InvalidTag):
        opener.open(bytes(wrong), 0, len(record))
    sealer.rest()
    opener.rest()
    assert opener.open(record, 0, len(record)) == bytes(67)


@KINDS
def test_the_key_changes_with_the_librarys(kind):
    board = Sealed(KEY)
    board._nonce[4:7] = (REKEY - 1).to_bytes(3, "little")
    sealer, opener = start(kind(KEY, Scratch()), REKEY - 1), start(kind(KEY, Scratch()), REKEY - 1)
    for text in TEXTS:
        record = sealer.seal(text)
        assert record == sealed(board, text)
        assert opener.open(record, 0, len(record)) == text
