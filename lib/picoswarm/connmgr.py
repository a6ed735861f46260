"""The connection manager: whom to dial and when, whom to let in, whom to let go (docs/protocol.md 6; rows B1-B9, B23-B27,
L3-L19, T19-T27). Pure policy: it knows no sockets and no sessions; the owner has those and tells what happens.

A `Link` is one connection, wished, dialed or established. Its `state`:

    0 disconnected  waits until it is due: a wish not dialed yet, or a permanent one that was closed
    1 failing       the dial failed; a permanent one waits and is dialed again, another one is forgotten
    2 canceled      given up while it was dialed: a socket still, until `established` (which says: close it) or `failed`
    3 pending       being dialed: `next_dial` registers it before anybody opens a socket
    4 established   in use

    add(id or None, ip, port, now)  a permanent peer: the link to it is dialed for ever. `remove(link)` undoes it
    want(id, ip, port, now, callers=1)  one that somebody waits for, dialed before candidates, and again where it was busy,
                                    or with 0 callers once, for which nobody waits. Who
                                    wants what others do joins in. One that is not in `links` (any more) cannot be had
                                    now, see `reason`. `cancel(link)` undoes it
    next_dial(now)                  the link to dial now, or None; `tick` and `next_dial` have to do at `next_time(now)`
    pick, allow, in_use             set by the owner: pick(now, below) -> a candidate (id, ip, port) or None: anyone where
                                    `below` is 0, else the one with the greatest head(id) less than that, no leaf;
                                    allow("dial", "accept" or "secured", id or None, ip) -> bool, or None;
                                    in_use(link) -> whether somebody uses it now, or None
    may_accept(ip)                  whether an inbound socket may stay at all
    may_enter(ip, is_visit, now)    whether there is a place for whoever sent a message 1 that opened (else: close);
                                    crowd(ip, now): for which purposes there is none, a bit each
    established(link, id, now)      the session is proven; an inbound one comes as Link(id, ip, listen port, False).
                                    -1: kept. `rival` and `rival_reason` are those of this call: a link to close first, or
                                    None.
                                    -2: ping the session of `rival`, for 2 s. If it answers: failed(link, 6, now). Else
                                    close it, tell `closed`, and ask `established` again.
                                    Else the reason to close the new session for; it is forgotten.
    failed(link, reason, now)       the dial or handshake ended. -1: the socket closed after message 1, without an answer
    closed(link, reason, now)       an established link ended. To be told before a link that replaces it is announced
    unanswered(link)                how many of those -1 there were in a row, 0 to 2
    score(id, ip, points)           a peer broke a rule; True: it is banned from now on. `offence(reason)` gives points
    values                          set by the owner: what a peer is worth, by id: 0-100, and 128 more where it is protected
    fits(link, is_outbound, is_wish, now)  whether there is a place for one more link, as `established` would say. For an
                                    outbound one, no wish: 1 there is, 2 any place may be taken for a way down, 3 both
    worst(now, is_forced, is_visit) the link to let go when there are too many, or the memory is short; or None
    links, ends                     all of them; how many ended, by reason

So whoever was announced to reactors after -1 is taken back after `closed`, once each.
"""

from .address import group, is_open_port, scope
from .compat import const, ticks_add, ticks_diff
from .wire import copy, same, u16

_DISCONNECTED = const(0)
_FAILING = const(1)
_CANCELED = const(2)
_PENDING = const(3)
_ESTABLISHED = const(4)

_KEEP = const(-1)
_ASK_OLD = const(-2)
_NO_ANSWER = const(-1)

# Reasons (reasons.py)
_BYE = const(0)
_BUSY = const(1)
_SELF = const(4)
_USELESS = const(5)
_DUPLICATE = const(6)
_WRONG_ID = const(7)
_BANNED = const(8)
_MEMORY = const(16)
_TRIMMED = const(17)
_GATED = const(18)
_SLOW = const(19)
_LOST = const(20)
_REASONS = const(24)
_FULL = const(0x20002)  # busy, trimmed
_LASTING = const(0x401AC)  # incompatible, downgrade, useless, wrong_id, banned, gated: will be so in an hour, too
# Points by reason, from `malformed` on, for what only a peer that breaks the rules does (row B27).
_POINTS = b"\x32\x32\x64\x32\x32\0\0\0\0\0\x14"
_FIRST_OFFENCE = const(11)

_GLOBAL = const(3)  # see address.scope

_START_MS = const(3000)  # at random before each dial (row T21) that nobody waits for
_NOBODY_MS = const(10000)  # before candidates are looked for again
_ALONE_MS = const(1000)  # and by who has no link
_REFUSALS = const(3)  # dials in a row that find no place, until each doubles the wait
_DOUBLINGS = const(3)
_BACK_OFF_S = const(5)
_TRIES_MAX = const(18)  # 5 + 18 * 18 s is beyond the longest wait
_BACK_OFF_MAX_S = const(300)
_BRAKE = const(8)  # failures in a row (row B4)
_BRAKE_MS = const(30000)
_DRAWS = const(16)  # of candidates at a time; the first half only from networks without a link (row B23)
_DRAWS_AT_ONCE = const(2)  # the others in the next turns
_MINUTE_MS = const(60000)  # a link that lived so long has succeeded; before, it is not trimmed
_VISIT_MS = const(2000)  # and a visit
_AGAIN_MS = const(250)  # before who waits tries again
_YOUNG_MS = const(10000)
_PROTECTED = const(128)
_DAY_MS = const(86400000)  # ages beyond are not told apart
_SELVES = const(4)

# What a link is for. The ways down join a mesh to one piece: they lead from every node to the one with the smallest id.
_VISIT = const(1)  # somebody, here or there, waited for it
_DOWN = const(2)  # who dialed it had no link to a node with a smaller id, or none at all

_NO_ANSWERS = const(3)

# A note on a node: id 8 | IP 8 (zeros: none) | ban 1 and rest 1 (minutes left) | score 1 | handshakes without an answer 1
_NOTES = const(16)
_NOTE = const(20)
_IP = const(8)
_BAN = const(16)
_REST = const(17)  # no new dial
_SCORE = const(18)
_UNANSWERED = const(19)
_BAN_SCORE = const(100)
_HOUR = const(61)  # the first minute is not a whole one
_BUSY_MIN = const(6)
_REDIAL_MIN = const(2)


def duplicate(own_id, peer_id, old_is_outbound, old_ms, new_is_outbound):
    """Of two sessions with one peer, the older `old_ms` old: -1 the new one stays, 6 the old one, -2 the old one if it
    answers a PING within 2 s. Both ends come to the same result."""
    if old_is_outbound == new_is_outbound:
        return _KEEP
    if old_ms >= _YOUNG_MS:
        return _ASK_OLD
    return _KEEP if new_is_outbound == (own_id < peer_id) else _DUPLICATE


def head(buf, at):
    """The first 24 bits of an id, by which nodes below are told from others; one more, so that it is never 0."""
    return (u16(buf, at) << 8 | buf[at + 2]) + 1


def host_key(ip):
    """8 bytes that stand for who has an address: of IPv6 the /64. (A leaf has more of address.py in memory than of this.)"""
    return (ip + bytes(4))[:8]


def offence(reason):
    """Points, at most 100, for a peer whose session had to be closed for `reason`."""
    reason -= _FIRST_OFFENCE
    return _POINTS[reason] if 0 <= reason < len(_POINTS) else 0


class Link:
    """One connection. `id` 32 bytes or None, `ip` unwrapped, `port` the TCP port that the peer listens at; `reason`: why
    it ended; `is_permanent` 0, 1, or 2: given by its address alone; `purpose` 0, 1: a visit, or 2: a way down. One through
    a gateway has an address that is none, 0.x.y.z with the first bytes of the peer's id, and port 0."""

    # What most links keep as it is takes no memory of theirs.
    purpose = is_permanent = reason = tries = callers = 0
    useful = 0  # messages that came by it, until the address book was told; -1: it was

    def __init__(self, id32, ip, port, is_outbound):
        self.id = id32
        self.ip = ip
        self.port = port
        self.is_outbound = is_outbound
        self.state = _DISCONNECTED
        self.at = 0  # ticks: when it is dialed next; when it was established


class ConnManager:
    """See the module."""

    def __init__(self, profile, own_id, rng, now):
        self.allow = None
        self._id = own_id
        self._rng = rng
        self._dials = profile.dials
        self._links = left = profile.links
        self._inbound = min(profile.inbound, left - 1)
        left -= self._inbound
        self._reserved = min(profile.reserved, left - 1)
        self._outbound = min(profile.outbound, left)
        self._minute = ticks_add(now, _MINUTE_MS)
        self._pick_at = self._soon(now)
        self._brake = now
        self._failures = 0  # in a row
        self._refused = 0  # dials in a row that found no place
        self._was_below = False  # the last candidates were those with smaller ids
        # Of candidates: how many there were, for what, and below which head.
        self._draw = self._drawn_for = self._drawn_below = 0
        self._notes = bytearray(_NOTE * _NOTES)
        self._selves = []  # (ip, port) that turned out to be this node
        self.links = []
        self.pick = self.in_use = self.rival = None
        self.values = {}
        self.rival_reason = 0
        self.apart = 0  # established inbound links that its owner keeps elsewhere
        self.ends = [0] * _REASONS

    # Time

    def _soon(self, now):
        return ticks_add(now, self._rng(1)[0] * _START_MS >> 8)

    def tick(self, now):
        """Each minute bans and scores decay, and times of long ago come nearer: ticks tell six days only."""
        while ticks_diff(now, self._minute) >= 0:
            self._age(now)
            self._minute = ticks_add(self._minute, _MINUTE_MS)

    def _age(self, now):
        """A minute has passed."""
        notes = self._notes
        for at in range(_BAN, len(notes), _NOTE):
            notes[at] -= notes[at] > 0
            notes[at + 1] -= notes[at + 1] > 0
            notes[at + 2] >>= 1
        for link in self.links:
            if link.state == _ESTABLISHED and ticks_diff(now, link.at) > _DAY_MS:
                link.at = ticks_add(now, -_DAY_MS)
        if ticks_diff(now, self._pick_at) > 0:
            self._pick_at = now
        if self._failures >= _BRAKE and ticks_diff(now, self._brake) > 0:
            self._failures = _BRAKE - 1

    def next_time(self, now):
        """See the module."""
        best = self._minute
        if not self._is_free():
            return best
        for link in self.links:
            if link.state <= _FAILING and ticks_diff(link.at, best) < 0:
                best = link.at
        if self.pick and ticks_diff(self._pick_at, best) < 0 and self.fits(None, True, False, now):
            best = self._pick_at
        if self._failures >= _BRAKE and ticks_diff(self._brake, best) > 0:
            best = self._brake
        return best

    # Dialing

    def _is_free(self):
        """Whether one more dial may run."""
        dials = 0
        for link in self.links:
            dials += link.state in (_CANCELED, _PENDING)
        return dials < self._dials

    def _find(self, id32, ip, port):
        """The link to an id, or to an address: one that is established before one that is not; or None."""
        found = None
        for link in self.links:
            if link.state != _CANCELED and (link.id == id32 if id32 else link.ip == ip and link.port == port):
                if found is None or link.state == _ESTABLISHED:
                    found = link
        return found

    def add(self, id32, ip, port, now):
        """See the module."""
        link = self._find(id32, ip, port)
        if link and not (link.is_outbound and link.port):
            link.is_permanent = 1  # it came by itself, or through a gateway; the wish is another link
            link = None
        if link is None:
            link = Link(id32, ip, port, True)
            link.at = self._soon(now)
            self.links.append(link)
        link.is_permanent = 1 if id32 else 2
        return link

    def want(self, id32, ip, port, now, callers=1):
        """See the module."""
        link = self._find(id32, ip, port)
        if link is None:
            link = Link(id32, ip, port, True)
            link.reason = self._refusal(link, 0)
            if link.reason:
                link.state = _FAILING
                return link
            self.links.append(link)
        if link.state <= _FAILING and not link.callers:
            link.at = ticks_add(now, self._rng(1)[0]) if callers else self._soon(now)
            link.purpose = _VISIT
        link.callers += callers
        return link

    def cancel(self, link):
        """See the module. A link in use, or wished by others, stays."""
        link.callers -= link.callers > 0  # it may have ended meanwhile, and none is counted
        if link.callers or link.is_permanent or link not in self.links:
            return
        if link.state == _PENDING:
            link.state = _CANCELED
        elif link.state <= _FAILING:
            self.links.remove(link)

    def remove(self, link):
        """See the module. A link in use stays until it is closed."""
        link.is_permanent = 0
        link.callers += 1  # who kept it was none
        self.cancel(link)

    def _refusal(self, link, draw):
        """The reason not to dial this link, or 0. `draw`: 0 for a wish, else which candidate it is."""
        id32 = link.id
        ip = link.ip
        kind = scope(ip)
        if id32 == self._id or (ip, link.port) in self._selves:
            return _SELF
        if not (kind and is_open_port(link.port)):
            return _USELESS
        for other in self.links:
            if other is not link and (draw or other.state >= _PENDING and scope(other.ip)):
                if id32 and other.id == id32 or other.ip == ip and other.port == link.port:
                    return _DUPLICATE
                if draw and kind == _GLOBAL:
                    if other.ip == ip or (draw <= _DRAWS // 2 and other.is_outbound and group(other.ip) == group(ip)):
                        return _DUPLICATE
        if self.is_banned(id32, ip):
            return _BANNED
        note = self._find_note(id32, ip) if draw else -1
        rest = note >= 0 and self._notes[note + _REST]
        if rest and (link.purpose != _DOWN or rest <= _REDIAL_MIN or rest > _BUSY_MIN):
            return _BUSY
        return 0 if self.allow is None or self.allow("dial", id32, ip) else _GATED

    def next_dial(self, now):
        """See the module."""
        if not self._is_free() or (self._failures >= _BRAKE and ticks_diff(now, self._brake) < 0):
            return None
        for link in self.links:
            if link.state <= _FAILING and ticks_diff(now, link.at) >= 0 and self._may_go(link, now):
                return link
        if not self.pick or ticks_diff(now, self._pick_at) < 0:
            return None
        fits = self.fits(None, True, False, now)
        return self._draw_one(fits, now) if fits else None

    def _may_go(self, link, now):
        """Dial a link that is due, or let it wait again."""
        if not self._refusal(link, 0) and self.fits(link, True, True, now):
            link.state = _PENDING
            return True
        link.at = ticks_add(now, _AGAIN_MS if link.callers else _MINUTE_MS)
        return False

    def _draw_one(self, fits, now):
        """A link to somebody for the place that `fits` says there is, or None."""
        is_alone = not (self.links or self.apart)
        if not self._draw or fits != self._drawn_for:
            # One after the other, or those below who take nobody would keep all others from being dialed.
            self._was_below = fits >= _DOWN and (fits == _DOWN or not self._was_below)
            self._drawn_below = self._was_below and head(self._id, 0)
            self._drawn_for = fits
            self._draw = 0
        done = self._draw
        self._draw = 0
        self._pick_at = self._soon(ticks_add(now, _ALONE_MS if is_alone else _NOBODY_MS))
        for draw in range(done + 1, done + _DRAWS_AT_ONCE + 1):
            below = self._drawn_below
            found = self.pick(now, below)
            if below and not found and fits > _DOWN:  # nobody below will do
                below = 0
                found = self.pick(now, 0)
            if not found:
                return None
            link = Link(found[0], found[1], found[2], True)
            if link.id and (below or is_alone and self._links > 1):
                link.purpose = _DOWN
            self._drawn_below = below = below and head(link.id, 0)
            if not self._refusal(link, _DRAWS if below else draw) and (not below or self.fits(link, True, True, now)):
                self._pick_at = self._soon(now)
                link.callers = 1
                link.state = _PENDING
                self.links.append(link)
                return link
        done += _DRAWS_AT_ONCE
        if done < _DRAWS:  # a look through the table takes a board 2 ms
            self._draw = done
            self._pick_at = ticks_add(now, 1)
        return None

    def failed(self, link, reason, now):
        """See the module. What the other side refused, and what was cancelled, is no failure."""
        is_busy = reason == _NO_ANSWER or reason == _BUSY
        note = -1
        if reason == _NO_ANSWER:
            reason = _BUSY
            note = self._note(link.id, link.ip)
            self._notes[note + _UNANSWERED] += 1
            if self._notes[note + _UNANSWERED] >= _NO_ANSWERS:
                self._notes[note + _UNANSWERED] = 0
                reason = _LOST
        if reason == _SELF and not link.is_permanent:  # who leads our own words back to us takes no permanent peer away
            self._selves = (self._selves + [(link.ip, link.port)])[-_SELVES:]
        elif reason == _WRONG_ID and link.is_permanent == 2:
            link.id = None  # another board stands there now
        elif link.is_outbound and link.state == _PENDING and (reason == _LOST or reason == _SLOW):
            if link.purpose != _DOWN or len(self.links) + self.apart < 2:  # who has others is not cut off by this one
                self._failures = min(self._failures + 1, _BRAKE)
                self._brake = ticks_add(now, _BRAKE_MS)
        callers = link.callers
        self._end(link, _FAILING, reason, now)
        if _FULL >> reason & 1 and link.is_outbound and link.purpose != _VISIT and not link.is_permanent:
            if self._refused >= _REFUSALS:
                self._pick_at = ticks_add(self._pick_at, _NOBODY_MS << self._refused - _REFUSALS)
            self._refused = min(self._refused + 1, _REFUSALS + _DOUBLINGS)
        if note >= 0 and (reason == _LOST or link.purpose == _DOWN):
            # Its door was taken, for some seconds or against this address.
            self._notes[note + _REST] = reason == _LOST
            self._pick_at = ticks_add(self._pick_at, self._notes[note + _UNANSWERED] << 11)
        if link.purpose == _DOWN:
            if reason != _BUSY and (self.links or self.apart):
                self._pick_at = ticks_add(self._pick_at, _NOBODY_MS)
        elif is_busy and link.purpose and callers:  # somebody waits: there may be a place soon
            link.callers = callers
            link.state = _DISCONNECTED
            link.at = ticks_add(now, _AGAIN_MS + 4 * self._rng(1)[0])
            if link not in self.links:
                self.links.append(link)

    def unanswered(self, link):
        """How many handshakes in a row, 0 to 2, this peer has left without an answer."""
        note = self._find_note(link.id, link.ip)
        return self._notes[note + _UNANSWERED] if note >= 0 else 0

    def _end(self, link, state, reason, now):
        if reason >= _REASONS:
            reason = _BYE  # of a later version
        self._draw = 0  # candidates are for the places that there were
        self.ends[reason] += 1
        is_dropped = link.state == _CANCELED or not (link.is_permanent and link.is_outbound and link.port)
        link.reason = reason
        link.state = state
        link.callers = 0
        if link.is_outbound:
            self._pick_at = self._soon(now)
            rest = _HOUR if _LASTING >> reason & 1 else _BUSY_MIN
            if reason == _LOST or reason == _MEMORY or link.purpose == _DOWN and rest == _BUSY_MIN:
                rest = _REDIAL_MIN - (_FULL >> reason & 1)
            has_gone = link is self.rival or reason == _BUSY and not state and ticks_diff(now, link.at) >= _YOUNG_MS
            if reason == _DUPLICATE or has_gone and link.purpose == _DOWN:
                rest = 0  # it made room, here or there
            note = self._note(link.id, link.ip) + _REST
            if self._notes[note] < rest or self._notes[note] <= _BUSY_MIN:
                self._notes[note] = rest
        if not is_dropped:
            wait = min(_BACK_OFF_MAX_S, _BACK_OFF_S + link.tries * link.tries) * 1000 >> 8
            link.tries = min(link.tries + 1, _TRIES_MAX)
            # A quarter more or less, and the random start of every dial.
            link.at = self._soon(ticks_add(now, wait * (192 + (self._rng(1)[0] >> 1))))
            return
        if link in self.links:
            self.links.remove(link)
        for other in self.links:
            if link.id and other.id == link.id and other.state != _ESTABLISHED:
                other.at = self._soon(now)  # a permanent peer that had come by itself

    # Established links

    def may_accept(self, ip):
        """See the module."""
        return not self.is_banned(None, ip) and (self.allow is None or self.allow("accept", None, ip))

    def may_enter(self, ip, is_visit=False, now=0):
        """See the module. A permanent peer that is missing may be at the door, or one that rebooted."""
        for link in self.links:
            if link.is_permanent and link.state != _ESTABLISHED or link.state == _ESTABLISHED and link.ip == ip:
                return True
        return self.fits(None, False, is_visit, now)

    def crowd(self, ip, now):
        """See the module."""
        if self.may_enter(ip):
            return 0
        return 1 | (not self.may_enter(ip, True, now)) << 1 | (self._links < 2) << 2

    def fits(self, link, is_outbound, is_wish, now):
        """Whether there is a place for one more link, `link` itself not counted. A wish may take that of another, the
        `rival`."""
        outbound = permanent = 0
        down = _DOWN if self._links > 1 else 0
        links = inbound = self.apart
        for each in self.links:
            if each is not link and each.state > _FAILING:
                links += 1
                if each.port and each.id and each.id < self._id and each.purpose != _VISIT:  # those come and go
                    down = 0
                if each.is_permanent:
                    permanent += 1
                elif each.is_outbound:
                    outbound += 1
                else:
                    inbound += 1
        is_free = links < self._links
        if is_wish:
            self.rival = None
            self.rival_reason = _TRIMMED
            if link and link.purpose == _DOWN:
                if is_free and (is_outbound or link.callers or inbound < self._inbound):
                    return True
                return self._has_spare(link, is_free)
            if not is_free:
                self.rival = self.worst(now, False, link is None or link.purpose == _VISIT)
                if self.rival and self.rival.purpose == _DOWN:
                    self.rival_reason = _BUSY  # for now: it comes back
            return is_free or self.rival is not None
        if is_outbound:
            return down | (is_free and outbound + max(0, permanent - self._reserved) < self._outbound)
        return is_free and inbound < self._inbound

    def _has_spare(self, link, is_free):
        """Whether a node with all places taken (`is_free`: but for those that it dials for) has one for `link`, a way down
        from here or to here. It has one for who is above, which goes to nearer and nearer ones, and one for who is below
        if it has no link down; at first that of the link to the highest id."""
        own = self._id
        is_above = link.id > own
        worst = None
        ups = []
        below = 0
        for each in self.links:
            if each is not link and each.state == _ESTABLISHED:
                if each.id < own:
                    below += each.port > 0
                elif is_above and each.purpose == _DOWN and not each.is_outbound:
                    ups.append(each)
        if self._links < 2 or not is_above and (below or not link.port):
            return False
        if is_free and not ups:
            return True
        for each in ups or self.links:
            if each is not link and each.state == _ESTABLISHED and (worst is None or each.id > worst.id):
                is_only = below == 1 and each.port and each.id < own
                if not (is_only or each.is_permanent or self.in_use and self.in_use(each)):
                    if self.values.get(each.id, 0) < _PROTECTED:
                        worst = each
        if worst and own < worst.id < link.id:
            worst = None
        self.rival = worst
        return worst is not None

    def established(self, link, id32, now):
        """See the module."""
        self.rival = None
        reason = _BYE
        if link.state != _CANCELED:
            reason = self._verdict(link, id32, now)
        if reason >= 0:
            self.rival = None
            self.failed(link, reason, now)
        elif reason == _KEEP:
            if link.is_outbound:
                self._refused = 0
            else:
                for wish in self.links:
                    if wish.id == id32 and wish.is_permanent:  # it came by itself, and says where it listens (row T23)
                        link.is_permanent = 1
                        if is_open_port(link.port):
                            wish.ip = link.ip
                            wish.port = link.port
                self.links.append(link)
            link.state = _ESTABLISHED
            self._draw = 0
            link.at = now
            link.callers = 0
            self._failures = 0
            note = self._find_note(id32, link.ip)
            if note >= 0:
                self._notes[note + _UNANSWERED] = 0
        return reason

    def _verdict(self, link, id32, now):
        if id32 == self._id:
            return _SELF
        if link.id and link.id != id32:
            return _WRONG_ID
        link.id = id32
        if self.is_banned(id32, link.ip):
            return _BANNED
        if self.allow and not self.allow("secured", id32, link.ip):
            return _GATED
        is_wanted = link.is_permanent + link.callers > 0
        for other in self.links:
            if other is not link and other.id == id32:
                # A candidate that is dialed is counted as a caller, too.
                is_wanted |= other.is_permanent > 0 or other.callers > (other.purpose != _VISIT)
                if other.state == _ESTABLISHED:
                    self.rival = other
                    self.rival_reason = _DUPLICATE
                    link.callers += 1  # it takes the place of the old one, whichever side that was dialed from
                    link.purpose = max(link.purpose, other.purpose)
                    if (not scope(other.ip)) != (not scope(link.ip)):  # the one through a gateway gives way
                        return _ASK_OLD if scope(other.ip) else _KEEP
                    return duplicate(self._id, id32, other.is_outbound, ticks_diff(now, other.at), link.is_outbound)
        if not (link.is_outbound or is_wanted) and scope(link.ip) == _GLOBAL:
            # One address beyond the LAN has half of the places for inbound links, and for visits and ways down as many as
            # there are of those places (rows L19, T27).
            most = self._inbound if link.purpose else self._inbound + 1 >> 1
            if self._count_from(host_key(link.ip)) >= most:
                return _BUSY
        return _KEEP if self.fits(link, link.is_outbound, is_wanted or link.purpose > 0, now) else _BUSY

    def _count_from(self, key):
        """How many inbound links there are from one address."""
        n = 0
        for link in self.links:
            n += link.state == _ESTABLISHED and not link.is_outbound and host_key(link.ip) == key
        return n

    def closed(self, link, reason, now):
        """See the module."""
        if ticks_diff(now, link.at) >= _MINUTE_MS:
            link.tries = 0
        self._end(link, _DISCONNECTED, reason, now)
        if link.is_outbound or link.id < self._id:  # others may come and go as they like
            self._refused = 0
            self._pick_at = self._soon(now)

    def worst(self, now, is_forced, is_visit=False):
        """See the module. Never a protected one; permanent ones, those in use and those of the last minute only if
        `is_forced`. The one of least value, visits first and ways down last, inbound before outbound, the youngest. For a
        visit (`is_visit`) 10 s are enough. A visit makes room after 2 s; until it has had its minute no other link does for
        the next one."""
        worst = None
        least = visits = 0
        for link in self.links:
            value = self.values.get(link.id, 0)
            if link.state == _ESTABLISHED and value < _PROTECTED:
                age = ticks_diff(now, link.at)
                is_visitor = link.purpose == _VISIT
                rank = link.is_permanent << 28 | value << 21 | link.purpose << 19 ^ _VISIT << 19
                rank |= link.is_outbound << 18 | min(age, _DAY_MS) >> 9
                visits += is_visitor and age < _MINUTE_MS
                if is_forced or (
                    age >= (_VISIT_MS if is_visitor else _YOUNG_MS if is_visit else _MINUTE_MS)
                    and not (link.is_permanent or self.in_use and self.in_use(link))
                ):
                    if worst is None or rank < least:
                        worst = link
                        least = rank
        return None if is_visit and visits and worst and worst.purpose != _VISIT else worst

    # Notes

    def _find_note(self, id32, ip):
        """The offset of the note on a node (without an id: on an address), or -1."""
        key = id32 or host_key(ip)
        for at in range(0, len(self._notes), _NOTE):
            if same(self._notes, at, key, 0, 8):
                return at
        return -1

    def _note(self, id32, ip):
        """The offset of the note on a node, in the place of the one that matters least if it is new."""
        notes = self._notes
        best = self._find_note(id32, ip)
        if best < 0:
            best = least = 0x3FFFFFFF
            for at in range(0, len(notes), _NOTE):
                weight = notes[at + _BAN] << 16 | notes[at + _SCORE] << 8 | notes[at + _REST] + notes[at + _UNANSWERED]
                if weight < least:
                    best = at
                    least = weight
            for at in range(best, best + _NOTE):
                notes[at] = 0
            copy(notes, best, id32 or host_key(ip), 0, 8)
        return best

    def score(self, id32, ip, points):
        """See the module. Permanent peers are never banned."""
        notes = self._notes
        note = self._note(id32, ip)
        notes[note + _SCORE] = min(255, notes[note + _SCORE] + points)
        if notes[note + _SCORE] < _BAN_SCORE:
            return False
        for link in self.links:
            if link.id == id32 and link.is_permanent:
                return False
        notes[note + _SCORE] = 0
        notes[note + _BAN] = _HOUR
        if scope(ip) == _GLOBAL:
            copy(notes, note + _IP, host_key(ip), 0, 8)
        return True

    def is_banned(self, id32, ip):
        """Whether an id (None: unknown) or its address is banned. On a LAN addresses are not: they change hands; and that of
        another one is not for a permanent peer, nor for who may be one."""
        notes = self._notes
        is_global = scope(ip) == _GLOBAL
        for link in self.links:
            if link.is_permanent and (link.id == id32 if id32 else link.ip == ip):
                is_global = False
        for at in range(0, len(notes), _NOTE):
            if notes[at + _BAN]:
                if id32 and same(notes, at, id32, 0, 8) or is_global and same(notes, at + _IP, host_key(ip), 0, 8):
                    return True
        return False
