"""A swarm whose heap is full for a moment, wherever that moment falls (row L17): it loses a session at most, and has the
next one. On a leaf any call can lack memory: that for the part of the library that it is in."""

from collections import Counter
from contextlib import suppress
from functools import partial

import pytest
from hunger import starve_each
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.profile import Profile
from picoswarm.pubsub import PubSub
from picoswarm.rpc import Rpc
from picoswarm.topics import subscribe
from swarming import CHANNEL, MEMORY, SECOND, A, B, Draws, Recorder, World

RUNTIMES = ("cpython",)

MODULES = ("swarm", "connmgr", "session", "door", "mux", "lanes", "sealed", "handshake", "hello", "rpc", "pubsub")
RESIDENT = ("_tell",)
CALL, DONE = 1, 2  # events of requests
AGAIN_MS = 1000  # what tcp.py waits after a turn that found no memory
MOST_MS = 10_000  # and at most between two turns


class Starving(World):
    """A network with one member that is hungry, and does what tcp.py does then. `take`, of a member: what it does after each
    turn, or None."""

    hunger = starved = None

    def add(self, identity, i, **more):
        member = super().add(identity, i, **more)
        member.cut = []  # sessions that there was no memory to end
        member.take = None
        return member

    def ask(self, member, call, *arguments):
        if member is not self.starved:
            return call(*arguments)
        try:
            return self.hunger(call, *arguments)
        except MemoryError:
            self._go_without(member, call.__name__, *arguments)

    def _go_without(self, member, name, about=None, *_):
        """A call lacked memory: who loses a session for it."""
        if name in ("connected", "received", "lost", "reply"):
            self._end(member, about[0] if name == "reply" else about)
        elif name == "to_send":
            self._cut(member, about)
        elif name not in ("call", "publish"):  # a program's own, which hears of it
            with suppress(MemoryError):
                self.hunger(member.swarm.trim, self.now)

    def _end(self, member, session):
        try:
            self.hunger(member.swarm.end, session, MEMORY)
        except MemoryError:
            self._cut(member, session)

    def _cut(self, member, session):
        try:
            self.hunger(member.swarm.lost, session, self.now)
        except MemoryError:
            member.cut.append(session)

    def _read(self, member, socket):
        return socket.session not in member.cut and super()._read(member, socket)

    def _write(self, member, session):
        return b"" if session in member.cut else super()._write(member, session)

    def _turn(self, member):
        moved = super()._turn(member)
        cut, member.cut = member.cut, []
        for session in cut:
            self._cut(member, session)
        if member.take:
            member.take()
        return moved or bool(member.swarm.events)

    def next_time(self, member):
        at = self.ask(member, member.swarm.next_time, self.now)
        most = ticks_add(self.now, AGAIN_MS if at is None else MOST_MS)
        return most if at is None or ticks_diff(most, at) < 0 else at


class Guest:
    """A member with requests and messages: it answers each request by its own words, and hears every topic."""

    def __init__(self, world, identity, i, **numbers):
        profile = Profile(**numbers)
        self.rpc = Rpc(profile, world.now)
        self.rpc.register("echo")
        self.pubsub = PubSub(identity.id, profile, Draws(i), world.now)
        subscribe(self.pubsub, "#", world.now)
        recorder = Recorder()
        self.world = world
        self.member = world.add(identity, i, reactors=[self.rpc, self.pubsub, recorder], **numbers)
        self.member.recorder = recorder
        self.member.take = self.take
        self.answers = {}  # by number of a request: the status
        self.waits_for = set()
        self.heard = []

    def take(self):
        """What services.py does after each turn."""
        rpc = self.rpc
        while event := rpc.next_event():
            if event[0] == CALL:
                self.world.ask(self.member, rpc.reply, event[1], 0, event[3])
            elif event[0] == DONE:
                assert event[1] not in self.answers
                self.answers[event[1]] = event[2]
        while message := self.pubsub.next_event():
            self.heard.append(message[1])

    def ask(self, other):
        session = self.member.session(other.member)
        number = self.world.ask(self.member, self.rpc.call, session, "echo", b"words", self.world.now, 5 * SECOND)
        if number:
            self.waits_for.add(number)
        return number

    def publish(self, payload):
        text = self.pubsub.compose("topic", payload)
        self.world.ask(self.member, self.pubsub.publish, text, self.world.now)


def _sessions_begin_and_end(hunger, is_dialed, links):
    """Twice: a session, a message, the end of the session by one side and then by the other. Returns (world, who dials, who
    is dialed)."""
    world = Starving()
    dials, dialed = world.add(A, 1, links=4 if is_dialed else links), world.add(B, 2, links=links if is_dialed else 4)
    world.starved = dialed if is_dialed else dials
    world.hunger = hunger
    for ends in (dialed, dials):
        dials.wants(dialed)
        world.run(5 * SECOND)
        session = dials.session(dialed)
        if session:
            session.try_send(CHANNEL, b"hello")
            world.run(SECOND // 2)
            (ends.session(dials if ends is dialed else dialed) or session).close()
            world.run(2 * SECOND)
    world.starved = None
    return world, dials, dialed


def _has_a_session_and_forgets_it(world, dials, dialed):
    """Half a minute later, when nobody lacks memory any more: a session is had within the time of a closed brake, and its
    end leaves nothing on either side."""
    world.run(30 * SECOND)
    for _ in range(10):
        link = dials.wants(dialed)
        world.run(4 * SECOND)
        if dials.session(dialed):
            break
        dials.swarm.manager.cancel(link)
    assert dials.session(dialed) and dialed.session(dials)
    dials.session(dialed).close()
    world.run(10 * SECOND)
    for member in (dials, dialed):
        swarm = member.swarm
        assert member.is_at_rest() and not member.cut
        assert swarm._at_door is swarm._greeted is swarm._door.deadline is None
        words = Counter(member.recorder.words())
        assert words["init"] == words["remove"]
        assert member.opened() == len(member.closed())


@pytest.mark.parametrize("links", (1, 4))
@pytest.mark.parametrize("is_dialed", (True, False), ids=("dialed", "dials"))
def test_wherever_memory_is_short_there_is_a_session_again_and_nothing_is_left_of_those_before(links, is_dialed):
    scenario = partial(_sessions_begin_and_end, is_dialed=is_dialed, links=links)
    starve_each(MODULES, scenario, _has_a_session_and_forgets_it, RESIDENT)


def _words_go_both_ways(hunger, starves):
    """Requests and messages of two guests. Returns (world, guests)."""
    world = Starving()
    a, b = Guest(world, A, 1), Guest(world, B, 2)
    world.starved = (a, b)[starves].member
    world.hunger = hunger
    a.member.wants(b.member)
    world.run(5 * SECOND)
    for asks, asked in ((a, b), (b, a), (a, b)):
        if asks.member.session(asked.member) and asked.member.session(asks.member):
            asks.ask(asked)
            asks.publish(b"once")
            world.run(SECOND)
    session = a.member.session(b.member)
    if session:
        a.ask(b)  # nobody answers: the session ends first
        session.close()
    world.run(SECOND)
    world.starved = None
    return world, a, b


def _all_is_well(world, a, b):
    world.run(30 * SECOND)
    for guest in (a, b):
        assert set(guest.answers) == guest.waits_for, "a request without an answer"
        assert not guest.rpc.calls + guest.rpc.served
    for _ in range(10):
        a.member.wants(b.member)
        world.run(4 * SECOND)
        if a.member.session(b.member):
            break
    for asks, asked in ((a, b), (b, a)):
        number = asks.ask(asked)
        asks.publish(b"at the end")
        world.run(2 * SECOND)
        assert asks.answers[number] == 0 and asked.heard[-1] == b"at the end"
    a.member.session(b.member).close()
    world.run(15 * SECOND)
    for guest in (a, b):
        assert guest.member.is_at_rest() and not guest.pubsub.peers and not guest.rpc.calls + guest.rpc.served
        assert guest.pubsub._kept == [None] * len(guest.pubsub._kept)


@pytest.mark.parametrize("starves", (0, 1))
def test_wherever_memory_is_short_each_request_has_an_end_and_words_go_on(starves):
    starve_each(MODULES, partial(_words_go_both_ways, starves=starves), _all_is_well, RESIDENT)
