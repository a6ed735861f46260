"""Mutants of what two sides of a session say to each other, and of HELLO. The same file runs on CPython and on MicroPython.

The invariant: nothing raises; a side that was told something else than its peer said has no keys and leaves without a byte;
whatever HELLO a member sends is decoded or refused with a reason. Key agreements are played by the exclusive or: what is
fuzzed is not the arithmetic.
"""

import picoswarm.noise as noise
from fuzz_draw import Random, mutate
from picoswarm.handshake import Reception
from picoswarm.hello import Hello, decode
from picoswarm.membership import Membership, NetworkKey
from sessions import KEY, SEEN, Node, hear, initiator, responder, said

HELLOS = (
    Hello(0, 4660, SEEN, b"\0\1\2", 768, 4).encode(),
    Hello(2, 0, bytes(18), b"\0\x28\x7f", 65519, 0, "kitchen").encode(),
    Hello(8, 1, SEEN, bytes(range(32)), 64, 255, "sixteen letters.").encode(),
)
REASONS = (0, 2, 11)  # what a HELLO may be refused for


class Xor:
    """In the place of X25519: a public key is the private one."""

    def __init__(self, private, u=None):
        both = int.from_bytes(bytes(private), "big") ^ (0 if u is None else int.from_bytes(bytes(u), "big"))
        self.result = both.to_bytes(32, "big") if both else None
        self._left = 1

    def step(self):
        self._left -= 1
        return self._left >= 0


def played(function, *args):
    """`function(*args)` with the exclusive or for key agreements."""
    whole = noise.X25519
    noise.X25519 = Xor
    try:
        return function(*args)
    finally:
        noise.X25519 = whole


def node(byte):
    """A node whose keys are known without arithmetic."""
    return Node(bytes((byte,)) * 32, noise.id_from_u(bytes((byte,)) * 32))


def _hello(draw):
    """(the bytes of a HELLO or of a mutant of one, whether it is one)."""
    data = HELLOS[draw(1)[0] % 3]
    mutant = bytes(mutate(data, draw)[:64])
    got = decode(b"-" + mutant + b"-", 1, 1 + len(mutant))
    if got is None:
        assert mutant != data
        return mutant, False
    again = got.encode()
    assert again[0] == mutant[0] and again[2:] == mutant[2 : len(again)] and len(got.name) <= 16
    return mutant, True


class Same:
    """A source of chance that gives the same each time: two ephemeral keys of it are of no use to each other."""

    def __call__(self, n):
        return b"\x07" * n


def _fit(told, at):
    """Let the length that begins at told[at] be that of the message."""
    if len(told) > at + 2:
        told[at : at + 2] = (len(told) - at - 2).to_bytes(2, "big")
    return told


class Meetings:
    """Two nodes, whose meetings somebody on the way disturbs."""

    def __init__(self, seed):
        self.draw = Random(seed)
        self.nodes = node(0x21), node(0x22)
        self.keys = Membership(KEY, NetworkKey(bytes(range(1, 33)), 2))
        self.reception = Reception()
        self.now = 0
        self.recorded = b""
        self.counts = {"undisturbed": 0, "refused": 0, "waiting": 0, "hello": 0, "bad_hello": 0, "challenged": 0}
        self.counts.update(plain=0, plain_refused=0)

    def meet(self):
        draw, counts = self.draw, self.counts
        chance = draw(5)
        self.now = self.now + chance[0] * 100 & 0x3FFFFFFF
        self.reception.is_full = chance[1] < 4
        key = self.keys.lower if chance[2] & 1 else self.keys.highest
        hellos = [_hello(draw) for _ in range(2)]
        is_odd = chance[4] >= 250  # one dials itself, or reaches another than it dialed, or meets its own ephemeral key
        dialed = self.nodes[chance[4] & 1 if is_odd else 1]
        rng = Same() if chance[4] == 255 else draw
        a = initiator(self.nodes[0], key, hellos[0][0], dialed.id, self.now, rng)
        reached = self.nodes[chance[4] >> 1 & 1 if is_odd else 1]
        b = responder(reached, self.keys, hellos[1][0], self.reception, self.now, rng)
        disturbed = chance[3] % 8  # the turn; none beyond those there are
        data = said(a)
        if chance[4] < 6 and self.recorded:
            disturbed, data = -1, self.recorded
        self.recorded = data
        turn = 0
        while data:
            side = (b, a)[turn & 1]
            told = data
            if turn == disturbed:
                told = mutate(data, draw)
                told = bytes(_fit(told, turn == 0) if told[-1] & 1 else told)
            cut = draw(1)[0] % (len(told) + 1)
            hear(side, told[:cut], self.now)
            answered = said(side)
            hear(side, told[cut:], self.now)
            answered += said(side)
            counts["challenged"] += len(answered) == 18
            if turn == disturbed and told[: len(data)] != data:
                # What was added behind a whole message is there for the next one.
                assert side.stage != 2 and side.send_key is None
                assert not answered or (side is a and len(told) >= 18) or len(answered) == 18
                counts["refused" if side.stage == 3 else "waiting"] += 1
                if not answered:
                    return
            data = answered
            turn += 1
        for side, hello in ((a, hellos[1]), (b, hellos[0])):
            if side.stage == 2:
                assert side.reason in REASONS or is_odd
                assert (side.reason == 11) == (not hello[1])
                counts["hello" if hello[1] else "bad_hello"] += 1
        if disturbed >= turn and not self.reception.is_full and not is_odd:
            assert a.stage == b.stage == 2 and a.send_key == b.receive_key, (a.reason, b.reason)
            counts["undisturbed"] += 1

    def meet_plainly(self):
        """The same without a network key, by the Noise engine alone; one side may have a static key that is none."""
        draw = self.draw
        chance = draw(2)
        sides = [noise.Noise(self.nodes[i], draw(32), b"", None, i == 0) for i in range(2)]
        whole = [one.static_public for one in self.nodes]
        if chance[0] < 16:
            for one in self.nodes:
                one.static_public = b"\xff" * 32
        try:
            for turn in range(3):
                buf = bytearray(200)
                for _ in sides[turn & 1].message(buf, 0, 0, b"payload"):
                    pass
                good = bytes(buf[: sides[turn & 1].end])
                told = mutate(good, draw) if turn == chance[1] % 4 else bytearray(good)
                side = sides[turn & 1 ^ 1]
                for _ in side.message(told, 0, len(told)):
                    pass
                if side.end < 0 or (turn == 0 and told[: side.end] != good):
                    self.counts["plain_refused"] += 1
                    return
        finally:
            for i in range(len(whole)):
                self.nodes[i].static_public = whole[i]
        assert sides[0].keys == sides[1].keys and chance[0] >= 16
        self.counts["plain"] += 1


def _meet(count, seed):
    meetings = Meetings(seed)
    for i in range(count):
        meetings.meet()
        if i & 3 == 0:
            meetings.meet_plainly()
    return meetings.counts


def run(count, seed=1):
    """Disturb `count` meetings. Returns how they ended, by name."""
    return played(_meet, count, seed)
