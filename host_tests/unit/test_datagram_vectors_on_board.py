"""The vectors of the datagrams once more, on every runtime (they are in host_tests/vectors, as JSON)."""

from datagram_vectors import MESSAGES, NETWORK_KEY, PAIR, REFUSED
from forms import seal
from picoswarm.counters import names
from picoswarm.datagram import Codec
from picoswarm.membership import Membership, NetworkKey
from support import unhex

RUNTIMES = ("cpython", "micropython", "qemu")


def codec():
    return Codec(Membership(NetworkKey(unhex(NETWORK_KEY), 1)), bytes(32))  # the receiver


def test_every_good_datagram_opens_and_is_made_again():
    pair = bytearray(unhex(PAIR))
    out = bytearray(512)
    for text, data in MESSAGES:
        text = unhex(text)
        data = unhex(data)
        one = codec()
        buf = bytearray(data)
        assert one.open(buf, len(buf)) == 0
        assert bytes(buf[13:]) == text
        assert not one.is_tagged or one.is_paired(pair)
        out[13 : 13 + len(text)] = text
        end = len(data) - 8 if one.is_tagged else len(data)
        n = seal(one, out, end, one.key, 0, pair if one.is_tagged else None)
        assert bytes(out[:n]) == data


def test_every_bad_datagram_is_refused_for_its_reason():
    for why, data in REFUSED:
        data = bytearray(unhex(data))
        assert names("discovery").split()[codec().open(data, len(data))] == "drop_" + why
