"""The connection manager against an oracle, under random dials, inbound sessions, cancels, resets and silence.

The oracle plays the swarm: it owns the sockets, announces peers, and knows what must hold whatever happens.
"""

from __future__ import annotations

import os
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from linking import (
    ASK_OLD,
    BUSY,
    BYE,
    CANCELED,
    DOWN,
    DUPLICATE,
    ESTABLISHED,
    FORGED,
    INCOMPATIBLE,
    KEEP,
    LOST,
    MINUTE,
    NO_ANSWER,
    OWN,
    PENDING,
    SLOW,
    TRIMMED,
    VISIT,
    id_of,
    lan,
)
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.connmgr import ConnManager, Link, head
from picoswarm.profile import Profile

IDS = 9
PERMANENT = 8
PROFILE = Profile()
CONNECTS = 1000
EACH = 50


class Swarm:
    """The sockets, the announced peers, and a ConnManager that is told what happens to them."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        self.now = self.chance.randrange(1 << 30)
        self.manager = ConnManager(PROFILE, OWN, self.chance.randbytes, self.now)
        self.manager.pick = self.pick
        self.permanent = self.manager.add(id_of(PERMANENT), lan(PERMANENT), 5000, self.now)
        self.sockets: set[Link] = set()  # open ones, whatever stands on them
        self.announced: dict[bytes, Link] = {}
        self.done: Counter[str] = Counter()

    def pick(self, now, below):
        i = self.chance.randrange(IDS)
        return None if below and head(id_of(i), 0) >= below else (id_of(i), lan(i), 5000)

    def check(self) -> None:
        manager = self.manager
        established = {link for link in manager.links if link.state == ESTABLISHED}
        dialing = [link for link in manager.links if link.state in (PENDING, CANCELED)]
        assert established == set(self.announced.values())
        assert len({link.id for link in established}) == len(established) <= PROFILE.links
        assert len(dialing) <= PROFILE.dials
        assert self.sockets >= established | set(dialing)
        assert self.permanent in manager.links
        waiting = [link for link in manager.links if link not in established and link not in dialing]
        assert all(link is self.permanent or link.callers for link in waiting)

    def wait(self, ms: int) -> None:
        while ms > 0:
            self.now = ticks_add(self.now, min(ms, MINUTE))
            self.manager.tick(self.now)
            ms -= MINUTE

    def dial(self) -> Link | None:
        """The next dial, as the driver's timer finds it within a minute."""
        for _ in range(60):
            link = self.manager.next_dial(self.now)
            if link:
                assert link.state == PENDING and link in self.manager.links and link not in self.sockets
                self.sockets.add(link)
                return link
            assert ticks_diff(self.manager.next_time(self.now), self.now) > 0, "the driver would spin"
            self.wait(1000)
        return None

    def prove(self, link: Link, id32: bytes, old_answers: bool) -> int:
        """The handshake on `link` went through: all that the swarm has to do then. Returns the last verdict."""
        manager = self.manager
        verdict = manager.established(link, id32, self.now)
        if verdict == ASK_OLD:
            self.done["asked, answered" if old_answers else "asked, silent"] += 1
            rival = manager.rival
            assert self.announced[id32] is rival
            self.wait(2000)
            if old_answers:
                manager.failed(link, DUPLICATE, self.now)
                verdict = DUPLICATE
            else:
                self.close(rival, LOST)
                verdict = manager.established(link, id32, self.now)
                assert verdict != ASK_OLD
        if verdict == KEEP:
            rival = manager.rival
            if rival:
                self.done["replaced" if manager.rival_reason == DUPLICATE else "trimmed"] += 1
                # A way down made room for now, and comes back.
                is_way = manager.rival_reason == BUSY and rival.purpose == DOWN
                assert is_way or manager.rival_reason in (DUPLICATE, TRIMMED)
                self.close(rival, manager.rival_reason)
            assert id32 not in self.announced
            self.announced[id32] = link
        else:
            self.sockets.discard(link)
        return verdict

    def close(self, link: Link, reason: int) -> None:
        """remove_peer, then the socket: `pop` fails for one that was never announced, or twice."""
        assert self.announced.pop(link.id) is link
        self.sockets.remove(link)
        self.manager.closed(link, reason, self.now)

    def enter(self, i: int, old_answers: bool) -> int:
        link = Link(id_of(i), lan(i), 5000, False)
        link.purpose = self.chance.choice((0, 0, VISIT, DOWN))
        self.sockets.add(link)
        inbound = sum(not (other.is_outbound or other.is_permanent) for other in self.announced.values())
        is_stranger = i != PERMANENT and link.id not in self.announced
        verdict = self.prove(link, link.id, old_answers)
        if is_stranger and not link.purpose and inbound >= PROFILE.inbound:
            assert verdict in (BUSY, 8)
        return verdict

    def fail(self, link: Link, reason: int) -> None:
        self.sockets.remove(link)
        self.manager.failed(link, reason, self.now)

    # What may happen; each counts itself when it did.

    def step(self, what: str, i: int, is_odd: bool) -> None:
        getattr(self, "on_" + what)(i % IDS, is_odd)
        self.check()

    def on_success(self, i, is_odd):
        link = self.dial()
        if link:
            self.done["success"] += 1
            self.prove(link, link.id, is_odd)

    def on_failure(self, i, is_odd):
        link = self.dial()
        if link:
            self.done["failure"] += 1
            self.fail(link, (LOST, SLOW, BUSY, INCOMPATIBLE, NO_ANSWER, FORGED)[i % 6])

    def on_cancelled(self, i, is_odd):
        """A cancel during the dial; odd: the dial succeeds all the same."""
        wanted = self.manager.want(id_of(20 + i), lan(20 + i), 5000, self.now)
        if wanted not in self.manager.links:
            return
        link = self.dial()
        self.manager.cancel(wanted)
        if link is not wanted:
            if link:
                self.fail(link, BUSY)
            return
        self.done["cancelled"] += 1
        assert link.state == CANCELED and self.manager.next_dial(self.now) is None
        if is_odd:
            assert self.prove(link, link.id, False) == BYE
        else:
            self.fail(link, LOST)
        assert link not in self.manager.links

    def on_late(self, i, is_odd):
        """Two callers wait for one dial, one gives up, and the dial succeeds late."""
        first = self.manager.want(id_of(20 + i), lan(20 + i), 5000, self.now)
        if first not in self.manager.links:
            return
        second = self.manager.want(id_of(20 + i), lan(20 + i), 5000, self.now)
        assert second is first
        if first.state != ESTABLISHED:
            link = self.dial()
            self.manager.cancel(first)
            if link is not first:
                self.manager.cancel(first)
                if link:
                    self.fail(link, BUSY)
                return
            self.wait(9000)
            self.prove(link, link.id, is_odd)
        self.done["late"] += 1

    def on_both(self, i, is_odd):
        """The other side dials while we dial it; odd: its session is proven first."""
        link = self.dial()
        if link is None:
            return
        self.done["both"] += 1
        node = link.id[0]
        if is_odd:
            self.enter(node, False)
            self.prove(link, link.id, False)
        else:
            self.prove(link, link.id, False)
            self.enter(node, False)

    def on_inbound(self, i, is_odd):
        self.done["inbound"] += 1
        self.enter(i, is_odd)

    def on_reset(self, i, is_odd):
        if self.announced:
            self.done["reset"] += 1
            links = sorted(self.announced.values(), key=lambda link: link.id)
            self.close(links[i % len(links)], FORGED if is_odd else LOST)

    def on_silence(self, i, is_odd):
        """A peer went silent, and comes back while its old session still stands."""
        if self.announced:
            self.done["silence"] += 1
            links = sorted(self.announced.values(), key=lambda link: link.id)
            link = links[i % len(links)]
            self.wait(20000)
            if self.enter(link.id[0], False) != 8:
                self.close(self.announced[link.id], 10)

    def on_offence(self, i, is_odd):
        if self.announced:
            self.done["offence"] += 1
            link = sorted(self.announced.values(), key=lambda link: link.id)[0]
            if self.manager.score(link.id, link.ip, 50):
                self.close(link, 8)

    def on_wait(self, i, is_odd):
        self.wait(1000 << i)

    def end(self) -> None:
        """Everything ends; then nothing may be left of it but the wish for the permanent peer."""
        for link in list(self.sockets):
            if link in self.announced.values():
                self.close(link, BYE)
            else:
                self.fail(link, LOST)
        for link in [link for link in self.manager.links if link is not self.permanent]:
            self.manager.cancel(link)
        self.check()
        assert not self.sockets and not self.announced
        assert self.manager.links == [self.permanent]
        self.wait(70 * MINUTE)
        notes = self.manager._notes
        assert not any(notes[at] for at in range(len(notes)) if 16 <= at % 20 < 19)
        assert self.dial() is self.permanent


WHAT = sorted(name[3:] for name in dir(Swarm) if name.startswith("on_"))


def test_a_thousand_connects_and_disconnects_leave_nothing_behind():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    swarm = Swarm(seed)
    chance = random.Random(seed)
    rounds = 0
    needed = ("cancelled", "late", "both", "reset", "silence")
    while swarm.done["success"] + swarm.done["inbound"] < CONNECTS or min(swarm.done[what] for what in needed) < EACH:
        swarm.step(chance.choice(WHAT), chance.randrange(IDS), chance.random() < 0.5)
        rounds += 1
        assert rounds < 50_000, swarm.done
    print(dict(swarm.done))
    swarm.end()
    assert swarm.done["asked, silent"] and swarm.done["asked, answered"] and swarm.done["replaced"] and swarm.done["trimmed"]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 1 << 20),
    st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, IDS - 1), st.booleans()), max_size=40),
)
def test_whatever_happens_every_socket_is_closed_and_every_peer_announced_once(seed, steps):
    swarm = Swarm(seed)
    for what, i, is_odd in steps:
        swarm.step(what, i, is_odd)
    swarm.end()
