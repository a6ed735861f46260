"""Domain helpers for the tests of links, door, address book and peer exchange."""

from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.connmgr import ConnManager, Link, head
from picoswarm.profile import Profile

DISCONNECTED, FAILING, CANCELED, PENDING, ESTABLISHED = range(5)
KEEP, ASK_OLD = -1, -2
NO_ANSWER = -1
VISIT, DOWN = 1, 2  # purposes of a link
BYE, BUSY, INCOMPATIBLE = 0, 1, 2
SELF, USELESS, DUPLICATE, WRONG_ID, BANNED = 4, 5, 6, 7, 8
MEMORY, TRIMMED, GATED, SLOW, LOST, FORGED = 16, 17, 18, 19, 20, 21

OWN = b"\x80" + bytes(31)
SECOND, MINUTE, HOUR = 1000, 60000, 3600000


def id_of(i):
    """A valid node id."""
    return bytes((i & 0xFF, i >> 8, 7)) + b"id" + bytes(27)


def lan(i):
    return bytes((192, 168, 1, i))


def world(i, network=None):
    """An address beyond the LAN, each `i` in a /16 of its own unless `network` is given."""
    return bytes((41, i & 0xFF if network is None else network, i >> 8, i & 0xFF))


class Dice:
    """Repeatable chance, as rng(n)."""

    def __init__(self, seed=1):
        self._state = seed * 2654435 + 12345 & 0x3FFFFFFF

    def __call__(self, n):
        out = bytearray(n)
        for i in range(n):
            self._state = (self._state * 16807 + 11) % 0x3FFFFFDD
            out[i] = self._state >> 9 & 0xFF
        return bytes(out)


class Owner:
    """A connection manager and the clock; what the swarm does with it, in words. It has one inbound place unless told
    otherwise."""

    def __init__(self, candidates=(), now=5000, seed=1, own=OWN, **numbers):
        self.now = now
        numbers = dict({"inbound": 1}, **numbers)
        self.manager = ConnManager(Profile(**numbers), own, Dice(seed), now)
        self.candidates = list(candidates)
        self.manager.pick = self._pick

    def _pick(self, now, below):
        """Each candidate (id, ip, port) in turn; for a way down the one nearest below, or each of those below in turn."""
        found = [each for each in self.candidates if not below or head(each[0], 0) < abs(below)]
        if not found:
            return None
        if below > 0:
            return max(found)
        self.candidates.remove(found[0])
        self.candidates.append(found[0])
        return found[0]

    def links(self):
        """All of them."""
        return list(self.manager.links)

    def wait(self, ms):
        """Let time pass, with the minute's housekeeping."""
        while ms > 0:
            step = min(ms, MINUTE)
            self.now = ticks_add(self.now, step)
            self.manager.tick(self.now)
            ms -= step

    def dial(self, within=10 * MINUTE):
        """The next link that is to be dialed, as a driver would find it; None when `within` ms bring none."""
        end = ticks_add(self.now, within)
        for _ in range(16000):  # more than it looks for candidates in three hours
            self.manager.tick(self.now)
            link = self.manager.next_dial(self.now)
            if link:
                return link
            then = self.manager.next_time(self.now)
            assert ticks_diff(then, self.now) > 0, "the driver would spin"
            if ticks_diff(then, end) >= 0:
                self.now = end
                return None
            self.now = then
        raise AssertionError("no end of waking up")

    def connect(self, within=10 * MINUTE):
        """Dial, and succeed."""
        link = self.dial(within)
        assert link and self.manager.established(link, link.id, self.now) == KEEP
        return link

    def enter(self, id32, ip, port=5000):
        """An inbound session is proven. Returns the link and the verdict."""
        link = Link(id32, ip, port, False)
        return link, self.manager.established(link, id32, self.now)

    def fail(self, link, reason=LOST):
        self.manager.failed(link, reason, self.now)

    def close(self, link, reason=BYE):
        self.manager.closed(link, reason, self.now)

    def waited(self, function):
        """Milliseconds that pass while `function` runs."""
        before = self.now
        function()
        return ticks_diff(self.now, before)


def lan_nodes(first, n):
    """Candidates on the LAN."""
    return [(id_of(i), lan(i), 5000) for i in range(first, first + n)]
