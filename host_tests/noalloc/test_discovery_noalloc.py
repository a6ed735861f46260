"""Decoding a datagram, the table and a lookup take no memory: under a locked heap, and by the byte count of an open one
(see test_cipher_noalloc.py). Hash objects are not ours and are left out."""

from array import array

from forms import At
from locked_heap import takes_nothing
from picoswarm.datagram import Codec, beyond_of
from picoswarm.lookup import Lookup
from picoswarm.membership import Membership, NetworkKey
from picoswarm.profile import Profile
from picoswarm.table import Table
from support import needs_machine_code

needs_machine_code()

RUNTIMES = ("micropython", "qemu")

_OWN = bytes(32)
_profile = Profile(records=48, k=8, spares=8, ip_per_table=99, lookup_candidates=12)
_table = Table(_OWN, _profile, lambda n: bytes(n))
_p = _profile
_lookup = Lookup((_p.lookup_result, _p.alpha, _p.lookup_queries, _p.lookup_candidates, _p.ipv6))
_codec = Codec(Membership(NetworkKey(bytes(range(32)), 1)), _OWN)
_found = array("i", bytes(32))
_target = bytearray(b"\x81" + bytes(31))
_ids = [bytearray((0x80 >> i % 5, i)) + bytearray(30) for i in range(40)]
_ip = b"\x0a\x00\x00\x01"
_at = At(_ip, 4000)
_pair = bytearray(16)
_datagram = bytearray(512)


def _decode():
    for kind in (0x41, 0x91, 0x02, 0x43, 0x44, 0x85, 0x00, 0xFF):
        _datagram[13] = kind
        for n in (42, 62, 199):
            _codec.lay_out(_datagram, n)
            beyond_of(_codec)


def _update():
    for id32 in _ids:
        record = _table.keep(id32, 0, _pair, 0, 50)
        if not _table.is_entry(record):
            _table.admit(record, _at, 100)
        _table.credit(record, 200)
        _table.is_proven(record, _at, 300)
        if _table.is_entry(record):
            _table.miss(record)
            _table.credit(record, 400)
            _table.find_failed(record)
            _table.find_answered(record)
    _table.longest_unasked(500)
    _table.find(_ids[3], 0, 8)


def _look():
    _lookup.start(_target, True)
    n = _table.closest(_target, _found, 8)
    for i in range(n):
        _lookup.offer(_table.pool, _found[i], _ip, 4000, 5000, 0)
    _table.closest(_target, _found, 8, 0x400000)
    for id32 in _ids:
        _lookup.offer(id32, 0, _ip, 4000, 5000, 0, 0)
    at = _lookup.next()
    while at >= 0:
        _lookup.pool[at + 37] = 2
        if _lookup.wants(at):
            _lookup.covered(at, _lookup.beyond(at), 0x1000000)
        _lookup.ended(at, True)
        at = _lookup.next()


def test_decodingtakes_nothing():
    takes_nothing(_decode)


def test_table_updates_take_nothing():
    takes_nothing(_update)


def test_a_lookuptakes_nothing():
    _update()
    takes_nothing(_look)
