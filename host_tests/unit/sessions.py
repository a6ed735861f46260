"""Nodes that set up sessions with each other, for the tests of sessions: two with known keys, and the wire between them."""

import picoswarm.compat  # noqa: F401  (first: from deeper in the chain of imports it does not fit the emulator's stack)
from picoswarm.compat import sha256
from picoswarm.crypto import X25519, run, u_from_id
from picoswarm.handshake import Handshake, Reception
from picoswarm.hello import Hello
from picoswarm.keymap import id_from_u
from picoswarm.membership import Membership, NetworkKey
from support import unhex


class Node:
    """What a session needs to know of a node."""

    def __init__(self, private, id32=None):
        self.static_private = private
        self.id = id32 or id_from_u(run(X25519(private)))
        self.static_public = u_from_id(self.id)


A = Node(
    unhex("c8a3c662833d15873ff6542fec7e9be91560458ede4489ce1bc7b52ac8e7f46c"),
    unhex("d0bb199c263f132f36652769b34172caf2b99c5473d4555b9f0f0228fc37db53"),
)
B = Node(
    unhex("709d12ae04719826c0ea1430827438d2ff6e21e1369164872d47bc0103410250"),
    unhex("855969fdce98b54abcd8174314f17521cf269223088debdce9743ac60d053c1d"),
)
KEY = NetworkKey(bytes(range(32)), 1)
WAITING, OPENED, DONE, FAILED = range(4)  # stages of a Handshake
SEEN = b"\xc0\xa8\x07\x15\x0f\xa0"
HELLO = Hello(0, 4660, SEEN, b"\0\1\2", 768, 4).encode()


class Draws:
    """Random bytes: those of a list first, then others that repeat themselves with the seed."""

    def __init__(self, seed=0, first=()):
        self._first = list(first)
        self._state = bytes((seed,))

    def __call__(self, n):
        if self._first:
            return self._first.pop(0)
        self._state = sha256(self._state).digest()
        return self._state[:n]


_seed = [0]


def initiator(node=A, key=KEY, hello=HELLO, dialed=None, now=0, rng=None):
    _seed[0] = _seed[0] + 1 & 0xFF
    return Handshake(node, key, rng or Draws(_seed[0]), hello, True, None, dialed, now)


def responder(node=B, keys=None, hello=HELLO, reception=None, now=0, rng=None):
    _seed[0] = _seed[0] + 1 & 0xFF
    reception = reception or Reception()
    return Handshake(node, keys or Membership(KEY), rng or Draws(_seed[0]), hello, False, reception, None, now)


def said(side):
    """What one side sends when it has done all that it can."""
    out = bytearray(200)
    data = b""
    more = True
    while more:
        more = side.work()
        n = side.to_send(out)
        data += bytes(out[:n])
    return data


def hear(side, data, now=0):
    """Give one side bytes of the other, as much at a time as it has room for."""
    while data:
        n = min(len(data), len(side.buf) - side.fill)
        if not n:
            return
        side.buf[side.fill : side.fill + n] = data[:n]
        data = data[n:]
        if side.receive(n, now):
            return
        if data:
            side.work()


def answer(side, data, now=0):
    """What one side says to `data`."""
    hear(side, data, now)
    return said(side)


def talk(a, b, now=0):
    """Let two sides talk until both are silent. Returns what was said, in turns."""
    turns = [said(a)]
    while turns[-1]:
        turns.append(answer((b, a)[len(turns) & 1 ^ 1], turns[-1], now))
    return turns[:-1]


def are_joined(a, b):
    """Assert that both sides have the same keys and no more to do."""
    assert a.stage == b.stage == DONE, (a.stage, a.reason, b.stage, b.reason)
    assert a.send_key == b.receive_key and a.receive_key == b.send_key and a.send_key != a.receive_key
    assert a.epoch == b.epoch
    assert not a.work() and not b.work()


def is_closed(side, reason):
    """Assert that a side failed for that reason and leaves without a byte."""
    assert side.stage == FAILED and side.reason == reason, (side.stage, side.reason)
    assert side.receive(0, 0) == reason
    assert not side.work() and side.to_send(bytearray(200)) == 0
