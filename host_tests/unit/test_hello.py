"""HELLO: what each side of a session says about itself."""

from picoswarm.errors import LocalError
from picoswarm.hello import Hello, decode, refusal
from sessions import HELLO, SEEN
from support import raises

RUNTIMES = ("cpython", "micropython", "board")

_INCOMPATIBLE = 2
_DOWNGRADE = 3


def _read(data, before=b"", behind=b""):
    return decode(before + data + behind, len(before), len(before) + len(data))


def test_a_bare_hello_has_21_bytes():
    assert len(HELLO) == 21


def test_every_field_arrives():
    seen = bytes(range(16)) + b"\x10\x92"
    data = Hello(0xA00F, 65535, seen, b"\0\1\x02\x1f\x20\x7f", 1024, 200, "a board's name!!").encode()
    hello = _read(data, b"before", b"behind")
    assert hello.capabilities == 0xA00F and hello.port == 65535 and hello.seen == seen
    assert hello.channels == b"\0\1\x02\x1f\x20\x7f" and hello.record == 1024 and hello.streams == 200
    assert hello.name == "a board's name!!" and hello.versions == 0x11


def test_a_decoded_hello_encodes_to_the_same_bytes():
    data = Hello(2, 4000, SEEN, b"\0\3\x28", 768, 4, "kitchen").encode()
    assert _read(data).encode() == data


def test_what_a_later_version_puts_behind_is_ignored():
    hello = _read(HELLO + b"\x01\x90\x01\x90more")
    assert hello.port == 4660 and hello.encode() == HELLO


def test_limits_beside_the_default_ones_cost_four_bytes_and_arrive():
    hello = Hello(0, 4660, SEEN, b"\0\1\2", 768, 4)
    hello.request_max = 4000
    data = hello.encode()
    assert data[:21] == HELLO and data[21:] == b"\x01\x90\x0f\xa0"
    for read in (_read(data), _read(data + b"of a later version")):
        assert (read.publish_max, read.request_max) == (400, 4000)
        assert read.encode() == data
    for n in (21, 22, 24):
        assert (_read(data[:n]).publish_max, _read(data[:n]).request_max) == (400, 400)
    hello.channels = bytes(range(32, 75))
    raises(LocalError, hello.encode)  # 64 bytes without them


def test_every_cut_is_refused():
    data = Hello(0, 1, bytes(18), b"\0\x20\x21", 768, 4, "name").encode()
    for n in range(len(data)):
        assert _read(data[:n], b"", data[n:]) is None, n
        assert _read(data[:n]) is None, n


def test_a_hello_too_long_for_its_message_is_not_made():
    for name in ("a" * 17, "a" * 300, "k\xfcche", "a\n", "a\x7f"):
        raises(LocalError, Hello(0, 1, SEEN, b"", 768, 4, name).encode)
    raises(LocalError, Hello(0, 1, SEEN, bytes(range(32, 76)), 768, 4).encode)
    assert len(Hello(0, 1, SEEN, bytes(range(32, 75)), 768, 4).encode()) == 64


def test_a_peer_of_versions_without_ours_is_incompatible():
    for versions in (0x22, 0x2F, 0x00):
        assert refusal(versions, 1) == _INCOMPATIBLE
    for versions in (0x11, 0x01, 0x12, 0x1F):
        assert refusal(versions, 1) == 0


def test_both_could_speak_a_higher_version_so_somebody_changed_the_first_byte():
    assert refusal(0x12, 1, 0x12) == _DOWNGRADE
    assert refusal(0x13, 1, 0x12) == _DOWNGRADE
    assert refusal(0x13, 2, 0x12) == 0
    assert refusal(0x12, 1, 0x11) == 0
    assert refusal(0x11, 1, 0x12) == 0
