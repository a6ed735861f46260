"""The simulator: the device library's own engines, unmodified, in virtual time on a virtual network (docs/simulator.md).

    clock    virtual time, an event heap
    nat      what a home router does to UDP
    kernels  what one node has worked out, the others need not
    network  segments, endpoints, what happens to a datagram under way
    host     the driver of one engine, as `picoswarm.net` drives it on a board
    mesh     many discovery nodes in one network, and the truth about them
    liar     a member that lies in its answers
    measure  who sent how much, and for which request
    compare  the same lookups in the bytes of discv4 and of BitTorrent's DHT
    fork     several futures of one state
    runs     the runs that `make report` prints

Everything is a function of the seed: each concern draws from a `random.Random` of its own (`stream`), and nothing iterates
over a set or depends on a hash.
"""

from random import Random


def stream(seed: object, *concern: object) -> Random:
    """A random stream of its own for one concern of a run, such as `stream(7, "loss")` or `stream(7, "engine", 12)`.

    Streams are seeded by text, which `random` digests with SHA-512: the same on every machine and in every process.
    """
    return Random("/".join(map(str, (seed, *concern))))
