"""Domain helpers for the tests of the address book."""

import gc

from linking import OWN, Dice, id_of, world
from picoswarm.addrbook import AddressBook
from picoswarm.profile import Profile

SOURCE = id_of(900)
LOOPBACK = b"\x7f\0\0\1"


def book(seed=1, private=(OWN,), **numbers):
    gc.collect()  # a book is a piece of 2 KB
    return AddressBook(Profile(**numbers), b"secret%02d" % seed, Dice(seed), private)


def hear(b, i, ip=None, source_ip=None, port=5000):
    """Somebody tells of node `i`."""
    return b.add(0, id_of(i), ip or world(i), 4000, port, SOURCE, source_ip or world(900))


def fill(b, n=600):
    """Tell of many nodes, from many sources."""
    for i in range(n):
        b.add(0, id_of(i), world(i), 4000, 5000, id_of(1000 + i), world(1000 + i))


def meet(b, i, ip=None):
    b.connected(0, id_of(i), ip or world(i), 4000, 5000)


def picks(b, n, percent, uptime):
    """How often each node is picked of `n` times, by number; nothing of a pick is kept."""
    counts = [0] * 16
    for _ in range(n):
        counts[b.pick(percent, uptime)[0][0]] += 1
    return counts


def shared(b, asker=SOURCE, ip=None):
    """The ids and addresses that an answer names."""
    text = b.share(asker, ip or world(900))
    assert len(text) % 41 == 0
    return [(text[at + 1 : at + 33], text[at + 33 : at + 37]) for at in range(0, len(text), 41)]


def buckets_of(b):
    """New buckets with somebody in them."""
    size = b.step * b.new // 8
    return {at // size for at in range(0, b.new * b.step, b.step) if b.pool[at]}


def place(b, i):
    """The bucket of node `i`, -1 for none."""
    return b.find(id_of(i)) // (4 * b.step)
