"""A swarm whose heap is full for a moment, wherever that moment falls (row L17): it loses a session at most, and has the
next one. On a leaf any call can lack memory: that for the part of the library that it is in."""

import ast
import sys
from collections import Counter
from functools import cache

import pytest
from picoswarm.compat import ticks_add, ticks_diff
from support import LONG
from swarming import CHANNEL, DIAL, HANG_UP, MEMORY, SECOND, A, B, Socket, World

RUNTIMES = ("cpython",)

MODULES = ("swarm", "connmgr", "session", "door", "mux", "sealed", "handshake", "hello")
AGAIN_MS = 1000  # what tcp.py waits after a turn that found no memory
MOST_MS = 10_000  # and at most between two turns


@cache
def _lines_that_take_memory(path):
    """Those with a call, a slice, or something new in them. `_tell` is there all the time, and takes none."""
    lines = set()
    with open(path) as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        is_tell = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_tell"
        if isinstance(node, (ast.Call, ast.Slice, ast.List, ast.Dict, ast.ListComp)) and not is_tell:
            lines.add(node.lineno)
        elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
            lines.add(node.lineno)
    return lines


class Hunger:
    """Lines of a swarm that take memory find none: `count` of them, from the `first` on. Counts them all."""

    def __init__(self, first=sys.maxsize, count=1):
        self.steps = []  # (file, line), of each
        self.first = first
        self.count = count

    def _enter(self, frame, event, arg):
        """As a trace function of the interpreter: of each function that is called."""
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        folder, _, module = path.removesuffix(".py").rpartition("/")
        return self._step if module in MODULES and folder.endswith("picoswarm") and name != "_tell" else None

    def _step(self, frame, event, arg):
        if event == "line" and frame.f_lineno in _lines_that_take_memory(frame.f_code.co_filename):
            self.steps.append((frame.f_code.co_filename, frame.f_lineno))
            if self.first <= len(self.steps) < self.first + self.count:
                raise MemoryError
        return self._step

    def __call__(self, call, *arguments):
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return call(*arguments)
        finally:
            sys.settrace(before)


class Starving(World):
    """A network with one member that is hungry, and does what tcp.py does then."""

    hunger = Hunger()
    starved = None

    def _call(self, member, call, *arguments):
        return self.hunger(call, *arguments) if member is self.starved else call(*arguments)

    def _try(self, member, call, *arguments):
        """(what the call returned, or None; whether it lacked memory)."""
        try:
            return self._call(member, call, *arguments), False
        except MemoryError:
            return None, True

    def _turn_fails(self, member):
        self._try(member, member.swarm.trim, self.now)

    def _fails(self, member, session):
        if self._try(member, member.swarm.end, session, MEMORY)[1]:
            self._cut(member, session)

    def _cut(self, member, session):
        if self._try(member, member.swarm.lost, session, self.now)[1]:
            member.cut.append(session)

    def add(self, identity, i, **more):
        member = super().add(identity, i, **more)
        member.cut = []
        return member

    def attach(self, owner, session, other, ip, port=4000):
        near, far = Socket(owner, session), Socket(other, None)
        near.other, far.other = far, near
        if owner:
            owner.sockets[session] = near
        far.session, lacked = self._try(other, other.swarm.accepted, ip, port, self.now)
        if lacked:
            self._turn_fails(other)
        if far.session:
            other.sockets[far.session] = far
        else:
            near.has_ended = far.has_ended = True
        return near

    def dial(self, member, session):
        (other,) = [each for each in self.members if each.ip == session.ip]
        self.attach(member, session, other, member.ip)
        if self._try(member, member.swarm.connected, session, self.now)[1]:
            self._fails(member, session)

    def _read(self, member, socket):
        session = socket.session
        if session in member.cut:
            return False
        room, lacked = self._try(member, session.room) if socket.inbox else (0, False)
        if lacked:
            self._turn_fails(member)
        if socket.inbox and room:
            data, socket.inbox = socket.inbox[:room], socket.inbox[room:]
            session.buf[session.fill : session.fill + len(data)] = data
            lacked = self._try(member, member.swarm.received, session, len(data), self.now)[1]
        elif socket.has_ended and not socket.inbox:
            lacked = self._try(member, member.swarm.lost, session, self.now)[1]
        else:
            return False
        if lacked:
            self._fails(member, session)
        return True

    def _flush(self, member, session):
        """Write what a session has to send. True: something was."""
        moved = False
        while session not in member.cut:
            n, lacked = self._try(member, member.swarm.to_send, session, self._out, self.now)
            if lacked:
                self._cut(member, session)
            if not n:
                break
            moved = True
            socket = member.sockets.get(session)
            if socket:
                socket.other.inbox += bytes(self._out[:n])
        return moved

    def _turn(self, member):
        swarm = member.swarm
        moved = False
        if swarm.is_busy:
            more, lacked = self._try(member, swarm.work, self.now)
            moved |= bool(more)
            if lacked:
                self._turn_fails(member)
        while swarm.events:
            moved = True
            event = swarm.next_event()
            if event[0] == DIAL:
                self.dial(member, event[1])
            elif event[0] == HANG_UP:
                socket = member.sockets.pop(event[1], None)
                if socket:
                    socket.other.has_ended = True
            else:
                member.events.append(event)
        while True:
            session, lacked = self._try(member, swarm.next_unsent, self.now)
            if lacked:
                self._turn_fails(member)
            if not session:
                break
            moved |= self._flush(member, session)
        cut, member.cut = member.cut, []
        for session in cut:
            self._cut(member, session)
        for socket in list(member.sockets.values()):
            moved |= self._read(member, socket)
        return moved or bool(swarm.events)

    def run(self, ms):
        end = ticks_add(self.now, ms)
        self.settle()
        while ticks_diff(end, self.now) > 0:
            due = end
            for member in self.members:
                at, lacked = self._try(member, member.swarm.next_time, self.now)
                most = ticks_add(self.now, AGAIN_MS if lacked else MOST_MS)
                for each in (most,) if lacked else (at, most):
                    if ticks_diff(each, due) < 0:
                        due = each
            self.now = due if ticks_diff(due, self.now) > 0 else ticks_add(self.now, 1)
            for member in self.members:
                if self._try(member, member.swarm.tick, self.now)[1]:
                    self._turn_fails(member)
            self.settle()


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
    whole = Hunger()
    _has_a_session_and_forgets_it(*_sessions_begin_and_end(whole, is_dialed, links))
    steps = whole.steps
    assert len(set(steps)) > 200  # lines, or the tracing sees nothing
    # Each line the first time and the last time that it is come to; long: each time.
    first = {step: i for i, step in reversed(list(enumerate(steps)))}
    last = {step: i for i, step in enumerate(steps)}
    chosen = range(len(steps)) if LONG else sorted({*first.values(), *last.values()})
    for i in chosen:
        for count in (1, 30) if LONG else (1 + 29 * (i % 2),):
            hunger = Hunger(i + 1, count)
            try:
                _has_a_session_and_forgets_it(*_sessions_begin_and_end(hunger, is_dialed, links))
            except AssertionError as error:
                path, line = steps[i]
                raise AssertionError(f"{count} times no memory from {path.rpartition('/')[2]}:{line} on") from error
