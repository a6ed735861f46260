"""A publisher that waits: the policy `wait` of the queues to peers (docs/protocol.md 7.2). Loaded when one does."""

from .budget import Budget
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


async def take_turn(pubsub, ms):
    """Wait, at most `ms`, until one more own message will not be dropped by peers as a flood: they are taken to have this
    node's numbers. Half of what they take at once is left for what is on its way for longer or shorter than the message
    before, and is not waited for. Returns the milliseconds that are left, 0 at the least."""
    now = ticks_ms()
    end = ticks_add(now, min(ms, _KEPT_MS))
    profile = pubsub.profile
    if pubsub.budget is None:
        pubsub.budget = Budget((profile.publish_burst + 1) // 2, profile.publish_ms, now)
    budget = pubsub.budget
    while not budget.take(now):
        left = ticks_diff(end, now)
        if left <= 0:
            return 0
        await sleep_ms(min(left, budget.wait_ms(now)))
        now = ticks_ms()
    return max(0, ticks_diff(end, now))


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
