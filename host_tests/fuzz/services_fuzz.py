"""Mutants of every message of the services, and raw bytes, into live reactors that have peers, subscriptions and calls
of their own under way.

The invariant: `receive` never raises, says 0 or "malformed", and nothing grows. The same file runs on CPython and on
MicroPython: `run("pubsub", count, seed)` gives the reactor's counters and how many were malformed."""

import gc
import sys

from fake_peers import Publishers, World, heard, node_id, published, told
from fuzz_draw import Random, mutate
from picoswarm.logstats import LogStats
from picoswarm.profile import Profile
from picoswarm.rpc import Rpc

CHANNELS = {"pubsub": 2, "rpc": 3, "log": 5, "stats": 6}
_MALFORMED = 11
_LEAK = 2048  # bytes of heap that a run may seem to have gained, where the runtime counts them


def forms(what, draw, number):
    """The well-formed messages of a service, as its peers send them. `number`: of the newest call of the fuzzed node."""
    if what == "pubsub":
        origin = node_id(7)
        return (
            published("a/b", draw(9), draw(4)),
            published("a/b", draw(9), draw(4), origin, draw(1)[0] & 15),
            published("s/b", draw(9), draw(4), origin, 3, draw(64)),
            published("s/b", draw(9), draw(4), b"", 0, draw(64)),
            published("a/b/c", draw(300), draw(4)),
            published("a/b", draw(300), draw(4), b"", 0, draw(64)),
            published("a/b", b"", bytes(4), node_id(0), 2),  # the node's own
            b"\x10" + told("x" * 62) * 6,
            b"\x10" + told("a/b", "#"),
            b"\x10" + told("+/x", "a", "b", "c", "d", "e", "f", "g", "h"),
            b"\x20\0\4",
            b"\x30more",
        )
    if what == "rpc":
        return (
            b"\0" + draw(2) + told("echo") + draw(8),
            b"\0\0" + bytes((draw(1)[0] & 7,)) + told("echo"),  # often of one that is being served
            b"\0" + draw(2) + told("nothing"),
            b"\0" + draw(2) + told("secret"),
            bytes((0x80 | draw(1)[0] & 7, number >> 8, number & 0xFF)) + draw(8),
            bytes((0x80, number >> 8, number - 20 & 0xFF)),
            b"\x81" + draw(2),
            b"\x01" + draw(5),
        )
    if what == "log":
        return b"\0\0\0\0" + draw(1), b"\1\0\0\0" + draw(1), b"\2\0\0\0\0" + draw(9), b"\0" + draw(4)
    return b"\0\0", b"\1\0", b"\0\1", b"\2\0" + draw(9), b"\3\1names"


def _setting(what):
    """(world, the node that is fuzzed); its peers are the second and the third node."""
    if what == "pubsub":
        world = Publishers()
        node = world.node("a/#", "+/b")
        world.subscribe(node, "s/#", True)
        peer, other = world.node(), world.node("#")
    else:
        world = World()
        profile = Profile()
        kind = (lambda: Rpc(profile, world.now)) if what == "rpc" else (lambda: _teller(world.now))
        node, peer, other = [world.add(kind()) for _ in range(3)]
    world.connect(peer, node)
    world.connect(node, other, 3)
    for each in (peer, other):  # they listen, and say nothing of their own accord
        for reactor in each.reactors:
            reactor.receive = _deaf
    return world, node


def _may_call(peer, method):
    return method != "secret"


def _deaf(peer, channel, view):
    return 0


def _teller(now):
    teller = LogStats(100, (("a b", [1, 300]), ("c", [7])), now)
    teller.on_answer = _deaf
    for i in range(20):
        teller.write("line " + str(i), now)
    return teller


def _use(what, world, node, draw):
    """What the user of the node does meanwhile: he fetches events, and asks and answers now and then."""
    reactor = node.reactors[0]
    if what == "pubsub":
        for topic, payload, _, _ in heard(node):
            assert 0 < len(topic) <= 64 and len(payload) <= 400
        for _ in range(100):  # slices; some signatures stay unchecked for a while
            if not reactor.checks.step():
                break
        assert len(reactor.filters) == 12 and len(reactor._kept) == 8 and len(reactor._seen) == 16 * 8
    elif what == "rpc":
        if not reactor.methods:
            reactor.register("echo")
            reactor.register("secret")
            reactor.allow = _may_call
        if draw(1)[0] & 1:
            reactor.call(node.peers[1], "any", b"", world.now, 300)
        event = reactor.next_event()
        while event:
            if event[0] == 1 and draw(1)[0] % 4:
                reactor.reply(event[1], 0, draw(8))
            event = reactor.next_event()
        assert len(reactor.served) <= 8 and len(reactor.calls) <= 8
        if len(reactor.served) >= 4 and not draw(1)[0] & 7:  # whose handlers never end; the session does
            world.cut(node, world.nodes[1])
            world.connect(world.nodes[1], node)
    else:
        assert len(reactor._waiting) <= 2
        if not draw(1)[0] & 3:
            reactor.write("hello", world.now)


def run(what, count, seed=1):
    """Send `count` mutants, a tenth of them raw bytes. Returns (counters, how many were malformed). Raises whatever the
    reactor raises."""
    draw = Random(seed)
    world, node = _setting(what)
    malformed = 0
    before = 0
    for i in range(count):
        if i == 500:  # by now all modules are loaded
            before = _heap()
        each = forms(what, draw, node.reactors[0]._id if what == "rpc" else 0)
        data = draw(i // 10 % 48) if i % 10 == 9 else bytes(mutate(each[i % len(each)], draw))[:400]
        peer = node.peers[2 if i % 64 == 6 else 1]
        node.hand_over(peer, CHANNELS[what], data, world.now)
        assert peer.reason in (None, _MALFORMED), peer.reason
        malformed += peer.reason == _MALFORMED
        peer.reason = None
        node.peers[1].room = draw(1)[0] & 3  # now and then full
        world.settle()
        if not i % 5:
            _use(what, world, node, draw)
        if i & 0x7F > 60:  # a flood otherwise
            world.pass_ms(90)
    if count > 1000:
        assert _heap() - before < _LEAK, _heap() - before
    return getattr(node.reactors[0], "counts", []), malformed


def _heap():
    """Bytes of heap in use, 0 where the runtime does not say."""
    gc.collect()
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


if __name__ == "__main__":
    for what in CHANNELS:
        run(what, int(sys.argv[1]))
