"""The swarm: every session of a node, who may have one, and the reactors that use them (docs/protocol.md 6). Pure.

Whoever owns the sockets calls `accepted`, `connected`, `received` and `lost`; after each of them, and after `tick` and
`work`, takes `next_event` until None, writes what `next_unsent` and `to_send` give, and sleeps until `next_time`. A session
that is over says so by an event, once, and its socket is then closed.

Reactors are told in one order only: `init_peer` before the session can carry anything, `add_peer` when the peer has taken
it up, `remove_peer` once for each `init_peer`, before anybody else hears of it (rows T3, L15, B42). A reactor hears of those
peers only that take part in one of its channels (row T15).
"""

from .compat import const, ticks_add, ticks_diff
from .connmgr import ConnManager, Link, offence
from .door import Door
from .handshake import Handshake, Reception
from .hello import Hello
from .session import Session
from .wire import same, u16

# Events: (kind, session, ...)
DIAL = 1  # a socket is to be opened to session.ip, session.port
HANG_UP = 2  # the socket is to be closed
OPENED = 3  # a peer is there
CLOSED = 4  # (CLOSED, session, reason): a peer that was there is gone
STREAM = 5  # (STREAM, session, channel, name): the peer opened a stream
READABLE = 6  # (READABLE, session, channel): a stream has bytes, or room
RESET = 7  # (RESET, session, channel, reason)

_CONNECTING = const(0)  # stages, see session.py
_GREETING = const(1)
_PARKED = const(2)
_STARTED = const(3)
_OPEN = const(4)
_CLOSING = const(5)
_OVER = const(6)

_KEEP = const(-1)  # see connmgr.py
_ASK_OLD = const(-2)
_NO_ANSWER = const(-1)

_OPENED = const(1)  # stages of a handshake
_DONE = const(2)
_FAILED = const(3)

_GOAWAY = const(6)  # event of the mux
_TCP = const(58)  # in a table record
_NEW_PERCENT = const(30)  # of the picks from the book, untried ones (row T31)
_USEFUL_MS = const(600_000)  # a session that lived so long was good (row T37)

_SCAN_MS = const(1000)  # between two looks at the deadlines of all sessions
_CONNECT_MS = const(10_000)
_CONNECT_NEAR_MS = const(5_000)
_PARKED_MS = const(2_000)
_CLOSING_MS = const(1_000)

_BYE = const(0)  # see reasons.py
_BUSY = const(1)
_USELESS = const(5)
_DUPLICATE = const(6)
_EPOCH = const(9)
_TRIMMED = const(17)
_SLOW = const(19)
_LOST = const(20)


class Swarm:
    """See the module. `reactors`: see docs/architecture.md; `discovery`: the engine that knows whom to dial; `port`: where
    this node listens, 0 for nowhere; `book`: the AddressBook, where there is one; `name`: at most 16 characters that peers see."""

    def __init__(self, profile, identity, membership, rng, now, reactors, discovery, book=None, port=0, name=""):
        self.now = now
        self.profile = profile
        self.membership = membership
        self.sessions = []  # all that have a socket
        self.peers = {}  # by id: the one session that counts, from its start to its end
        self.unsent = []  # sessions that may have something to send
        self.is_busy = False  # `work` has more to do at once
        self.manager = ConnManager(profile, identity.id, rng, now)
        self.manager.pick = self._pick
        self.opened = 0
        self._door = Door()
        self._at_door = None  # the session that waits there
        self._reception = Reception()
        self._identity = identity
        self._rng = rng
        self._discovery = discovery
        self.book = book
        self._hello = Hello(discovery.codec.capabilities, port, b"", b"", profile.record, profile.streams, name)
        self._events = []
        self._scan_at = now
        self._is_closing = False
        self._reactors = reactors
        self._by_channel = {}
        self._channels = []
        for reactor in reactors:
            for channel in reactor.channels:
                if channel.id in self._by_channel:
                    from .errors import LocalError

                    raise LocalError("two reactors serve channel %d" % channel.id)
                self._by_channel[channel.id] = reactor
                self._channels.append(channel)
        self._hello.channels = bytes(sorted(self._by_channel))

    def at(self, now):
        """It is `now`, for all that happens until the next call."""
        self.now = now
        for reactor in self._reactors:
            reactor.now = now

    # Sockets

    def accepted(self, ip, port, now):
        """Somebody connected. Returns the Session, or None: close the socket."""
        self.at(now)
        answer = -1 if self._is_closing else self._door.knock(ip, now)
        if answer < 0:
            return None
        if answer:
            waited = self._at_door
            self._at_door = None
            self._finish(waited, _LOST)
        session = Session(self, ip, port, None, now)
        self._at_door = session
        self.sessions.append(session)
        self._greet(session)
        return session

    def connected(self, session, now):
        """The socket that a DIAL event asked for is connected."""
        self.now = now
        if session.stage == _CONNECTING:
            self._greet(session)

    def lost(self, session, now):
        """The socket could not be connected, failed, or ended."""
        self.at(now)
        self._finish(session, _LOST)

    def received(self, session, n, now):
        """`n` new bytes were read to session.buf[session.fill:]."""
        self.at(now)
        session.count_in(n)
        if session.handshake:
            session.handshake.receive(n, now)
            session.fill = session.handshake.fill
            # An inbound one whose first message opened, but which is not greeted yet, waits.
            session.has_work = session.is_outbound or session.is_greeted or session.handshake.stage == 0
            self.is_busy = True
        elif session.stage == _STARTED or session.stage == _OPEN:
            n = session.receive(n, now)
            if n:
                return self.offend(session, n)
            self._take_events(session)
            if session.stage == _STARTED:
                self._open(session)
            if session.rival:  # it lives: the newer session of the same peer goes
                self._turn_away(session)
            session.touch()

    def to_send(self, session, out, now):
        """Write to `out` what a session has to send now; returns its size, 0 for nothing."""
        n = session.to_send(out, now)
        if not n and session.stage == _CLOSING:
            self._finish(session, session.reason)
        return n

    def next_unsent(self, now):
        """Take a session that has something to send now off the list, or None."""
        unsent = self.unsent
        i = 0
        while i < len(unsent):
            session = unsent[i]
            due = session.due(now)
            if due > 0:
                i += 1
                continue
            unsent.pop(i)
            session.is_unsent = False
            if due == 0:
                return session
        return None

    def next_event(self):
        """The next event, or None."""
        return self._events.pop(0) if self._events else None

    @property
    def has_events(self):
        """Whether an event waits."""
        return bool(self._events)

    # Time

    def next_time(self, now):
        """Ticks when `tick` is due."""
        due = self.manager.next_time(now)
        if self.sessions and ticks_diff(self._scan_at, due) < 0:
            due = self._scan_at
        for reactor in self._reactors:
            at = reactor.next_time()
            if at is not None and ticks_diff(at, due) < 0:
                due = at
        for session in self.unsent:
            wait = session.due(now)
            if 0 <= wait < ticks_diff(due, now):
                due = ticks_add(now, wait)
        return due

    def tick(self, now):
        """What is due by now: deadlines, keepalive, dials, the reactors' own business."""
        self.at(now)
        if ticks_diff(now, self._scan_at) >= 0:
            self._scan_at = ticks_add(now, _SCAN_MS)
            for session in list(self.sessions):
                self._look_after(session, now)
        self.manager.tick(now)
        while not self._is_closing:
            link = self.manager.next_dial(now)
            if link is None:
                break
            session = Session(self, link.ip, link.port, link, now)
            if self.book:
                self.book.attempt(link.id, self._discovery.uptime)
            session.limit(now, _CONNECT_NEAR_MS if self._discovery.site.is_onlink(link.ip) else _CONNECT_MS)
            self.sessions.append(session)
            self._events.append((DIAL, session))
        for reactor in self._reactors:
            at = reactor.next_time()
            if at is not None and ticks_diff(now, at) >= 0:
                reactor.tick(now)

    def _pick(self, now):
        """Somebody to dial: of the address book, or a live node of the table, from a random place on. (id, ip, TCP port), or
        None."""
        book = self.book
        if book and self._rng(1)[0] & 1:
            found = book.pick(_NEW_PERCENT, self._discovery.uptime)
            if found:
                return found
        table = self._discovery.table
        count = len(table.pool) // table.step
        first = u16(self._rng(2), 0)
        for i in range(count):
            record = (first + i) % count * table.step
            port = u16(table.pool, record + _TCP)
            if port and table.is_live(record) and self.find(table.pool, record) is None:
                return bytes(table.pool[record : record + 32]), table.ip(record), port
        return None

    def find(self, buf, at):
        """The session whose peer has the id buf[at:at+32], or None."""
        for session in self.sessions:
            if session.id and same(buf, at, session.id, 0, 32):
                return session
        return None

    def _look_after(self, session, now):
        """A second of one session has passed."""
        if session.mux and session.stage <= _OPEN:
            reason = session.mux.tick(now)
            if reason:
                return self._finish(session, reason)
            session.touch()
        reason = session.overdue(now)
        if not reason:
            return
        if session.stage == _PARKED:  # the older session of this peer said nothing: this one takes its place
            self._finish(self.peers[session.id], _LOST)
            self._admit(session)
        elif session.stage == _CLOSING:
            self._finish(session, session.reason)
        else:
            self._finish(session, reason)

    # Handshakes

    def _greet(self, session):
        session.stage = _GREETING
        keys = self.membership
        link = session.link
        dialed_id = None
        if link:
            dialed_id = link.id
            keys = keys.lower if link.tries & 1 and keys.lower else keys.highest
        hello = self._hello
        hello.seen = bytes(session.ip) + bytes((session.port >> 8, session.port & 0xFF))
        self._reception.is_full = False
        session.handshake = Handshake(
            self._identity, keys, self._rng, hello.encode(), link is not None, self._reception, dialed_id, self.now
        )
        session.buf = session.handshake.buf
        session.deadline = session.handshake.deadline
        session.touch()
        self.is_busy = True

    def work(self, now):
        """One slice of public-key work, of one handshake at a time, inbound ones first. True: there is more."""
        self.at(now)
        at_work = None
        for session in self.sessions:
            if session.handshake and session.has_work and (at_work is None or not session.is_outbound):
                at_work = session
                if not session.is_outbound:
                    break
        if at_work is None:
            self.is_busy = False
            for reactor in self._reactors:
                self.is_busy |= reactor.work()
            return self.is_busy
        self.is_busy = True
        handshake = at_work.handshake
        at_work.has_work = handshake.work()
        at_work.fill = handshake.fill
        at_work.deadline = handshake.deadline
        at_work.touch()
        if handshake.stage == _FAILED:
            self._finish(at_work, handshake.reason)
        elif handshake.stage == _DONE:
            self._prove(at_work)
        elif handshake.stage == _OPENED and at_work is self._at_door:
            if not self.manager.may_enter(at_work.ip):
                self._finish(at_work, _BUSY)
            elif self._door.opened(now):
                self._at_door = None
                at_work.is_greeted = True
            else:
                at_work.has_work = False  # another one is being greeted
        return True

    def _prove(self, session):
        """The handshake is done: who it is, is known."""
        handshake = session.handshake
        session.id = handshake.peer_id
        session.hello = hello = handshake.hello
        session.epoch = handshake.epoch
        if not session.is_outbound:
            self._leave_door(session)
            session.link = Link(session.id, session.ip, hello.port, False)
        for channel in hello.channels:
            reactor = self._by_channel.get(channel)
            if reactor and reactor not in session.reactors:
                session.reactors.append(reactor)
        reason = handshake.reason or (0 if session.reactors else _USELESS)
        if not reason:
            return self._admit(session)
        if session.is_outbound:
            self.manager.failed(session.link, reason, self.now)
        self._start(session)
        self._refuse(session, reason)

    def _admit(self, session):
        """Let a proven session in, or say why not."""
        manager = self.manager
        reason = manager.established(session.link, session.id, self.now)
        rival = manager.rival
        if reason == _ASK_OLD:
            session.stage = _PARKED
            session.limit(self.now, _PARKED_MS)
            old = self.peers[session.id]
            old.rival = session
            old.mux.ping()
            old.touch()
            return
        if reason != _KEEP:
            self._start(session)
            return self._refuse(session, reason)
        if rival:
            for other in list(self.sessions):
                if other.link is rival and other is not session:
                    self._finish(other, manager.rival_reason)
        session.is_kept = True
        self.peers[session.id] = session
        for reactor in session.reactors:
            reactor.init_peer(session)
        self._start(session)
        session.stage = _STARTED
        session.deadline = None
        if not session.is_outbound:
            self._open(session)

    def _turn_away(self, session):
        """A session of a peer answered: the one that came after it is one too many."""
        parked = session.rival
        session.rival = None
        if parked.stage == _PARKED:
            self.manager.failed(parked.link, _DUPLICATE, self.now)
            self._start(parked)
            self._refuse(parked, _DUPLICATE)

    def _start(self, session):
        if not session.mux:
            session.start(self.profile, self._channels, self.now)
        session.touch()

    # The end of sessions

    def end(self, session, reason=_BYE):
        """Close a session; the peer is told why, where it can be."""
        if session.stage in (_STARTED, _OPEN):
            self._part(session, reason)
            self._refuse(session, reason)
        elif session.stage != _CLOSING:
            self._finish(session, reason)

    def close(self, now):
        """Say goodbye to all peers, and take no more."""
        self.at(now)
        self._is_closing = True
        for session in list(self.sessions):
            self.end(session, _BYE)

    def end_epoch(self, epoch, now):
        """A network key went: so do the sessions that were made under it."""
        self.now = now
        for session in list(self.sessions):
            if session.epoch == epoch:
                self.end(session, _EPOCH)

    def trim(self, now):
        """Memory is short: let go of the session that is worth least (row L17). False: there is none."""
        self.now = now
        link = self.manager.worst(now, True)
        for session in list(self.peers.values()):
            if session.link is link:
                self.end(session, _TRIMMED)
                return True
        return False

    def _refuse(self, session, reason):
        """The last record of a session says why it ends."""
        session.mux.go_away(reason)
        session.stage = _CLOSING
        session.reason = reason
        session.limit(self.now, _CLOSING_MS)
        session.touch()

    def _part(self, session, reason):
        """Nobody knows this session any more: reactors first, the set of peers last (row T3)."""
        if not session.is_kept:
            return
        session.is_kept = False
        was_open = session.stage == _OPEN
        session.stage = _CLOSING
        session.reason = reason
        for reactor in session.reactors:
            reactor.remove_peer(session, reason)
        del self.peers[session.id]
        self.manager.closed(session.link, reason, self.now)
        if self.book and was_open and ticks_diff(self.now, session.since) >= _USEFUL_MS:
            self.book.good(session.id, self._discovery.uptime)
        if was_open:
            self._events.append((CLOSED, session, reason))
        parked = session.rival
        session.rival = None
        if parked and parked.stage == _PARKED:
            self._admit(parked)

    def _finish(self, session, reason):
        """The socket of a session goes; the first call counts."""
        if session.stage == _OVER:
            return
        handshake = session.handshake
        session.handshake = None
        self._part(session, reason)
        if session.stage != _CLOSING:
            session.reason = reason
        if session.link and session.link in self.manager.links and session.stage < _STARTED:
            # Not a word after message 1: another one was served, or the keys differ.
            is_unanswered = handshake and handshake.stage == 0 and reason == _LOST
            self.manager.failed(session.link, _NO_ANSWER if is_unanswered else reason, self.now)
            if self.book and session.is_outbound and (reason == _LOST or reason == _SLOW):
                self.book.failed(session.link.id)
        session.stage = _OVER
        self.sessions.remove(session)
        self._leave_door(session)
        self._events.append((HANG_UP, session))

    def _leave_door(self, session):
        """The handshake of an inbound session came to its end, or its socket did before."""
        if session is self._at_door:
            self._at_door = None
            self._door.left(self.now)
        elif session.is_greeted:
            session.is_greeted = False
            if self._door.finished():
                self._at_door.is_greeted = self._at_door.has_work = True
                self._at_door = None

    # Messages

    def deliver(self, session, channel, view):
        """A message came in. What its reactor says of it may cost the session."""
        if session.stage <= _OPEN:
            reason = self._by_channel[channel].receive(session, channel, view)
            if reason:
                self.offend(session, reason)

    def offend(self, session, reason):
        """A peer broke a rule: it loses its session, and is not heard for a while where that happens again."""
        self.manager.score(session.id, session.ip, offence(reason))
        self.end(session, reason)

    def _open(self, session):
        """The peer has taken the session up."""
        session.stage = _OPEN
        self.opened += 1
        if self.book:
            hello = session.hello
            port = session.port if session.is_outbound else hello.port
            self.book.connected(hello.capabilities << 1 & 0x0E, session.id, session.ip, 0, port)
        for reactor in session.reactors:
            reactor.add_peer(session)
        self._events.append((OPENED, session))

    def _take_events(self, session):
        event = session.mux.next_event()
        while event is not None:
            kind, channel, extra = event
            if kind == _GOAWAY:
                self._part(session, extra)
                return self._finish(session, extra)
            self._events.append((kind + STREAM - 1, session, channel, extra))
            event = session.mux.next_event()
