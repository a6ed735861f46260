"""The swarm: every session of a node, who may have one, and the reactors that use them (docs/protocol.md 6). Pure.

Whoever owns the sockets calls `accepted`, `connected`, `received` and `lost`; after each of them, and after `tick` and
`work`, takes `next_event` until None, writes what `next_unsent` and `to_send` give, and sleeps until `next_time`. A session
that is over says so by an event, once, and its socket is then closed.

Reactors are told in one order only: `init_peer` before the session can carry anything, `add_peer` when the peer has taken
it up, `remove_peer` once for each `init_peer`, before anybody else hears of it (rows T3, L15, B42). A reactor hears of those
peers only that take part in one of its channels (row T15).
"""

from .compat import collect, const, ticks_add, ticks_diff
from .connmgr import ConnManager, Link, head, offence
from .door import Door
from .handshake import Handshake, Reception
from .hello import Hello
from .session import Session, check_channels
from .wire import same, u16

# Events: (kind, session, ...)
DIAL = 1  # a socket is to be opened to session.ip, session.port
HANG_UP = 2  # the socket is to be closed
OPENED = 3  # a peer is there
CLOSED = 4  # (CLOSED, session, reason): a peer that was there is gone
STREAM = 5  # (STREAM, session, channel, name): the peer opened a stream
# and of streams, as (kind, session, channel, reason or None): 6 it has bytes, 7 it has room, 8 the peer ended its half,
# 9 the peer reset it

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
_DISCONNECTED = const(0)
_CANCELED = const(2)
_ESTABLISHED = const(4)

_OPENED = const(1)  # stages of a handshake
_DONE = const(2)
_FAILED = const(3)

_FIRST_STREAM = const(128)
_GOAWAY = const(6)  # event of the mux
_TCP = const(58)  # in a table record
_STATE = const(63)
_LIVE = const(0x0F)  # of the state: kind and misses
_ENTRY = const(1)
_FLAGS = const(64)
_LEAF = const(4)  # in these
_NEW_PERCENT = const(10)  # of the picks from the book, untried ones, and as many more for each dialed peer (row T31)
_NEW_MOST = const(90)
_USEFUL_MS = const(600_000)  # a session that lived so long is good (row T37)
_USEFUL = const(16)  # and one that brought so many messages

_CALL_MS = const(10_000)  # before a bootstrap node that is missing gets a visit; doubled
_CALL_MAX_MS = const(640_000)
_SCAN_MS = const(1000)  # between two looks at all sessions; more of these where all are calm
_CONNECT_MS = const(10_000)
_CONNECT_NEAR_MS = const(5_000)
_TURN_MS = const(10_000)  # of a handshake whose turn has not come: as long as the one before it can take, and more
_ANSWERS_MS = const(5_000)
_PARKED_MS = const(2_000)
_FIRST_MS = const(10_000)  # to the first record
_CLOSING_MS = const(1_000)

_UNTOLD = const(4)  # items that a list has room for from its start

_INIT = const(0)  # what reactors are told of a session
_ADD = const(1)
_REMOVE = const(2)

_BYE = const(0)  # see reasons.py
_BUSY = const(1)
_USELESS = const(5)
_DUPLICATE = const(6)
_EPOCH = const(9)
_SILENT = const(10)
_MEMORY = const(16)
_TRIMMED = const(17)
_SLOW = const(19)
_LOST = const(20)
_FORGED = const(21)


class Swarm:
    """See the module. `reactors`: see docs/architecture.md; `discovery`: the engine that knows whom to dial; `port`: where
    this node listens, 0 for nowhere; `book`: the AddressBook, if there is one; `name`: at most 16 characters that peers see.
    Raises LocalError where two reactors serve one channel, and for what does not fit HELLO or a session."""

    make_session = Session
    # What stays as it is takes no memory in the object.
    is_closing = False  # or closed
    is_ahead = True  # makes the key of the next handshake while there is nothing else to do

    def __init__(self, profile, identity, membership, rng, now, reactors, discovery, book=None, port=0, name=""):
        self.faults = 0  # reactors that raised; the last one is `fault`
        self.fault = None
        self.now = now
        self.profile = profile.kept
        self.membership = membership
        self.book = book
        self.sessions = []  # all that have a socket
        self.peers = {}  # by id: the one session that counts, from its start to its end
        self.unsent = []  # sessions that may have something to send
        self.is_busy = False  # `work` has more to do at once
        self.cut_off = None  # the link of a session that was, see missed.py
        self.manager = self.make_manager(profile, identity.id, rng, now)
        self.manager.pick = self._pick
        self._door = Door()
        self._at_door = None  # the session that waits there
        self._greeted = None  # the inbound session whose handshake is at work
        self._parked = []
        self._reception = Reception()
        if not profile.keys_ahead:
            self.is_ahead = False
        self._identity = identity
        self.rng = rng
        self._discovery = discovery
        self.events = []  # those that wait
        self._scan_at = now
        self._call_ms = _CALL_MS
        self._call_at = ticks_add(now, _CALL_MS)
        self._resting = []  # reactors that raised in their own business: they have none before the next scan
        self._untold = []  # a reactor, a session of whose end it could not hear for want of memory, and so on
        self._told = None  # the session that the reactors hear of now
        self._ending = -1  # the reason, where one of them closes it meanwhile
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
        channels = bytes(sorted(self._by_channel))
        self._hello = Hello(discovery.codec.capabilities, port, b"", channels, profile.record, profile.streams, name)
        # What no session could use is refused now: a name, channels and their limits.
        self._hello.publish_max = profile.publish_max
        self._hello.request_max = profile.request_max
        self._hello.seen = bytes(18 if profile.ipv6 else 6)
        self._hello.encode()
        check_channels(self.profile, self._channels, now)

    def make_manager(self, profile, own_id, rng, now):
        """Who decides whom to dial and whom to let in."""
        return ConnManager(profile, own_id, rng, now)

    def wake(self):
        """A session has something to send, perhaps from outside of all calls to the swarm: whoever owns the sockets puts in
        the place of this what calls `at` then, and gives the swarm a turn."""

    def at(self, now):
        """It is `now`, for all that happens until the next call."""
        self.now = now
        for reactor in self._reactors:
            reactor.now = now

    def note(self, error):
        """Something of this node failed, for want of memory or by a mistake. Returns the reason for which its peer goes."""
        self.faults += 1
        self.fault = error
        if isinstance(error, MemoryError):
            collect()
        return _MEMORY

    # Sockets

    def accepted(self, ip, port, now):
        """Somebody connected. Returns the Session, or None: close the socket."""
        self.at(now)
        if self.is_closing or not self.manager.may_accept(ip):
            return None
        answer = self._door.knock(ip, now)
        if answer < 0:
            return None
        waited = self._at_door
        if answer and waited:
            self._at_door = None
            # Its message 1 opened, and was challenged. Who displaces himself has only recorded one.
            if waited.handshake and waited.handshake.epoch is not None and waited.ip != ip:
                self._door.forgive(waited.ip)
            self._finish(waited, _LOST)
        session = self.make_session(self, ip, port, None)
        session.limit(now, _CLOSING_MS)  # it goes where memory is too short for a handshake
        self.sessions.append(session)
        self._at_door = session
        self._greet(session)
        return session

    def connected(self, session, now):
        """The socket that a DIAL event asked for is connected."""
        self.at(now)
        if session.stage == _CONNECTING and not self._is_given_up(session):
            self._greet(session)

    def lost(self, session, now):
        """The socket could not be connected, failed, or ended."""
        self.at(now)
        self._finish(session, _LOST)

    def received(self, session, n, now):
        """`n` new bytes were read to session.buf[session.fill:]. What a reactor raises comes through: the owner ends the
        session, and with a frame of its own for that each record would cost heap."""
        self.at(now)
        if session.stage == _STARTED or session.stage == _OPEN:
            self.stir(now)
            self._take(session, session.receive(n))
        elif session.stage == _GREETING or session.stage == _PARKED:
            session.handshake.receive(n, now)
            session.fill = session.handshake.fill
            self.is_busy = True

    def _take(self, session, n):
        """Records of a session came, and it said `n` to them."""
        if n > 0:
            return self.offend(session, n)
        if n or session.stage > _OPEN:
            return
        event = session.mux.next_event()
        if session.stage == _STARTED and not (event and event[0] == _GOAWAY):
            self._open(session)
        event = self._pass_on(session, event)
        if session.stage > _OPEN:
            return
        if event:
            return self._finish(session, event[2])
        if self._parked:  # this one lives: a newer session of the same peer is one too many
            self._turn_away(session.id)
        session.touch()

    def _pass_on(self, session, event):
        """Events of a mux become those of the swarm. Returns the one that ends the session, or None."""
        while event and session.stage == _OPEN and event[0] != _GOAWAY:
            if event[1] < _FIRST_STREAM:  # a fixed channel has no other news
                self._by_channel[event[1]].writable(session, event[1])
            else:
                self.events.append((event[0] + STREAM - 1, session, event[1], event[2]))
            event = session.mux.next_event()
        return event

    def to_send(self, session, out, now):
        """Write to `out` what a session has to send now; returns its size, 0 for nothing."""
        n = session.to_send(out, now)
        if n:
            self.stir(now)
        if not n and session.stage == _CLOSING:
            self.at(now)
            self._finish(session, session.reason)
        elif session.stage == _OPEN:
            self._pass_on(session, session.mux.next_event())  # who waited for room has it now
        if not n and session.due(now) > 0:
            session.touch()  # the rest waits for more to go with it
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
            if due == 0 and session.stage != _OVER:
                return session
        return None

    def next_event(self):
        """The next event, or None."""
        return self.events.pop(0) if self.events else None

    # Time

    def next_time(self, now):
        """Ticks when `tick` is due."""
        due = self.manager.next_time(now)
        if self._discovery.upkeep.found:
            self.stir(now)
        if (self.sessions or self._resting) and ticks_diff(self._scan_at, due) < 0:
            due = self._scan_at
        for reactor in self._reactors:
            at = None if reactor in self._resting else reactor.next_time()
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
            self._scan_at = ticks_add(now, _SCAN_MS)  # in any case: a full heap may have no room for this look
            self._scan(now)
        if ticks_diff(now, self._call_at) >= 0:
            self._call(now)
        self.manager.tick(now)
        while not self.is_closing:
            link = self.manager.next_dial(now)
            if link is None:
                break
            try:
                self._dial(link)
            except MemoryError:
                if not (self.sessions and self.sessions[-1].link is link):  # as if it was not begun
                    link.state = _DISCONNECTED
                    link.at = now
                raise
        for reactor in self._reactors:
            if reactor not in self._resting:
                try:
                    at = reactor.next_time()
                    if at is not None and ticks_diff(now, at) >= 0:
                        reactor.tick(now)
                except Exception as error:
                    self._rest(reactor, error)

    def _dial(self, link):
        """A link of the manager is to be dialed now."""
        session = self.make_session(self, link.ip, link.port, link)
        if self.book and link.id:
            self.book.attempt(link.id, self._discovery.uptime)
        session.limit(self.now, _CONNECT_NEAR_MS if self._discovery.site.is_onlink(link.ip) else _CONNECT_MS)
        self.sessions.append(session)
        self.events.append((DIAL, session))

    def _scan(self, now):
        """Look at all sessions."""
        self._resting = []
        self._tell_again()
        for session in list(self.sessions):
            self._look_after(session, now)
        if self.cut_off or self._discovery.upkeep.found:
            from .missed import look_for  # not before a session was cut off

            look_for(self, self._discovery.upkeep)
        self._scan_at = ticks_add(now, self._calm_ms(now))

    def _tell_again(self):
        """Reactors that lacked memory hear of an end now, or at the next look."""
        while self._untold:
            try:
                self._untold[0].remove_peer(self._untold[1], self._untold[1].reason)
            except MemoryError:
                break
            except Exception as error:
                self.note(error)
            self._untold.pop(0)
            self._untold.pop(0)

    def _calm_ms(self, now):
        """How long no session needs a look, as whole seconds: of a node that sleeps, the looks at all sessions are one."""
        calm = _CALL_MS
        for session in self.sessions:
            if session.buf or session.deadline is not None or session.stage != _OPEN:
                return _SCAN_MS
            calm = min(calm, session.mux.calm_ms(now) + _SCAN_MS - 1)
        for anchor in self._discovery.anchors:
            if anchor.is_missing and not anchor.left:  # it gets a visit
                calm = min(calm, max(0, ticks_diff(self._call_at, now)) + _SCAN_MS - 1)
        return max(1, calm // _SCAN_MS) * _SCAN_MS

    def stir(self, now):
        """A session may need a look in a second. The rhythm of the looks stays as it is."""
        wait = ticks_diff(self._scan_at, now)
        if wait > _SCAN_MS:
            self._scan_at = ticks_add(now, (wait - 1) % _SCAN_MS + 1)

    def _call(self, now):
        """Visit bootstrap nodes that answer no datagrams, as when the network key changed meanwhile. Not as candidates: with
        others who slept this node may have all the links that it wants."""
        wait = _CALL_MS
        for anchor in self._discovery.anchors:
            if anchor.is_missing and not anchor.left:
                self.manager.want(anchor.id, anchor.ip, anchor.port, now, 0)
                wait = min(2 * self._call_ms, _CALL_MAX_MS)
        self._call_ms = wait
        self._call_at = ticks_add(now, wait)

    def _rest(self, reactor, error):
        """A reactor raised in its own business. What it left undone would be due at once, again and again."""
        self.note(error)
        self._resting.append(reactor)
        self.stir(self.now)
        if isinstance(error, MemoryError):
            self.trim(self.now)

    def _look_after(self, session, now):
        """A second of one session has passed."""
        if self._is_given_up(session):
            return
        if session.stage == _STARTED or session.stage == _OPEN:
            reason = session.mux.tick(now)
            if session.due(now) >= 0:
                session.touch()
            if not session.fill and session.mux.is_quiet(now):
                session.buf = b""
            self._weigh(session)
            if reason:
                return self.end(session, reason)
        if not session.is_overdue(now):
            return
        if session.stage == _CLOSING and session.mux and session.mux.hush():
            session.limit(now, _CLOSING_MS)
            session.touch()
        elif session.stage == _PARKED and session.id in self.peers:  # the older session said nothing: this one is the peer's
            self.end(self.peers[session.id], _SILENT)
        elif session.stage == _STARTED or session.stage == _OPEN:
            self.end(session, _SLOW)
        else:
            self._finish(session, _SLOW)

    def _is_given_up(self, session):
        """Whether a dial was cancelled; then it ends here (row B5)."""
        if session.stage >= _STARTED or not session.is_outbound or session.link.state != _CANCELED:
            return False
        self._finish(session, _BYE)
        return True

    # Whom to dial

    def _pick(self, now, below):
        """Somebody to dial: of the address book, or a live node of the table; or, where `below` is not 0, the live node
        with the greatest id whose head is less than that, which is no leaf. (id, ip, TCP port), or None."""
        draw = self.rng(1)[0]
        if self.book and not below and draw & 1:
            percent = _NEW_PERCENT
            for link in self.manager.links:
                percent += _NEW_PERCENT * (link.is_outbound and link.state == _ESTABLISHED)
            found = self.book.pick(min(percent, _NEW_MOST), self._discovery.uptime)
            if found:
                return found
        table = self._discovery.table
        pool = table.pool
        mask, leaf = (0, _LEAF) if below else (head(self.rng(3), 0), 0)
        best = greatest = -1
        for record in range(0, len(pool), table.step):
            if pool[record + _STATE] & _LIVE == _ENTRY and pool[record + _FLAGS] & leaf == 0:  # most places are empty
                rank = head(pool, record)
                if not below or rank < below:
                    rank ^= mask
                    if rank > greatest and u16(pool, record + _TCP) and table.is_live(record):
                        if self.find(pool, record) is None:
                            best = record
                            greatest = rank
        return None if best < 0 else (bytes(pool[best : best + 32]), table.ip(best), u16(pool, best + _TCP))

    def find(self, buf, at):
        """The session whose peer has the id buf[at:at+32], or None."""
        for session in self.sessions:
            if session.id and same(buf, at, session.id, 0, 32):
                return session
        return None

    # Handshakes

    def _greet(self, session):
        keys = self.membership
        link = session.link
        dialed_id = None
        if link:
            dialed_id = link.id
            # Who lacks the higher key answers as if another one was served.
            keys = keys.lower if keys.lower and self.manager.unanswered(link) & 1 else keys.highest
        hello = self._hello
        hello.seen = bytes(session.ip) + bytes((session.port >> 8, session.port & 0xFF))
        session.handshake = handshake = Handshake(
            self._identity, keys, self.rng, hello.encode(), session.is_outbound, self._reception, dialed_id, self.now
        )
        handshake.purpose = link.purpose if link else 0
        session.buf = handshake.buf
        session.deadline = handshake.deadline
        session.stage = _GREETING
        session.touch()
        self.is_busy = True

    def work(self, now):
        """One slice of public-key work, of one handshake at a time, inbound ones first. True: there is more."""
        self.at(now)
        chosen = None
        for session in self.sessions:
            if session.stage == _GREETING and session.handshake.has_work:
                if session.is_outbound:
                    chosen = chosen or session
                elif session is self._greeted or not session.handshake.stage:
                    chosen = session
                    break
        self.is_busy = True
        try:
            if chosen:
                self._work_on(chosen)
            elif not self._work_of_reactors():
                self.is_busy = False
        except Exception as error:
            reason = self.note(error)
            if chosen:
                self._finish(chosen, reason)
        return self.is_busy

    def prepare(self):
        """One slice of work for the next handshake, where `work` has nothing to do, and none is under way, whose next
        message it would keep waiting. True: there is more."""
        if not self.is_ahead:
            return False
        for session in self.sessions:
            if session.stage == _GREETING:
                return False
        try:
            return self._reception.prepare(self.rng)
        except MemoryError:  # a handshake makes do without
            return False

    def _work_of_reactors(self):
        for reactor in self._reactors:
            try:
                if reactor not in self._resting and reactor.work():
                    return True
            except Exception as error:
                self._rest(reactor, error)
        return False

    def _work_on(self, session):
        handshake = session.handshake
        if session is self._at_door:
            self._reception.is_full = self.manager.crowd(session.ip, self.now)
        handshake.work()
        session.fill = handshake.fill
        session.deadline = handshake.deadline
        if not handshake.has_work:  # before that it has nothing to send
            session.touch()
        # A message 1 that opened is let in, or at least keeps nobody waiting before the door.
        if session is self._at_door and (handshake.stage == _OPENED or handshake.reason == _BUSY):
            session.limit(self.now, _TURN_MS)
            if self._door.opened(self._greeted is None):
                self._let_in()
        if handshake.stage == _FAILED:
            self._finish(session, handshake.reason)
        elif handshake.stage == _DONE:
            self._prove(session)

    def _let_in(self):
        """The session at the door is the one whose handshake is at work now."""
        self._greeted = session = self._at_door
        self._at_door = None
        session.handshake.deadline = session.deadline = ticks_add(self.now, _ANSWERS_MS)
        self.is_busy = True

    def _leave_door(self, session):
        """The handshake of an inbound session came to its end, or its socket did before."""
        if session is self._at_door:
            self._door.left(self.now)
            self._at_door = None
        elif session is self._greeted:
            self._greeted = None
            if self._door.finished():
                self._let_in()

    def _prove(self, session):
        """The handshake is done: who it is, is known."""
        handshake = session.handshake
        session.id = handshake.peer_id
        session.hello = hello = handshake.hello
        if handshake.epoch:
            session.epoch = handshake.epoch
        reason = handshake.reason
        if not reason:
            reactors = []
            for channel in hello.channels:
                reactor = self._by_channel.get(channel)
                if reactor and reactor not in reactors:
                    reactors.append(reactor)
            if not reactors:
                reason = _USELESS
            # Most peers are like this node: what is the same is there once.
            session.reactors = self._reactors if len(reactors) == len(self._reactors) else reactors
            if hello.channels == self._hello.channels:
                hello.channels = self._hello.channels
            hello.seen = b""
            reason = self.membership.refusal(session) or reason
        if not session.is_outbound:
            self._leave_door(session)
            session.link = Link(session.id, session.ip, hello.port if hello and session.port else 0, False)
            session.link.purpose = handshake.purpose
        if not reason:
            return self._admit(session)
        if session.is_outbound:
            self.manager.failed(session.link, reason, self.now)
        session.end(reason, self.now, _CLOSING_MS)

    def _admit(self, session):
        """Let a proven session in, or say why not."""
        manager = self.manager
        reason = manager.established(session.link, session.id, self.now)
        rival = manager.rival
        if reason == _KEEP or reason == _ASK_OLD:  # of all that wait, the last one counts
            self._turn_away(session.id)
        if reason == _ASK_OLD:
            session.stage = _PARKED
            session.limit(self.now, _PARKED_MS)
            self._parked.append(session)
            old = self.peers[session.id]
            old.mux.ping()
            return old.touch()
        if reason != _KEEP:
            return session.end(reason, self.now, _CLOSING_MS)
        if rival:
            for other in self.sessions:
                if other.link is rival:
                    self.end(other, manager.rival_reason)
                    break
        session.start(self.profile, self._channels, self.now)
        session.touch()
        session.stage = _STARTED
        session.limit(self.now, _FIRST_MS)
        self.peers[session.id] = session
        self._tell(session, _INIT, 0)
        if session.fill and session.stage == _STARTED:
            self._take(session, session.receive(0))

    def _turn_away(self, id32):
        """The newer sessions of a peer that wait whether the older one lives are one too many."""
        for session in list(self._parked):
            if session.id == id32:
                self.manager.failed(session.link, _DUPLICATE, self.now)  # first: on a leaf it may be to be loaded
                self._parked.remove(session)
                session.end(_DUPLICATE, self.now, _CLOSING_MS)

    # The end of sessions

    def end(self, session, reason=_BYE):
        """Close a session; the peer is told why, where it can be."""
        reason &= 0xFF  # as much as it would hear
        if session is self._told:
            self._ending = reason
        elif session.stage == _STARTED or session.stage == _OPEN:
            self._part(session, reason)
            session.end(reason, self.now, _CLOSING_MS)
        elif session.stage != _CLOSING:
            self._finish(session, reason)

    def close(self, now):
        """Say goodbye to all peers, and take no more."""
        self.at(now)
        self.is_closing = True
        for session in list(self.sessions):
            self.end(session, _BYE)

    def end_epoch(self, epoch, now):
        """A network key went: so do the sessions that were made under it."""
        self.at(now)
        for session in list(self.peers.values()):
            if session.epoch == epoch:
                self.end(session, _EPOCH)

    def trim(self, now):
        """Memory is short: let go of the session that is worth least (row L17). False: there is none."""
        self.at(now)
        link = self.manager.worst(now, True)
        for session in self.peers.values():
            if session.link is link:
                self.end(session, _TRIMMED)
                return True
        return False

    def _part(self, session, reason):
        """Nobody knows this session any more: reactors first, the set of peers last (row T3)."""
        if self.peers.get(session.id) is not session:
            return
        if session.stage <= _OPEN:
            session.limit(self.now, _CLOSING_MS)  # what lacks memory from here on is done again by then
            if session.stage == _OPEN:
                self.events.append((CLOSED, session, reason))
                if reason == _SILENT or reason == _LOST:
                    self.cut_off = session.link
            session.stage = _CLOSING
            session.reason = reason
            self._tell(session, _REMOVE, reason)
        self.manager.closed(session.link, session.reason, self.now)
        del self.peers[session.id]
        for parked in list(self._parked):
            if parked.id == session.id:
                self._parked.remove(parked)
                if self.is_closing:
                    self._finish(parked, reason)
                    continue
                try:
                    self._admit(parked)
                except Exception as error:
                    self._finish(parked, self.note(error))

    def _finish(self, session, reason):
        """The socket of a session goes; the first call counts. One that memory did not suffice for is made good by the next
        one: the session is in the list until all is done."""
        if session not in self.sessions:
            return
        self._part(session, reason)
        if session.stage < _CLOSING:
            session.reason = reason
        link = session.link
        handshake = session.handshake
        if session.stage < _CLOSING and link in self.manager.links:
            if link.state == _ESTABLISHED:  # but for want of memory it would be a peer by now
                self.manager.closed(link, reason, self.now)
            else:
                # Not a word after message 1: another one was served, or the keys differ.
                is_unanswered = handshake and handshake.stage == 0 and reason == _LOST
                self.manager.failed(link, _NO_ANSWER if is_unanswered else reason, self.now)
                if link in self.manager.links:  # it is dialed again, for who waits
                    reason = link.reason  # what that comes to
                if self.book and link.id and link.port and (reason == _LOST or reason == _SLOW):
                    self.book.failed(link.id)
        session.stage = _OVER
        session.handshake = None
        if session in self._parked:
            self._parked.remove(session)
        self._leave_door(session)
        self.events.append((HANG_UP, session))
        self.sessions.remove(session)

    # Messages

    def deliver(self, session, channel, view):
        """A message came in. What its reactor says of it may cost the session."""
        if session.stage <= _OPEN:
            reactor = self._by_channel[channel]
            reason = reactor.receive(session, channel, view) if reactor in session.reactors else 0
            if reason:
                self.offend(session, reason)
            elif self.book and session.link.useful >= 0 and session.stage == _OPEN:
                session.link.useful += 1
                self._weigh(session)
            if reactor.is_busy:
                self.is_busy = True

    def _weigh(self, session, more=0):
        """Tell the address book of a peer once it has been of use, by its messages, with `more` that are not counted yet, or
        by its time (row T37). Of one through a gateway nobody has seen the address."""
        link = session.link
        if not self.book or link.useful < 0:
            return
        if link.useful + more >= _USEFUL or ticks_diff(self.now, link.at) >= _USEFUL_MS:
            link.useful = -1
            if session.port:
                self.book.good(session.id, self._discovery.uptime)

    def offend(self, session, reason):
        """A peer broke a rule: it loses its session, and is not heard for a while where that happens again."""
        if session.stage > _OPEN:
            return
        if session.port or reason != _FORGED:  # or the gateway between us may have done it
            self.manager.score(session.id, session.ip, offence(reason))
            if self.book and self.manager.is_banned(session.id, session.ip):
                self.book.bad(session.id)  # nor is it named to others
        if reason == _FORGED:  # nothing can be said to who speaks for it
            self._finish(session, reason)
        else:
            self.end(session, reason)

    def _open(self, session):
        """The peer has taken the session up."""
        self.events.append((OPENED, session))
        session.stage = _OPEN
        if self.book and session.port:
            session.link.useful = 0  # a permanent one may have been of use before
            hello = session.hello
            port = session.port if session.is_outbound else hello.port
            self.book.connected(hello.capabilities & 0x0E, session.id, session.ip, 0, port)
        self._tell(session, _ADD, 0)

    def _tell(self, session, what, reason):
        """Each reactor hears of a session, whatever becomes of the others; where one of them raises or closes it, it ends
        when all have heard."""
        told, self._told = self._told, session
        ending, self._ending = self._ending, -1
        for reactor in session.reactors:
            try:
                if what == _INIT:
                    reactor.init_peer(session)
                elif what == _ADD:
                    reactor.add_peer(session)
                else:
                    reactor.remove_peer(session, reason)
            except Exception as error:
                self._ending = self.note(error)
                if what == _REMOVE and isinstance(error, MemoryError) and len(self._untold) < _UNTOLD:
                    self._untold.append(reactor)
                    self._untold.append(session)
        reason = self._ending
        self._told = told
        self._ending = ending
        if reason >= 0 and what != _REMOVE:
            self.end(session, reason)
