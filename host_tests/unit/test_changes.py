"""Changes of the network key: what they say, in which order they are taken, and what a boot makes of the last one."""

from picoswarm.changes import HELD, OLDER, REVOKE, ROTATE, UNORDERED, Change, decode_operator, signed_text
from picoswarm.errors import Malformed
from picoswarm.identity import Keyring
from picoswarm.keys import load_operator
from picoswarm.membership import NetworkKey
from picoswarm.slots import OPERATOR
from support import raises

RUNTIMES = ("cpython", "micropython")

PUBLIC = bytes(range(32))


def text(kind=ROTATE, serial=2, epoch=2, revoked=(), key=b"k" * 31 + b"!"):
    head = bytes((kind,)) + serial.to_bytes(4, "big") + bytes((epoch,)) + key
    return head + bytes((len(revoked),)) + b"".join(revoked) + bytes(64)


def ring(epoch=1, serial=1, lower=None):
    keys = Keyring(NetworkKey(PUBLIC, epoch), None if lower is None else NetworkKey(b"l" + PUBLIC[1:], lower))
    keys.serial = serial
    return keys


class Flash:
    """A store that holds one payload."""

    def __init__(self, payload):
        self.payload = payload

    def read(self, kind):
        return self.payload if kind is OPERATOR else None


class Peer:
    def __init__(self, id32, epoch):
        self.id = id32
        self.epoch = epoch


def test_a_change_is_read_back():
    change = Change(text(REVOKE, 0x01020304, 15, (b"a" * 16, b"b" * 16)))
    assert (change.kind, change.serial, change.epoch) == (REVOKE, 0x01020304, 15)
    assert change.key == b"k" * 31 + b"!" and change.revoked == b"a" * 16 + b"b" * 16
    assert change.signature == bytes(64)
    assert change.signed_text() == signed_text(change.text[:-64]) and len(change.signed_text()) == 51


def test_what_is_cut_or_longer_is_none():
    whole = text(revoked=(b"a" * 16,))
    for n in range(len(whole)):
        raises(Malformed, Change, whole[:n])
    raises(Malformed, Change, whole + b"\0")


def test_values_beyond_their_limits_are_refused():
    for bad in (text(kind=0), text(kind=3), text(serial=0), text(serial=1 << 30), text(epoch=16), text(key=bytes(32))):
        raises(Malformed, Change, bad)
    raises(Malformed, Change, text(revoked=(b"a" * 16,) * 17))
    assert len(Change(text(revoked=(b"a" * 16,) * 16)).text) == 359


def test_only_the_next_epochs_of_a_later_serial_are_taken():
    for held in range(16):
        for step in range(16):
            change = Change(text(epoch=(held + step) % 16))
            assert change.judge(ring(held)) == (-1 if 0 < step < 8 else UNORDERED)


def test_an_older_serial_and_a_repeat_are_known_without_a_signature():
    change = Change(text())
    assert change.judge(ring(serial=3)) == OLDER
    assert change.judge(ring(epoch=2, serial=2)) == OLDER  # another change of this serial
    held = Keyring(NetworkKey(change.key, 2))
    held.serial = 2
    assert change.judge(held) == HELD


def test_a_revoked_id_has_no_session_and_the_next_one_has():
    keys = ring()
    keys.revoked = b"a" * 16 + b"b" * 16
    assert keys.refusal(Peer(b"b" * 32, 1)) == 22
    assert keys.refusal(Peer(b"c" * 32, 1)) == 0
    assert keys.refusal(Peer(b"c" * 32, 2)) == 9


def test_without_an_operator_no_change_is_taken():
    for payload in (None, b"", b"short", PUBLIC + b"x"):
        keys = Keyring(NetworkKey(PUBLIC, 1))
        load_operator(Flash(payload), keys, 0)
        assert keys.serial is None and keys.revoked == b""


def test_a_boot_knows_what_was_taken_last():
    keys = Keyring(NetworkKey(PUBLIC, 1))
    load_operator(Flash(PUBLIC), keys, 0)
    assert keys.serial == 0
    load_operator(Flash(PUBLIC + text(ROTATE, 7, 1, (b"a" * 16,))), keys, 0)
    assert keys.serial == 7 and keys.revoked == b"a" * 16
    assert decode_operator(PUBLIC)[1] is None and decode_operator(PUBLIC + text())[1].serial == 2


def test_a_revoked_key_that_a_power_cut_left_goes_at_the_next_boot():
    keys = ring(2, lower=1)
    load_operator(Flash(PUBLIC + text(ROTATE)), keys, 0)
    assert keys.lower.epoch == 1
    load_operator(Flash(PUBLIC + text(REVOKE)), keys, 0)
    assert keys.lower is None and keys.retired is None
    keys = ring(2, lower=1)
    load_operator(Flash(PUBLIC + text(REVOKE)), keys, 1)  # a gateway
    assert keys.lower is None and keys.retired.epoch == 1 and keys.find(1) is None
