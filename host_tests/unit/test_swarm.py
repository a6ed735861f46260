"""The swarm's order of things: what reactors are told and when, and how sessions end (rows T2-T4, L15, B41, B42, A9)."""

from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.membership import Membership, NetworkKey
from picoswarm.swarm import STREAM
from support import raises
from swarming import (
    BYE,
    CHANNEL,
    EPOCH,
    KEY,
    LOST,
    MEMORY,
    MINUTE,
    SECOND,
    SILENT,
    TRIMMED,
    USELESS,
    A,
    B,
    Node,
    Puppet,
    Recorder,
    World,
)

RUNTIMES = ("cpython", "small")  # two swarms and this file take more than 64 KB

_C = Node(bytes(range(1, 33)))


def _send(world, member, other, data):
    assert member.session(other).try_send(CHANNEL, data)
    world.run(100)


def test_reactors_hear_of_a_peer_in_order_and_once():
    world = World()
    a, b = world.pair()
    _send(world, a, b, b"hello")
    a.session(b).close()
    world.settle()
    assert a.recorder.words() == ["init", "add", "remove"]
    assert b.recorder.told == [("init", A.id, None), ("add", A.id, None), ("message", A.id, b"hello"), ("remove", A.id, BYE)]
    assert a.closed() == b.closed() == [BYE]
    world.run(10 * SECOND)
    assert a.is_at_rest() and b.is_at_rest()


def _queue_some(world, a, b):
    """Let `a` queue what takes several records. Returns how many messages."""
    a.socket(b).is_full = True
    count = 0
    while a.session(b).try_send(CHANNEL, bytes(250)):
        count += 1
    assert count > 1
    return count


def _messages(member):
    return member.recorder.words().count("message")


def test_a_goodbye_comes_behind_what_was_queued():
    """T14."""
    world = World()
    a, b = world.pair(record=256)
    count = _queue_some(world, a, b)
    a.socket(b).is_full = False
    a.session(b).close()
    world.settle()
    assert _messages(b) == count and a.closed() == b.closed() == [BYE]
    assert a.is_at_rest() and b.is_at_rest()


def test_a_session_whose_last_record_went_in_parts_ends_when_the_socket_took_them():
    world = World()
    a, b = world.pair()
    session = a.session(b)
    session.close()
    assert a.swarm.to_send(session, world._out, world.now) and session in a.swarm.sessions
    session.touch()  # as `tcp` does
    assert a.swarm.next_unsent(world.now) is session
    assert not a.swarm.to_send(session, world._out, world.now) and not a.swarm.sessions


def test_an_end_with_another_reason_comes_at_once():
    world = World()
    a, b = world.pair(record=256)
    count = _queue_some(world, a, b)
    a.socket(b).is_full = False
    a.session(b).close(USELESS)
    world.settle()
    assert _messages(b) < count and b.closed() == [USELESS]


def test_a_goodbye_to_a_slow_peer_gives_up_what_is_queued_and_then_itself():
    for ms, reasons in ((500, [BYE]), (1500, [BYE]), (2500, [LOST])):
        world = World()
        a, b = world.pair(record=256)
        count = _queue_some(world, a, b)
        socket = a.socket(b)
        a.session(b).close()
        world.run(ms)
        socket.is_full = False
        for session in a.swarm.sessions:
            session.touch()  # as `tcp` does where a socket takes bytes again
        world.run(SECOND)
        assert b.closed() == reasons and _messages(b) == (count if ms < SECOND else 0)
        assert a.is_at_rest() and b.is_at_rest()


def test_a_message_may_be_a_text():
    world = World()
    a, b = world.pair()
    _send(world, a, b, "grüße")
    assert b.recorder.told[-1] == ("message", A.id, "grüße".encode())


def test_a_message_may_come_before_the_peer_is_added():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    b.recorder.greeting = b"first"
    world.join(a, b)
    assert a.recorder.words() == ["init", "message", "add"]


def test_a_peer_that_nobody_has_a_channel_for_is_useless():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2, reactors=[Recorder(41)])
    a.wants(b)
    world.run(4 * SECOND)
    assert a.is_at_rest() and b.is_at_rest() and a.recorder.told == []
    assert a.ends(USELESS) == 1


def test_two_reactors_never_share_a_channel():
    from picoswarm.errors import LocalError

    raises(LocalError, lambda: World().add(A, 1, reactors=[Recorder(), Recorder()]))


def test_a_reactor_that_raises_costs_that_peer_only():
    for method in ("init", "add", "message"):
        world = World()
        a, b, c = world.add(A, 1), world.add(B, 2), world.add(_C, 3)
        world.join(c, a)
        a.recorder.fails_in = method
        b.wants(a)
        world.run(4 * SECOND)
        if method == "message":
            _send(world, b, a, b"x")
        assert b.session(a) is None and a.session(c)
        assert a.recorder.words(B.id)[-1] == "remove" and a.recorder.words(B.id).count("remove") == 1
        assert a.swarm.faults == 1
        a.recorder.fails_in = None
        _send(world, c, a, b"still here")
        assert a.recorder.told[-1] == ("message", _C.id, b"still here")


def test_one_that_raises_in_remove_peer_keeps_no_other_from_hearing_of_it():
    world = World()
    first, second = Recorder(), Recorder(41)
    a, b = world.add(A, 1, reactors=[first, second]), world.add(B, 2, reactors=[Recorder(), Recorder(41)])
    world.join(a, b)
    first.fails_in = "remove"
    b.session(a).close()
    world.run(SECOND)
    assert second.words() == ["init", "add", "remove"] and not a.swarm.sessions and a.swarm.peers == {}


def test_a_reactor_may_close_a_peer_in_any_call():
    for method in ("init", "add", "message"):
        world = World()
        first, second = Recorder(), Recorder(41)
        a, b = world.add(A, 1, reactors=[first, second]), world.add(B, 2, reactors=[Recorder(), Recorder(41)])
        first.closes_in = method
        b.wants(a)
        world.run(4 * SECOND)
        if method == "message":
            _send(world, b, a, b"x")
        assert second.words() == (["init", "remove"] if method == "init" else ["init", "add", "remove"])
        assert first.words().count("remove") == 1 and a.swarm.peers == {}
        assert b.ends(USELESS) == 1


def test_a_reason_that_a_reactor_returns_closes_that_peer():
    world = World()
    a, b = world.pair()
    b.recorder.reason = USELESS
    _send(world, a, b, b"what is this")
    assert a.closed() == b.closed() == [USELESS]


def test_a_reactor_whose_own_business_fails_is_asked_again_a_second_later():
    class Clumsy(Recorder):
        ticks = 0

        def next_time(self):
            return self.now

        def tick(self, now):
            self.ticks += 1
            raise MemoryError()

    world = World()
    reactor = Clumsy()
    a = world.add(A, 1, reactors=[reactor])
    world.run(10 * SECOND)
    assert 5 < reactor.ticks < 15 and a.swarm.faults == reactor.ticks


def test_a_reactor_without_memory_at_the_end_of_a_session_hears_of_it_again():
    class Clumsy(Recorder):
        def remove_peer(self, peer, reason):
            super().remove_peer(peer, reason)
            if self.errors:
                raise self.errors.pop(0)

    world = World()
    reactor, other = Clumsy(), Recorder(41)
    reactor.errors = [MemoryError(), MemoryError(), ValueError("a mistake in a reactor")]
    a, b = world.add(A, 1, reactors=[reactor, other]), world.add(B, 2)
    world.join(b, a)
    a.session(b).close()
    world.run(20 * SECOND)
    assert reactor.words().count("remove") == 3 and other.words().count("remove") == 0  # which b does not serve
    assert reactor.told[-1] == ("remove", B.id, BYE) and not reactor.errors and not a.swarm._untold
    assert a.is_at_rest()
    world.join(b, a)


def test_close_says_goodbye_to_all():
    world = World()
    a, b, c = world.add(A, 1), world.add(B, 2), world.add(_C, 3)
    world.join(a, b)
    world.join(c, a)
    a.swarm.close(world.now)
    world.settle()
    assert b.closed() == c.closed() == [BYE]
    assert not a.swarm.sessions and a.recorder.words().count("remove") == 2
    assert a.swarm.accepted(b"\x0a\0\0\x07", 1, world.now) is None


def test_a_session_ends_with_the_network_key_of_its_epoch():
    world = World()
    old, new = NetworkKey(bytes(range(32)), 1), NetworkKey(bytes(range(1, 33)), 2)
    keys = Membership(old, new)
    a, b = world.add(A, 1, keys=keys), world.add(B, 2, keys=Membership(old))
    c = world.add(_C, 3, keys=Membership(old, new))
    world.join(b, a)
    world.join(c, a)
    assert a.session(b).epoch == 1 and a.session(c).epoch == 2
    keys.drop_lower()
    a.swarm.end_epoch(1, world.now)
    world.settle()
    assert b.closed() == [EPOCH] and a.session(c) and not a.session(b)


def test_trimming_takes_the_peer_that_is_worth_least():
    world = World()
    a, b, c = world.add(A, 1), world.add(B, 2), world.add(_C, 3)
    world.join(a, b)
    world.join(c, a)
    assert a.swarm.trim(world.now)
    world.settle()
    assert a.closed() == c.closed() == [TRIMMED] and a.session(b)
    assert a.swarm.trim(world.now) and not a.swarm.trim(world.now)


def test_a_silent_peer_is_gone_after_fifty_seconds():
    _goes_silent(World().pair(), 50)
    _goes_silent(World().pair(keepalive_s=5, silent_s=5), 10)  # a gateway's profile


def test_a_gateway_that_is_silent_is_gone_after_ten_seconds():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    b.swarm._hello.capabilities = 2
    world.join(a, b)
    _goes_silent((a, b), 10)


def _goes_silent(pair, seconds):
    a, b = pair
    a.socket(b).is_stalled = True
    a.world.run((seconds - 6) * SECOND)
    assert a.session(b)
    a.world.run(8 * SECOND)
    assert a.closed() == [SILENT], a.closed()


def test_an_idle_session_stays():
    world = World()
    a, b = world.pair()
    session = a.session(b)
    world.run(10 * MINUTE)
    assert a.session(b) is session and a.closed() == b.closed() == []


def test_a_reset_in_the_middle_of_a_record():
    world = World()
    a, b = world.pair()
    socket = b.socket(a)
    assert a.session(b).try_send(CHANNEL, bytes(200))
    socket.is_stalled = True
    world.run(100)
    socket.inbox = socket.inbox[:100]
    socket.is_stalled = False
    world.settle()
    world.cut(socket)
    assert a.closed() == b.closed() == [LOST] and "message" not in b.recorder.words()
    world.run(SECOND)
    assert b.is_at_rest()


def test_the_socket_may_end_at_any_byte_of_the_set_up():
    for n in (0, 1, 30, 51, 60, 170, 171, 200, 256, 257, 270, 290):
        world = World()
        a, b = world.add(A, 1), world.add(B, 2)
        world.is_held = True
        link = a.wants(b)
        world.run(4 * SECOND)
        near = world.dial(a, a.dials.pop())
        near.is_stalled = near.other.is_stalled = True
        left = n
        while left > 0:  # so many bytes pass, both ways counted together
            world.settle()
            waiting = near.other if near.other.inbox else near
            data = waiting.inbox
            if not data:
                break
            waiting.inbox = data[:left]
            waiting.is_stalled = False
            world.settle()
            waiting.is_stalled = True
            waiting.inbox += data[left:]
            left -= len(data)
        near.is_stalled = near.other.is_stalled = False
        a.swarm.manager.cancel(link)  # nobody waits any more
        world.cut(near)
        world.run(2 * SECOND)
        assert a.is_at_rest() and b.is_at_rest(), n
        assert link.state in (0, 1)  # over, whether it was a session for a moment or not
        for member in (a, b):
            words = member.recorder.words()
            assert words.count("init") == words.count("remove") <= 1
            assert member.opened() == len(member.closed())


def test_memory_that_runs_out_in_a_handler_closes_that_peer_with_memory():
    world = World()
    a, b = world.pair()

    def fail(peer, channel, view):
        raise MemoryError()

    b.recorder.receive = fail
    _send(world, a, b, b"x")
    assert a.closed() == b.closed() == [MEMORY]


def test_who_found_no_room_hears_of_room_when_the_queue_has_gone_and_not_when_the_peer_speaks_next():
    world = World()
    a, b = world.pair()
    session = a.session(b)
    stream = session.mux.open(b"/bulk/1.0.0", 5)
    world.settle()
    a.socket(b).is_stalled = True  # nothing that the peer says arrives
    while session.try_send(stream, bytes(50)):
        pass
    a.events.clear()
    world.settle()
    assert [event[0] for event in a.events] == [STREAM + 2] and a.events[0][2] == stream


def test_a_reactor_that_found_no_room_hears_once_when_there_is_some():
    world = World()
    a, b = world.pair()
    session = a.session(b)
    while session.try_send(CHANNEL, bytes(100)):
        pass
    assert "writable" not in a.recorder.words()
    world.run(100)
    assert a.recorder.told[-1] == ("writable", b.id, CHANNEL) and a.recorder.words().count("writable") == 1
    assert session.can_send(CHANNEL)
    assert session.try_send(CHANNEL, bytes(100))  # found room: there is nothing to be told of
    world.run(100)
    assert a.recorder.words().count("writable") == 1 and "writable" not in b.recorder.words()


def test_what_one_record_could_not_take_follows_within_the_flush_time():
    world = World()
    a, b = world.pair(record=300)
    for text in (b"a" * 200, b"b" * 200):
        assert a.session(b).try_send(CHANNEL, text)
    world.run(50)
    assert b.recorder.words().count("message") == 2


class _Clock(Recorder):
    """A reactor that wants to be called each 100 ms; where it `is_broken`, every call raises."""

    def __init__(self, channel, is_broken):
        Recorder.__init__(self, channel)
        self.is_broken = is_broken
        self.ticks = 0

    def _check(self):
        if self.is_broken:
            raise ValueError("a mistake in a reactor")

    def next_time(self):
        return self.now

    def tick(self, now):
        self._check()
        self.ticks += 1
        self.due = self.after(100)

    def work(self):
        self._check()
        return False


def test_a_reactor_that_always_fails_does_not_stop_the_others():
    world = World()
    broken, sound = _Clock(41, True), _Clock(42, False)
    a = world.add(A, 1, reactors=[broken, sound])
    world.run(5 * SECOND)
    assert sound.ticks > 20 and 0 < a.swarm.faults <= 12


def test_a_peer_that_comes_back_to_a_full_heap_leaves_nothing_of_its_two_sessions():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    world.join(b, a)
    world.run(20 * SECOND)
    b.socket(a).is_stalled = True  # the old session is dead, and nobody has noticed

    def fails(profile, channels, now):
        raise MemoryError

    real = b.swarm._admit

    def admit(session):
        session.start = fails
        real(session)

    b.swarm._admit = admit
    puppet = Puppet(world, b, A, a.ip).join()
    assert b.swarm.peers  # the old one is asked
    for _ in range(8):
        try:
            world.run(SECOND)
        except MemoryError:  # tcp.py frees what it can and goes on
            pass
    assert puppet.socket.has_ended and b.is_at_rest()


def test_who_holds_two_network_keys_reaches_one_that_has_the_lower_only():
    world = World()
    a, b = world.add(A, 1, keys=Membership(NetworkKey(bytes(range(7, 39)), 2), KEY)), world.add(B, 2)
    a.wants(b)
    world.run(4 * SECOND)
    assert not a.session(b)
    world.run(MINUTE)  # the door of `b` has forgotten it
    a.wants(b)
    world.run(4 * SECOND)
    assert a.session(b) and b.session(a)


def _sleeps(world, member):
    """Milliseconds for which a member has nothing to do."""
    return ticks_diff(member.swarm.next_time(world.now), world.now)


def test_calm_sessions_wake_nobody_each_second():
    world = World()
    a, b = world.pair(links=1, outbound=1)
    world.run(3 * SECOND)
    turns = []
    tick = a.swarm.tick
    a.swarm.tick = lambda now: (turns.append(now), tick(now))
    end = ticks_add(world.now, MINUTE)
    while ticks_diff(end, world.now) > 0:
        world.now = ticks_add(world.now, max(1, min(_sleeps(world, a), _sleeps(world, b))))
        for member in (a, b):
            if _sleeps(world, member) <= 0:
                member.swarm.tick(world.now)
        world.settle()
    assert a.session(b) and len(turns) < 20, len(turns)


def test_a_calm_session_is_looked_at_again_when_something_moves():
    world = World()
    a, b = world.pair(links=1, outbound=1)
    world.run(5 * SECOND)
    while min(_sleeps(world, a) % SECOND, _sleeps(world, b) % SECOND) < 200:
        world.run(100)  # or a look falls into what follows, and finds nothing at who has sent
    assert _sleeps(world, a) > SECOND and a.session(b).buf == b""
    _send(world, b, a, b"hello")
    assert _sleeps(world, a) <= SECOND and _sleeps(world, b) <= SECOND and a.session(b).buf
    world.run(3 * SECOND)
    assert a.session(b).buf == b"" and _sleeps(world, a) > SECOND


def test_a_peer_that_is_gone_from_a_calm_session_is_missed_in_time():
    world = World()
    a, b = world.pair(links=1, outbound=1, keepalive_s=30, silent_s=20)
    for member in (a, b):
        for socket in member.sockets.values():
            socket.is_stalled = True
    world.run(45 * SECOND)
    assert a.session(b)
    world.run(3 * SECOND)
    assert a.closed() == [SILENT]
