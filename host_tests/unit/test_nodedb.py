"""What of the table is saved, and how it is read back (rows D29-D31)."""

from forms import At
from picoswarm.errors import Malformed
from picoswarm.nodedb import decode_nodes, encode_nodes
from picoswarm.profile import Profile
from picoswarm.table import Table
from support import raises

RUNTIMES = ("cpython", "micropython", "board")


def table(ipv6=0):
    return Table(bytes(32), Profile(k=4, records=32, spares=2, ipv6=ipv6), lambda n: bytes(n))


def add(t, i, answers, ip=None):
    id32 = bytes((0x80 >> i % 4, i)) + bytes(30)
    record = t.keep(id32, 0, bytes(16), 0, 0)
    assert t.admit(record, At(ip or bytes((20, i, 0, 1)), 4000 + i), 0)
    for _ in range(answers):
        t.credit(record, 0)
    return id32


def test_only_nodes_that_answered_often_are_saved_the_best_first_D30():
    t = table()
    add(t, 1, 4)
    good = add(t, 2, 10)
    best = add(t, 3, 30)
    assert decode_nodes(encode_nodes(t)) == [(best, b"\x14\x03\x00\x01", 4003), (good, b"\x14\x02\x00\x01", 4002)]
    assert decode_nodes(encode_nodes(t, 1)) == [(best, b"\x14\x03\x00\x01", 4003)]


def test_an_empty_table_makes_an_empty_list():
    assert encode_nodes(table()) == b"\0"
    assert decode_nodes(b"\0") == []


def test_ipv6_nodes_are_saved_too():
    t = table(1)
    six = b"\x2a" + bytes(14) + b"\x01"
    id32 = add(t, 1, 10, six)
    assert decode_nodes(encode_nodes(t)) == [(id32, six, 4001)]


def test_a_payload_of_another_length_is_refused_A26():
    t = table()
    add(t, 1, 10)
    add(t, 2, 10)
    payload = encode_nodes(t)
    for n in range(len(payload)):
        raises(Malformed, decode_nodes, payload[:n])
    raises(Malformed, decode_nodes, payload + b"\0")
    raises(Malformed, decode_nodes, b"\xff" + payload[1:])
