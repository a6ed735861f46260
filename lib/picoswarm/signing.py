"""Signatures of published messages (docs/protocol.md 7.2): making one, and the queue of those to be checked. Loaded where
signed messages are published or subscribed to, since Ed25519 is large. Pure."""

from .compat import const, sha256
from .ed25519 import Sign, Verify

_FORGED = const(5)  # in the counts of pubsub.py
_UNCHECKED = const(6)
_SIGNATURE = const(64)


def signed_text(text):
    """What is signed of a message with its origin: 52 bytes."""
    return b"picoswarm publish v1" + sha256(memoryview(text)[1:-_SIGNATURE]).digest()


def sign(text, seed):
    """The job that signs what PubSub.compose made, with the node's seed (see crypto.run); the result belongs into the last
    64 bytes."""
    return Sign(seed, bytes(text[1:33]), signed_text(text))


class Checks:
    """The signed messages that wait: `pubsub` delivers those whose signature is good."""

    def __init__(self, pubsub):
        self._pubsub = pubsub
        self._waiting = []  # [message, what pubsub knows of the peer that brought it, job]

    def add(self, text, source):
        """Check a message. False: no room; one peer cannot take all of it."""
        room = self._pubsub.profile.signatures - len(self._waiting)
        if room == 1:
            for waiting in self._waiting:
                if waiting[1] is source:
                    return False
        if room > 0:
            self._waiting.append([text, source, None])
        return room > 0

    def step(self):
        """One slice; True while more can be done at once."""
        if self._waiting:
            waiting = self._waiting[0]
            counts = self._pubsub.counts
            try:
                if self._is_done(waiting):
                    if waiting[2].result:
                        self._pubsub.deliver(waiting[0], True)
                    else:
                        counts[_FORGED] += 1
                    self._waiting.pop(0)  # last: where that finds no memory, it is taken away below
            except MemoryError:
                self._waiting.pop(0)
                counts[_UNCHECKED] += 1
        return bool(self._waiting)

    def _is_done(self, waiting):
        text, _, job = waiting
        if job is not None:
            return not job.step()
        waiting[2] = Verify(bytes(text[1:33]), bytes(text[-_SIGNATURE:]), signed_text(text))
        return False
