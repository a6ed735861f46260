"""Records of a gateway's sessions are those of the library, by whichever package they are made."""

from __future__ import annotations

import subprocess
import sys

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


# A gateway's process as it begins; what it does with records comes after.
WITHOUT_PYNACL = "import sys; sys.modules['nacl'] = None"
WITH_A_LIBSODIUM_THAT_DOES_NOT_START = """
from types import SimpleNamespace
import nacl._sodium as sodium
names = ("crypto_aead_chacha20poly1305_ietf_encrypt", "crypto_aead_chacha20poly1305_ietf_decrypt")
sodium.lib = SimpleNamespace(sodium_init=lambda: -1, **{name: getattr(sodium.lib, name) for name in names})
"""
RECORDS = """
from picoswarm_gateway.cipher import Cipher, Scratch
sealer, opener = (Cipher(bytes(range(32)), Scratch()) for _ in range(2))
for text in (b"abc", bytes(67)):
    record = sealer.seal(text)
    assert opener.open(record, 0, len(record)) == text
    print(Cipher.__name__, record.hex())
"""


def test_libsodium_is_taken_where_it_is():
    assert Cipher is SodiumCipher


@pytest.mark.parametrize("beginning", (WITHOUT_PYNACL, WITH_A_LIBSODIUM_THAT_DOES_NOT_START))
def test_openssl_is_taken_where_libsodium_is_not(beginning):
    command = [sys.executable, "-c", beginning + "\n" + RECORDS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    board = Sealed(KEY)
    assert done.stdout.splitlines() == [f"OpensslCipher {sealed(board, text).hex()}" for text in (b"abc", bytes(67))]


@pytest.mark.parametrize("length", (0, 31, 33, 64))
@KINDS
def test_a_key_of_another_length_makes_no_record(kind, length):
    with pytest.raises(ValueError):
        kind(bytes(length), Scratch()).seal(b"abc")


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
