"""Who waits for room: publishers, as the policy `wait` of the queues to peers says (docs/protocol.md 7.2), senders,
and a node that leaves. Loaded when one does."""

from .budget import Budget
from .compat import const, sleep_ms, ticks_add, ticks_diff, ticks_ms
from .wire import same

_HAS_ORIGIN = const(0x40)  # of a message, and of what is known of a peer: see pubsub.py
_OWED = const(2)
_GIVEN = const(3)
_NONCE = const(33)
_LOOK_MS = const(25)
_ROOM_MS = const(3000)  # that a message waits for room (row T13)
_OPEN = const(4)  # a session's stage
_FIRST_STREAM = const(128)
_LONGEST_MS = const(0x1FFFFFFF)  # see services.py
_TIMEOUT = const(128)  # see failures.py
_LOST = const(129)
_GOODBYE_MS = const(2000)
_TURN_MS = const(4)
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


async def send(node, id32, channel, data, timeout_ms=10000):
    """Send a message, bytes or a text as UTF-8, to a node on the channel of a reactor: over the session that is there, or
    a new one. Waits for room in the queue, at most 3 s of the `timeout_ms`, and returns once the message has its place
    there; of several that wait for one queue any may be first. Raises a RequestError (TimedOut, SessionLost, Unreachable),
    and LocalError for a channel that the peer does not serve, or too long a message."""
    if not 0 < channel < _FIRST_STREAM:
        from .errors import LocalError

        raise LocalError("there is no channel %d" % channel)
    if isinstance(data, str):
        data = data.encode()
    services = node._sessions()
    timeout_ms = min(timeout_ms, _LONGEST_MS)
    end = ticks_add(ticks_ms(), timeout_ms)
    session = await services.session(id32, timeout_ms)
    end = ticks_add(ticks_ms(), max(0, min(_ROOM_MS, ticks_diff(end, ticks_ms()))))
    while not session.try_send(channel, data):
        left = ticks_diff(end, ticks_ms())
        if session.stage != _OPEN or left <= 0:
            from .failures import request_error

            raise request_error(_LOST if session.stage != _OPEN else _TIMEOUT, "")
        await sleep_ms(min(left, _LOOK_MS))
    services.touch(session)


async def farewell(services):
    """Say goodbye to all peers, first to those through gateways, and wait until what is queued has gone before it, at most
    2 s each."""
    swarm = services.swarm
    swarm.is_closing = True
    swarm.at(ticks_ms())
    relayed = [session for session in swarm.sessions if not session.port]
    for session in relayed:
        swarm.end(session)
    await _parted(services, relayed)
    swarm.close(ticks_ms())
    await _parted(services, list(swarm.sessions))


async def _parted(services, leaving):
    """Wait until none of these sessions is left, at most 2 s."""
    services.links.turn()
    end = ticks_add(ticks_ms(), _GOODBYE_MS)
    while [session for session in leaving if session in services.swarm.sessions] and ticks_diff(end, ticks_ms()) > 0:
        await sleep_ms(_TURN_MS)
