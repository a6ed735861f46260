"""Swarms on virtual sockets, for the tests of sessions: members that dial each other, and a puppet that says what a test
wants."""

import picoswarm.compat  # noqa: F401  (first: from deeper in the chain of imports it does not fit the emulator's stack)
from picoswarm.channel import Channel, Reactor
from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.handshake import Handshake
from picoswarm.hello import Hello
from picoswarm.membership import Membership
from picoswarm.profile import Profile
from picoswarm.sealed import Sealed
from picoswarm.swarm import CLOSED, DIAL, HANG_UP, OPENED, Swarm
from sessions import KEY, A, B, Draws, Node  # noqa: F401

PORT = 5000
CHANNEL = 40
OPEN = 4  # a session's stage
BYE, BUSY, INCOMPATIBLE, DOWNGRADE, SELF, USELESS, DUPLICATE, WRONG_ID, BANNED, EPOCH, SILENT = range(11)
MALFORMED, CREDIT, UNLISTED, STREAM, TOO_LONG, MEMORY, TRIMMED, GATED, SLOW, LOST, FORGED = range(11, 22)
SECOND, MINUTE = 1000, 60000


class Recorder(Reactor):
    """A reactor that keeps what it is told: (what, id, more). It misbehaves where a test asks for it."""

    def __init__(self, channel=CHANNEL):
        self.channels = (Channel(channel, 3, 4, 512, 300),)
        self.told = []
        self.greeting = None  # sent in init_peer
        self.fails_in = None  # the method that raises
        self.closes_in = None  # the method in which it closes the peer
        self.reason = 0  # what `receive` returns

    def _hear(self, what, peer, more=None):
        self.told.append((what, peer.id, more))
        if what == self.closes_in:
            peer.close(USELESS)
        if what == self.fails_in:
            raise ValueError("a mistake in a reactor")

    def init_peer(self, peer):
        if self.greeting:
            assert peer.try_send(self.channels[0].id, self.greeting)
        self._hear("init", peer)

    def add_peer(self, peer):
        self._hear("add", peer)

    def remove_peer(self, peer, reason):
        self._hear("remove", peer, reason)

    def writable(self, peer, channel):
        self._hear("writable", peer, channel)

    def receive(self, peer, channel, view):
        self._hear("message", peer, bytes(view))
        return self.reason

    def words(self, id32=None):
        """What it was told of one peer, or of all."""
        return [what for what, id_, _ in self.told if id32 is None or id_ == id32]


class _Codec:
    capabilities = 0


class _Nobody:
    """A table without nodes."""

    pool = b""
    step = 1


class _Discovery:
    """What a swarm needs to know of discovery: where the LAN is, and that the node has joined."""

    codec = _Codec
    table = _Nobody
    uptime = 0
    found = None

    def __init__(self):
        self.site = self.upkeep = self
        self.is_joined = True
        self.anchors = []

    def random_ms(self, limit):
        return 0

    def is_onlink(self, ip):
        return ip[0] == 10 or ip[0] == 127


class Socket:
    """One end of a connection: `inbox` waits until its owner has room."""

    def __init__(self, owner, session):
        self.owner = owner
        self.session = session
        self.other = None
        self.inbox = b""
        self.has_ended = False
        self.is_stalled = False  # nothing arrives here for now
        self.is_full = False  # nothing leaves here for now
        self.said = b""  # all that was sent from here


class Member:
    """A node with a swarm at 10.0.0.<i>, or at `ip`."""

    def __init__(self, world, identity, i, ip=None, keys=None, reactors=None, **numbers):
        self.world = world
        self.identity = identity
        self.id = identity.id
        self.ip = ip or bytes((10, 0, 0, i))
        self.keys = keys
        self.numbers = numbers
        self.given = reactors
        self.boots = 0
        self.boot()
        world.members.append(self)

    def boot(self):
        """The power comes (back): nothing is known of before."""
        self.boots += 1
        self.sockets = {}
        self.dials = []  # sessions whose socket is on its way
        self.events = []
        self.recorder = Recorder()
        self.swarm = Swarm(
            Profile(**self.numbers),
            self.identity,
            self.keys or Membership(KEY),
            Draws(self.ip[3] * 8 + self.boots),
            self.world.now,
            self.given or [self.recorder],
            _Discovery(),
            None,
            PORT,
        )

    def wants(self, other):
        """Somebody here waits for a session with `other`."""
        return self.swarm.manager.want(other.id, other.ip, PORT, self.world.now)

    def needs(self, other):
        """`other` is a permanent peer."""
        return self.swarm.manager.add(other.id, other.ip, PORT, self.world.now)

    def session(self, other):
        """The open session with another member, or None."""
        session = self.swarm.peers.get(other.id)
        return session if session and session.stage == OPEN else None

    def socket(self, other):
        return self.sockets[self.swarm.peers[other.id]]

    def ends(self, reason):
        """How many links ended for a reason."""
        return self.swarm.manager.ends[reason]

    def is_at_rest(self):
        """Nothing is left of what was: no socket, no peer, nobody at the door."""
        swarm = self.swarm
        return not (swarm.sessions or swarm.peers or swarm.unsent or self.sockets or swarm.manager.links)

    def closed(self):
        """The reasons for which peers went, as the application hears them."""
        return [event[2] for event in self.events if event[0] == CLOSED]

    def opened(self):
        return len([event for event in self.events if event[0] == OPENED])


class World:
    """The network, and time."""

    def __init__(self, now=0x3FFFF000):
        self.now = now  # the ticks wrap soon
        self.members = []
        self.puppets = 0
        self.is_held = False  # dials do not come through for now
        self._out = bytearray(800)

    def add(self, identity, i, **more):
        return Member(self, identity, i, **more)

    def pair(self, **numbers):
        """Two members that have a session, dialed by the first."""
        a, b = self.add(A, 1, **numbers), self.add(B, 2, **numbers)
        self.join(a, b)
        return a, b

    def join(self, a, b):
        a.wants(b)
        self.run(4 * SECOND)
        assert a.session(b) and b.session(a), (a.closed(), b.closed(), a.swarm.fault, b.swarm.fault)

    def ask(self, member, call, *arguments):
        """What a call that tcp.py makes returns; None where the member could not."""
        return call(*arguments)

    # Sockets

    def dial(self, member, session):
        """The socket of a dial is there, or refused."""
        for other in self.members:
            if other.ip == session.ip:
                near = self.attach(member, session, other, member.ip)
                self.ask(member, member.swarm.connected, session, self.now)
                return near
        return member.swarm.lost(session, self.now)

    def attach(self, owner, session, other, ip, port=4000):
        """Connect a socket of `owner` (None: a stranger's) with a member. Returns its end."""
        near, far = Socket(owner, session), Socket(other, None)
        near.other, far.other = far, near
        if owner:
            owner.sockets[session] = near
        far.session = self.ask(other, other.swarm.accepted, ip, port, self.now)
        if far.session:
            other.sockets[far.session] = far
        else:
            near.has_ended = far.has_ended = True
        return near

    def knock(self, member, ip, port=4000):
        """A stranger's socket."""
        return self.attach(None, None, member, ip, port)

    def release(self):
        """The dials that were held come through."""
        self.is_held = False
        for member in self.members:
            dials, member.dials = member.dials, []
            for session in dials:
                self.dial(member, session)
        self.settle()

    def cut(self, socket):
        """A reset: both ends lose their socket."""
        for end in (socket, socket.other):
            end.inbox = b""
            end.has_ended = True
        self.settle()

    def _read(self, member, socket):
        """Let one session read what is there. True: something happened."""
        session = socket.session
        room = self.ask(member, session.room, self.now) if socket.inbox else 0
        if socket.is_stalled:
            return False
        if socket.inbox and room:
            data = socket.inbox[:room]
            socket.inbox = socket.inbox[len(data) :]
            session.buf[session.fill : session.fill + len(data)] = data
            try:
                self.ask(member, member.swarm.received, session, len(data), self.now)
            except (ValueError, MemoryError) as error:  # as tcp.py does
                member.swarm.end(session, member.swarm.note(error))
            return True
        if socket.has_ended and not socket.inbox:
            self.ask(member, member.swarm.lost, session, self.now)
            return True
        return False

    def _write(self, member, session):
        """What a session has to send now."""
        return bytes(self._out[: self.ask(member, member.swarm.to_send, session, self._out, self.now) or 0])

    def _turn(self, member):
        """Events, work, writes and reads of one member. True: something happened."""
        swarm = member.swarm
        moved = False
        event = swarm.next_event()
        while event:
            moved = True
            if event[0] == DIAL:
                if self.is_held:
                    member.dials.append(event[1])
                else:
                    self.dial(member, event[1])
            elif event[0] == HANG_UP:
                socket = member.sockets.pop(event[1], None)
                if event[1] in member.dials:
                    member.dials.remove(event[1])
                if socket:
                    socket.other.has_ended = True
            else:
                member.events.append(event)
            event = swarm.next_event()
        if swarm.is_busy:
            moved |= bool(self.ask(member, swarm.work, self.now))
        session = self.ask(member, swarm.next_unsent, self.now)
        while session:
            socket = member.sockets.get(session)
            data = self._write(member, session) if not (socket and socket.is_full) else b""
            while data:
                moved = True
                if socket:
                    socket.said += data
                    socket.other.inbox += data
                data = self._write(member, session)
            session = self.ask(member, swarm.next_unsent, self.now)
        for socket in list(member.sockets.values()):
            moved |= self._read(member, socket)
        return bool(moved or swarm.events)

    def settle(self):
        """Let everybody work until nothing moves without time."""
        for _ in range(2000):
            moved = False
            for member in self.members:
                moved |= self._turn(member)
            if not moved:
                return
        raise AssertionError("no end of it")

    def next_time(self, member):
        """Ticks of a member's next turn."""
        return member.swarm.next_time(self.now)

    def run(self, ms):
        """Let time pass."""
        end = ticks_add(self.now, ms)
        self.settle()
        while ticks_diff(end, self.now) > 0:
            due = end
            for member in self.members:
                at = self.next_time(member)
                if ticks_diff(at, due) < 0:
                    due = at
            self.now = due if ticks_diff(due, self.now) > 0 else ticks_add(self.now, 1)
            for member in self.members:
                self.ask(member, member.swarm.tick, self.now)
            self.settle()


class Puppet:
    """A member's key in the hands of a test: it sets a session up with a member, and then says what it likes."""

    def __init__(self, world, member, identity=A, ip=b"\x0a\0\0\x09", key=KEY, channels=bytes((CHANNEL,))):
        self.world = world
        self.socket = world.knock(member, ip)
        hello = Hello(0, PORT, ip + b"\0\1", channels, 768, 4).encode()
        world.puppets += 1  # each has random bytes of its own
        self.side = Handshake(identity, key, Draws(60 + world.puppets), hello, True, None, None, world.now)
        self._records = self._opener = None
        self._out = bytearray(800)

    def send(self, data):
        self.socket.other.inbox += data
        self.world.settle()

    def open(self):
        """Say the next message of the set-up, once what came is taken in. Returns it."""
        data = self.socket.inbox
        self.socket.inbox = b""
        self.side.buf[: len(data)] = data
        self.side.receive(len(data), self.world.now)
        while self.side.work():
            pass
        n = self.side.to_send(self._out)
        if self.side.stage == 2:
            self._records = Sealed(self.side.send_key)
            self._opener = Sealed(self.side.receive_key)
        return bytes(self._out[:n])

    def join(self):
        """The whole set-up."""
        self.send(self.open())
        self.send(self.open())
        assert self.side.stage == 2
        return self

    def record(self, plaintext):
        """A sealed record of these frames."""
        n = len(plaintext)
        buf = bytearray(n + 18)
        buf[2 : 2 + n] = plaintext
        self._records.seal(buf, 0, 2 + n)
        return bytes(buf)

    def say(self, plaintext):
        self.send(self.record(plaintext))

    def heard(self):
        """The frames that came, of all records; the reason of a GOAWAY stands last."""
        data = bytearray(self.socket.inbox)
        self.socket.inbox = b""
        at = 0
        text = b""
        while at < len(data):
            end = at + 2 + (data[at] << 8 | data[at + 1])
            stop = self._opener.open(data, at, end)
            assert stop >= 0
            text += bytes(data[at + 2 : stop])
            at = end
        return text

    def was_told(self, reason):
        """The member ended the session and said why."""
        return self.socket.has_ended and self.heard()[-5:] == bytes((0, 0x10, 2, 4, reason))


def frame(channel, payload, flags=0x10):
    """One frame of a record; a whole message unless `flags` says otherwise."""
    return bytes((channel, flags | len(payload) >> 8, len(payload) & 0xFF)) + payload
