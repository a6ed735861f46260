"""The swarm of a gateway: the library's, with a wide door, and nothing in it that looks at all sessions at once."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import Any

from picoswarm import addrbook, swarm
from picoswarm.addrbook import AddressBook
from picoswarm.address import scope
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.errors import LocalError
from picoswarm.handshake import Reception
from picoswarm.missed import look_for
from picoswarm.session import CLOSING, GREETING, OPEN, STARTED
from picoswarm.swarm import Swarm

from .cipher import HEAD, TAG, Scratch
from .connmgr import HostManager
from .session import MALFORMED, REASONS, HostSession

MERE_SOCKETS = 256  # that may wait for their first message
DISPLACED_MS = 500
APART_MS = 2  # between two that take the places of others, so that all others come to their turn
EPHEMERALS = 4096
UNFINISHED = 128  # opened handshakes without an end in a minute, and newcomers are challenged
UNFINISHED_MS = 60_000
SLICE_S = 0.005  # of handshakes in one turn
EARLY_MOST = 65536  # bytes that may come before a session is taken up
LOOK_MS = 50  # between two looks at a part of the sessions
PLACE_OF_ID = addrbook._ID  # in a record of the address book
PROVEN = addrbook._PROVEN  # of its state
PARTS = 20  # so that each is looked at once a second


class WideReception(Reception):
    """The first messages of many handshakes at once: those of the last minutes are known again, and newcomers are challenged
    only while many came to no end."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, None] = {}

    def judge(self, buf: bytearray, at: int, now: int, is_challenged: bool, purpose: int) -> int:
        ephemeral = bytes(buf[at : at + 32])
        if ephemeral in self._known:
            return REASONS["replayed"]
        self._known[ephemeral] = None
        if len(self._known) > EPHEMERALS:
            del self._known[next(iter(self._known))]
        if self.is_full >> purpose & 1:
            return REASONS["busy"]
        unfinished = self.unfinished
        while unfinished and not (0 <= ticks_diff(now, unfinished[0]) < UNFINISHED_MS and len(unfinished) < EPHEMERALS):
            unfinished.pop(0)
        if len(unfinished) >= UNFINISHED and not is_challenged:
            return -1
        unfinished.append(now)
        return 0


def place_in(book: AddressBook, id32: bytes) -> int:
    """AddressBook.find for a book of a thousand records."""
    at = book.pool.find(id32)
    while at >= 0 and (at % book.step != PLACE_OF_ID or not book.pool[at - PLACE_OF_ID]):
        at = book.pool.find(id32, at + 1)
    return at - PLACE_OF_ID if at >= 0 else -1


def share_of(book: AddressBook, id32: bytes, ip: bytes) -> bytes:
    """AddressBook.share for a book of a thousand records: it draws among those that had a session, and looks at few."""
    kind = scope(ip)
    proven = [at * book.step for at, state in enumerate(book.pool[:: book.step]) if state & PROVEN]
    chosen: list[bytes] = []
    while proven and len(chosen) < addrbook._SHARED:
        draw = book._random(len(proven))
        at, proven[draw] = proven[draw], proven[-1]
        proven.pop()
        if book.may_share(at, id32, kind):
            chosen.append(book.record(at))
    return b"".join(chosen)


class Sessions(dict):
    """A list of sessions, in the order in which they came, that finds each of them at once."""

    def append(self, session: HostSession) -> None:
        self[session] = None

    def remove(self, session: HostSession) -> None:
        del self[session]


class HostSwarm(Swarm):
    """A Swarm with a wide door: many handshakes at once, which cost a computer half a millisecond each. A mere socket, whose
    first message did not open yet, has 2 s; where as many wait as may, the one that waits longest makes room after 0.5 s,
    and the next one a little later. The address of one that left without a message waits, as at a board's door."""

    make_session = HostSession
    make_manager = HostManager

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.profile.rate:
            raise LocalError("rate is a number for boards: a gateway has no such limit")
        self.sessions = Sessions()
        if self.book:
            self.book.find = partial(place_in, self.book)
            self.book.share = partial(share_of, self.book)
        self.reactor_of = self._by_channel
        self.longest = HEAD + self.profile.record + TAG  # bytes of a record
        self.took = self._take
        self.scratch = Scratch()
        self.parked = self._parked
        self.has_news = False  # the library's own reactors heard something, of which their owner may want to know
        self._reception = WideReception()
        self._mere: dict[HostSession, int] = {}  # when they came, the oldest first
        self._displaced_at = self.now
        self._due: deque[HostSession] = deque()  # handshakes with work
        self._round: list[HostSession] = []  # those that are still to be looked at in this second
        self._round_at = self.now
        self._share = 0  # of them, at a time

    def at(self, now: int) -> None:
        if now != self.now:
            super().at(now)

    # Sockets

    def accepted(self, ip: bytes, port: int, now: int) -> HostSession | None:
        self.at(now)
        if self.is_closing or not self.manager.may_accept(ip) or self._door.is_held(ip, now):
            return None
        if self.wait_ms(now):
            return None
        if len(self._mere) >= MERE_SOCKETS:
            self._displaced_at = now
            oldest = next(iter(self._mere))
            was_challenged = oldest.handshake and oldest.handshake.epoch is not None and oldest.ip != ip
            self._finish(oldest, REASONS["lost"])
            if was_challenged:  # a message of it opened
                self._door.forgive(oldest.ip)
        session = HostSession(self, ip, port, None)
        self._mere[session] = now
        self.sessions.append(session)
        self._greet(session)
        return session

    def wait_ms(self, now: int) -> int:
        """How long there is no place for one more mere socket."""
        if len(self._mere) < MERE_SOCKETS:
            return 0
        oldest = next(iter(self._mere.values()))
        apart = ticks_diff(now, self._displaced_at)  # below 0 where that was more than six days ago
        return max(0, DISPLACED_MS - ticks_diff(now, oldest), APART_MS - apart if apart >= 0 else 0)

    def heard(self, session: HostSession, data: bytes, now: int) -> None:
        """Bytes came; see Swarm.received."""
        self.at(now)
        session.take(data)

    def take(self, session: HostSession, data: bytes) -> None:
        """The same of a session that is not open, or where they are not one whole record."""
        if session.stage >= CLOSING:
            return
        if session.data:
            data = session.data + data
        session.data = data
        if session.stage >= STARTED:
            n = session.receive(0)
            if n >= 0:
                self._take(session, n)
            return
        # Of a handshake, as many as its buffer takes; what follows it waits.
        handshake = session.handshake
        n = min(len(data), len(handshake.buf) - handshake.fill) if session.stage == GREETING else 0
        session.data = data[n:]
        if len(session.data) > EARLY_MOST:
            self.end(session, MALFORMED)
        elif n:
            handshake.buf[handshake.fill : handshake.fill + n] = data[:n]
            self._due.append(session)
            self.received(session, n, self.now)

    def sent(self, session: HostSession, now: int) -> None:
        """`to_send` of a session had nothing more; see Swarm.to_send."""
        if session.stage == OPEN:
            if session.mux.has_events:
                self._pass_on(session, session.mux.next_event())  # who waited for room has it now
            if session.mux.due(now) >= 0:
                session.touch()  # the rest waits for more to go with it
        elif session.stage == CLOSING:
            self.at(now)
            self._finish(session, session.reason)

    # Time

    def next_time(self, now: int) -> int:
        """No later than the next look, and no list is gone through for it."""
        due = ticks_add(now, LOOK_MS)
        for reactor in self._reactors:
            at = None if reactor in self._resting else reactor.next_time()
            if at is not None and ticks_diff(at, due) < 0:
                due = at
        return due

    def _scan(self, now: int) -> None:
        self._scan_at = ticks_add(now, LOOK_MS)
        if not self._round and ticks_diff(now, self._round_at) >= 0:
            self._round_at = ticks_add(now, LOOK_MS * PARTS)
            self._resting = []
            self._tell_again()
            self._round = list(self.sessions)
            self._share = -(-len(self._round) // PARTS)
        part = self._round[-self._share :]
        del self._round[-self._share :]
        for session in part:
            if session.stage <= CLOSING:
                self._look_after(session, now)
        if self.cut_off or self._discovery.upkeep.found:
            look_for(self, self._discovery.upkeep)

    def _look_after(self, session: HostSession, now: int) -> None:
        if session.fill or session.stage != OPEN:
            return super()._look_after(session, now)
        if not session.is_read:
            session.rest()
        session.is_read = False
        reason = session.mux.tick(now)
        if reason:
            return self.end(session, reason)
        if not session.mux.is_done():
            session.touch()
        if session.link.useful >= 0:
            self._weigh(session, session.messages())

    def find(self, buf: bytes, at: int) -> HostSession | None:
        return self.peers.get(bytes(buf[at : at + 32]))

    # Handshakes

    def _greet(self, session: HostSession) -> None:
        super()._greet(session)
        self._due.append(session)

    def work(self, now: int) -> bool:
        """All the handshake work that there is, up to a slice of time; then that of the reactors."""
        self.at(now)
        until = time.perf_counter() + SLICE_S
        while self._due and time.perf_counter() < until:
            session = self._due.popleft()
            if session.stage == GREETING and session.handshake.has_work:
                try:
                    self._work_on(session)
                except Exception as error:
                    self._finish(session, self.note(error))
        self.is_busy = bool(self._due) or self._work_of_reactors()
        return self.is_busy

    def _work_on(self, session: HostSession) -> None:
        """All that can be done without the peer."""
        handshake = session.handshake
        is_mere = session in self._mere
        if is_mere:
            self._reception.is_full = self.manager.crowd(session.ip, self.now)
        while handshake.work():
            pass
        session.fill = handshake.fill
        session.deadline = handshake.deadline
        session.touch()
        if is_mere and (handshake.stage in (swarm._OPENED, swarm._DONE) or handshake.reason == REASONS["busy"]):
            del self._mere[session]
            self._door.forgive(session.ip)
        if handshake.stage == swarm._FAILED:
            self._finish(session, handshake.reason)
        elif handshake.stage == swarm._DONE:
            self._prove(session)

    def _finish(self, session: HostSession, reason: int) -> None:
        self.manager.recall(session.link)
        handshake = session.handshake
        super()._finish(session, reason)
        if handshake:
            handshake.fail(reason)  # its steps hold on to it: without them it goes now, and not with a collection

    def _leave_door(self, session: HostSession) -> None:
        if self._mere.pop(session, None) is not None:
            self._door.hold(session.ip, self.now)
