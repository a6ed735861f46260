"""A publisher that waits for room: the policy `wait` of the queues to peers (docs/protocol.md 7.2). Loaded when one does."""

from .compat import const, sleep_ms, ticks_add, ticks_diff, ticks_ms
from .wire import same

_HAS_ORIGIN = const(0x40)  # of a message, and of what is known of a peer: see pubsub.py
_OWED = const(2)
_GIVEN = const(3)
_NONCE = const(33)
_LOOK_MS = const(25)
_KEPT_MS = const(10000)  # see pubsub.py


def _slot(kept, text):
    """Where an own message is kept, or -1."""
    for slot in range(len(kept)):
        if kept[slot] and not kept[slot][0] & _HAS_ORIGIN and same(kept[slot], 1, text, _NONCE, 4):
            return slot
    return -1


async def wait(pubsub, text, count, ms):
    """Wait until no peer that wants a message of this node, which went to `count` at once, has a full queue for it; at most
    `ms`, and no longer than it is kept. Returns to how many it went."""
    end = ticks_add(ticks_ms(), min(ms, _KEPT_MS))
    while True:
        slot = _slot(pubsub._kept, text)
        went = owed = 0
        if slot >= 0:
            for state in pubsub.peers.values():
                went += state[_GIVEN] >> slot & 1
                owed += state[_OWED] >> slot & 1
        count = max(count, went)
        if not owed or ticks_diff(end, ticks_ms()) <= 0:
            return count
        await sleep_ms(_LOOK_MS)
