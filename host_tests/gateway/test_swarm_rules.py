"""The gateway's swarm keeps the rules of the library's: the same tests, on its sessions and its way to take bytes.
Only the door is another one, which is tested below."""

from __future__ import annotations

import gc
import random
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import linking
import pytest
import swarming
import test_addrbook
import test_connmgr_dialing
import test_connmgr_links
import test_swarm
import test_swarm_attacks
import test_swarm_book
import test_swarm_links
from picoswarm.addrbook import AddressBook
from picoswarm.channel import Channel
from picoswarm.compat import ticks_add
from picoswarm.errors import LocalError
from picoswarm.mux import Mux
from picoswarm.profile import Profile
from picoswarm_gateway.connmgr import HostManager
from picoswarm_gateway.session import OPEN, STEP, HostMux, HostSession
from picoswarm_gateway.swarm import APART_MS, MERE_SOCKETS, UNFINISHED, HostSwarm, share_of
from picoswarm_gateway.traffic import Traffic
from swarming import CHANNEL, SECOND, A, B, Node, Puppet, World, frame

# These say how narrow a board's door is, what it does with its buffers, and how it sleeps.
ANOTHER_DOOR = {
    "test_sessions_stay_calm_beside_a_peer_that_is_missed_for_a_day",
    "test_a_newcomer_takes_the_place_of_a_silent_socket_after_half_a_second",
    "test_one_whose_turn_has_not_come_waits_undisturbed_and_then_has_its_own_five_seconds",
    "test_after_two_that_did_not_finish_newcomers_are_challenged",
    "test_a_challenged_member_that_was_displaced_may_come_again_at_once",
    "test_calm_sessions_wake_nobody_each_second",
    "test_a_calm_session_is_looked_at_again_when_something_moves",
}
MODULES = (test_swarm, test_swarm_links, test_swarm_attacks, test_swarm_book)
MANAGERS = (test_connmgr_links, test_connmgr_dialing)
CHALLENGE = 18  # bytes
LIMIT = 768  # bytes of a record
_C = Node(bytes(range(1, 33)))


def each_test(modules: tuple) -> list[Callable[[], None]]:
    """All tests of some modules."""
    return [test for module in modules for name, test in vars(module).items() if name.startswith("test_")]


class HostWorld(World):
    """A World whose members read and write as HostLinks does."""

    def _read(self, member, socket):
        session = socket.session
        if socket.is_stalled:
            return False
        if socket.inbox:
            data, socket.inbox = socket.inbox, b""
            try:
                member.swarm.heard(session, data, self.now)
            except (ValueError, MemoryError) as error:
                member.swarm.end(session, member.swarm.note(error))
            return True
        return super()._read(member, socket)

    def _write(self, member, session):
        data = session.to_send(self._out, self.now)
        if not data:
            member.swarm.sent(session, self.now)
        return data


@pytest.fixture
def on_host(monkeypatch):
    """Members of every World are the gateway's."""
    monkeypatch.setattr(swarming, "Swarm", HostSwarm)
    for module in (*MODULES, sys.modules[__name__]):
        monkeypatch.setattr(module, "World", HostWorld)


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("test", [each for each in each_test(MODULES) if each.__name__ not in ANOTHER_DOOR])
def test_the_same_rules_as_on_a_board(test):
    test()


@pytest.mark.parametrize("test", each_test(MANAGERS))
def test_the_same_links_are_kept_and_let_go(test, monkeypatch):
    monkeypatch.setattr(linking, "ConnManager", HostManager)
    monkeypatch.setattr(linking.Owner, "links", lambda self: [*self.manager.links, *self.manager.settled.values()])
    test()


@pytest.mark.parametrize("test", each_test((test_addrbook,)))
def test_the_same_nodes_are_told_of(test, monkeypatch):
    monkeypatch.setattr(AddressBook, "share", share_of)
    test()


@pytest.mark.usefixtures("on_host")
def test_a_gateway_has_no_limit_of_bytes_and_says_so():
    with pytest.raises(LocalError, match="rate"):
        HostWorld().add(A, 1, rate=8192)


@pytest.mark.usefixtures("on_host")
def test_messages_are_counted_whoever_else_counts_them():
    world = HostWorld()
    a, b = world.add(A, 1), world.add(B, 2)
    kept = test_swarm_book.Kept()
    a.swarm.book = kept.book
    world.join(a, b)
    traffic = Traffic()
    for _ in range(20):
        assert b.session(a).try_send(CHANNEL, b"a reading")
        world.run(25)
        traffic._add(a.session(b))
    world.run(2 * SECOND)
    assert kept.praised == [B.id]


def half_open(world: HostWorld, member: swarming.Member, i: int) -> swarming.Socket:
    """A member's first message from an address of its own, and nothing more."""
    puppet = Puppet(world, member, _C, bytes((10, 0, 1, i)))
    puppet.send(puppet.open())
    return puppet.socket


@pytest.mark.usefixtures("on_host")
def test_many_come_in_at_the_same_time():
    world = World()
    b = world.add(B, 1, links=30, inbound=25)
    puppets = [Puppet(world, b, Node(bytes((i,)) * 32), bytes((10, 0, 2, i))) for i in range(20)]
    messages = [puppet.open() for puppet in puppets]
    for puppet, message in zip(puppets, messages, strict=True):
        puppet.socket.other.inbox += message
    world.settle()
    for puppet in puppets:
        puppet.send(puppet.open())
    assert len(b.swarm.peers) == b.swarm.manager.apart + len(b.swarm.manager.links) == 20


@pytest.mark.usefixtures("on_host")
def test_the_silent_socket_that_waits_longest_makes_room_where_as_many_wait_as_may():
    world = World()
    a = world.add(A, 1)
    waiting = [world.knock(a, bytes((41, 0, i // 250, i % 250))) for i in range(MERE_SOCKETS)]
    assert world.knock(a, b"\x29\1\1\1").has_ended and not waiting[0].has_ended
    world.run(600)
    assert not world.knock(a, b"\x29\1\1\1").has_ended
    world.settle()
    assert waiting[0].has_ended and not waiting[1].has_ended


@pytest.mark.usefixtures("on_host")
def test_those_who_take_the_places_of_others_come_in_one_after_another():
    world = World()
    a = world.add(A, 1)
    for i in range(MERE_SOCKETS):
        world.knock(a, bytes((41, 0, i // 250, i % 250)))
    assert a.swarm.wait_ms(world.now) == 500
    world.run(600)
    assert a.swarm.wait_ms(world.now) == 0
    assert not world.knock(a, b"\x29\1\1\1").has_ended
    assert a.swarm.wait_ms(world.now) == APART_MS and world.knock(a, b"\x29\1\1\2").has_ended
    world.now += APART_MS
    assert not world.knock(a, b"\x29\1\1\2").has_ended


@pytest.mark.usefixtures("on_host")
def test_a_door_that_was_not_full_for_a_week_makes_room_as_soon_as_one_that_was():
    world = World()
    a = world.add(A, 1)
    world.now = ticks_add(world.now, (1 << 29) + SECOND)  # more than half of what ticks count to, six days
    a.swarm.at(world.now)
    for i in range(MERE_SOCKETS):
        world.knock(a, bytes((41, 0, i // 250, i % 250)))
    world.run(600)
    assert a.swarm.wait_ms(world.now) == 0 and not world.knock(a, b"\x29\1\1\1").has_ended


@pytest.mark.usefixtures("on_host")
def test_a_socket_that_goes_without_a_message_leaves_nothing_to_the_collector():
    world = World()
    a = world.add(A, 1)
    session = a.swarm.accepted(b"\x29\1\1\1", 4000, world.now)
    handshake = weakref.ref(session.handshake)
    gc.disable()
    try:
        a.swarm.lost(session, world.now)
        assert handshake() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("on_host")
def test_newcomers_are_challenged_where_many_did_not_finish_and_a_member_still_comes_in():
    world = World()
    a, b = world.add(B, 1), world.add(A, 2)
    for i in range(UNFINISHED):
        assert len(half_open(world, a, i).inbox) > CHALLENGE
    assert len(half_open(world, a, UNFINISHED).inbox) == CHALLENGE
    world.join(b, a)


@pytest.mark.usefixtures("on_host")
def test_of_those_that_are_displaced_who_was_challenged_may_come_again_at_once():
    world = World()
    a = world.add(B, 1)
    for i in range(UNFINISHED):
        half_open(world, a, i)
    member = half_open(world, a, UNFINISHED)
    first, last = b"\x29\0\0\0", b"\x29\1\1\1"
    for i in range(MERE_SOCKETS - 1):
        world.knock(a, first if not i else bytes((41, 0, i // 250, i % 250)))
    for newcomer in range(2):  # takes the place of the member, and of the first stranger
        world.run(600)
        assert not member.has_ended or newcomer
        assert not world.knock(a, last[:3] + bytes((newcomer,))).has_ended
    world.settle()
    assert member.has_ended and not a.swarm._door.is_held(member.other.session.ip, world.now)
    assert a.swarm._door.is_held(first, world.now)


@pytest.mark.usefixtures("on_host")
def test_each_session_is_looked_at_once_a_second_however_many_there_are():
    world = World()
    b = world.add(B, 1, links=80, inbound=70)
    puppets = [Puppet(world, b, Node(bytes((i,)) * 32), bytes((10, 0, 2, i))).join() for i in range(50)]
    for puppet in puppets:
        puppet.say(frame(0, b"\1"))
    looked = []
    look = b.swarm._look_after
    b.swarm._look_after = lambda session, now: looked.append(session.id) or look(session, now)
    world.run(10 * SECOND)
    counts = Counter(looked)
    assert len(counts) == 50 and set(counts.values()) <= {9, 10, 11}


def test_what_was_sent_weighs_less_with_the_seconds_as_on_a_board():
    channels, profile = (Channel(CHANNEL, 5, 64, 16384, 400),), Profile()
    muxes = board, gateway = [kind(profile, channels, True, 0) for kind in (Mux, HostMux)]

    def second(now: int) -> tuple[int, int]:
        for mux in muxes:
            mux._heard = now
            assert mux.tick(now) == 0
        return board._rows[STEP], gateway._rows[STEP]

    for mux in muxes:
        mux.start(bytes((CHANNEL,)), 1024, 0)
        mux._rows[STEP] = 4000
    for now in range(0, 90 * SECOND, SECOND):
        ours, theirs = second(now)
        assert ours == theirs
    assert ours < 5
    board._rows[STEP] = gateway._rows[STEP] = 4000
    for now in range(90 * SECOND, 93 * SECOND, SECOND):
        scores = second(now)
    assert set(scores) <= {3200, 2560}  # one second or another is the first of two


def listener(channels: tuple, profile: Profile) -> tuple[Mux, list[tuple[int, bytes]]]:
    """(the other end of a session on a board, what it hears)."""
    heard: list[tuple[int, bytes]] = []
    mux = Mux(profile, channels, False, 0)
    mux.on_message = lambda channel, view: heard.append((channel, bytes(view)))
    mux.start(bytes(channel.id for channel in channels), LIMIT, 0)
    return mux, heard


@pytest.mark.parametrize("seed", range(20))
def test_records_hold_what_those_of_a_board_hold_whatever_is_said_when(seed):
    """A message that waits in no queue takes along what waits, spends credit, and leaves room for a goodbye."""
    draw = random.Random(seed)
    lanes, profile = ((40, 5), (41, 7), (42, 3)), Profile()
    channels = tuple(Channel(id_, priority, 6, 3000, 900) for id_, priority in lanes)
    listed = bytes(channel.id for channel in channels)
    board, gateway = Mux(profile, channels, True, 0), HostMux(profile, channels, True, 0)
    session = HostSession(SimpleNamespace(unsent=[]), b"\x7f\0\0\1", 1025, None)
    session.mux, session.stage = gateway, OPEN
    ends = [listener(channels, profile) for _ in range(2)]
    out = bytearray(LIMIT + 100)

    def flush(now: int, gives: bool) -> None:
        session.is_unsent = False
        for mux, (end, _) in zip((board, gateway), ends, strict=True):
            while plain := mux.record(out, now) if mux is gateway else bytes(out[: mux.fill(out, 0, len(out), now)]):
                assert len(plain) <= LIMIT and end.receive(bytearray(plain), 0, len(plain), now) == 0
            if gives and (n := end.fill(out, 0, len(out), now)):
                assert mux.receive(bytes(out[:n]), 0, n, now) == 0

    for mux in (board, gateway):
        mux.start(listed, LIMIT, 0)
    now, said = 0, 0
    flush(now, True)
    for _ in range(400):
        for _ in range(draw.randrange(4)):
            channel, text = draw.choice(listed), draw.randbytes(draw.choice((0, 1, 60, 300, LIMIT - 5, LIMIT - 3)))
            if board.try_send(channel, text):
                assert session.try_send(channel, text)
                said += 1
        flush(now, draw.random() < 0.02)
        for channel in listed:
            of_board, of_gateway = ([text for id_, text in heard if id_ == channel] for _, heard in ends)
            assert of_gateway == of_board
        now += draw.choice((0, 1, 1000))
    assert 0 < len(ends[1][1]) <= said
    flush(now + 1000, True)
    flush(now + 2000, True)
    assert session.try_send(40, bytes(LIMIT - 3)) and gateway.begun
    gateway.go_away(7)
    flush(now + 2000, False)
    assert ends[1][1][-1] == (40, bytes(LIMIT - 3)) and ends[1][0].next_event() == (6, 0, 7)


def test_a_message_is_as_long_as_its_frame_says_however_long_the_record():
    """Twelve bits tell it: a record of more holds several frames."""
    channels, heard, ended = (Channel(40, 5, 6, 9000, 9000),), [], []
    swarm = SimpleNamespace(unsent=[], longest=9000, now=0, parked=[], took=lambda session, reason: ended.append(reason))
    session = HostSession(swarm, b"\x7f\0\0\1", 1025, None)
    session.mux, session.stage = HostMux(Profile(), channels, True, 0), OPEN
    session.mux.on_message = session._on_message = lambda channel, data: heard.append(len(data))
    session.mux.start(bytes((40,)), 8000, 0)
    while session.mux.fill(bytearray(8000), 0, 8000, 0):
        pass  # the other side may send so much
    plain = b"\x28\x10\x05" + bytes(4096 + 5)
    session._opener = SimpleNamespace(open=lambda data, at, end: plain)
    n = len(plain) + 16
    session.take(n.to_bytes(2, "big") + bytes(n))
    assert 4096 + 5 not in heard and ended


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("size", [1, 2, 18, 19, 20, 100])
def test_records_come_whole_however_the_bytes_are_cut(size):
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b)
    puppet.send(puppet.open())
    texts = [bytes((i,)) * i for i in range(40)]
    data = puppet.open() + b"".join([puppet.record(frame(CHANNEL, text)) for text in texts])  # the first came too early
    for at in range(0, len(data), size):
        puppet.send(data[at : at + size])
    assert [more for what, _, more in b.recorder.told if what == "message"] == texts


@pytest.mark.usefixtures("on_host")
def test_many_messages_of_one_record_come_in_order_and_the_credit_for_them_goes_back():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    puppet.say(frame(0, b"\1"))
    sent = 0
    while sent < 70_000:  # more than twice a window
        texts = [bytes((i,)) * 60 for i in range(12)]
        puppet.say(b"".join(frame(CHANNEL, text) for text in texts))
        sent += 63 * 12
    told = [more for what, _, more in b.recorder.told if what == "message"]
    assert told == [bytes((i % 12,)) * 60 for i in range(len(told))] and len(told) * 63 >= 70_000
    assert b"\0\x10\4\3" in puppet.heard() and b.closed() == []


@pytest.mark.usefixtures("on_host")
def test_what_comes_before_a_session_is_taken_up_is_bounded():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b)
    puppet.socket.other.inbox += puppet.open() + bytes(70_000)
    world.settle()
    assert puppet.socket.has_ended


@pytest.mark.usefixtures("on_host")
def test_what_comes_after_the_end_of_a_session_is_not_kept():
    world = World()
    b = world.add(B, 1)
    puppet = Puppet(world, b).join()
    puppet.say(frame(0, b"\1"))
    (session,) = b.swarm.sessions
    session.close()
    b.swarm.heard(session, puppet.record(frame(CHANNEL, bytes(300))) * 100, world.now)
    assert session.data == b""


@pytest.mark.usefixtures("on_host")
def test_streams_get_memory_when_the_first_one_comes():
    world = World()
    a, b = world.pair(streams=8)
    near, far = a.session(b).mux, b.session(a).mux
    rows = len(far._rows)
    channels = [near.open(b"/x/%d" % i, 5) for i in range(8)]
    assert all(channels) and not near.open(b"/x/8", 5)
    for channel in channels:
        assert a.session(b).try_send(channel, b"hello %d" % channel)
    world.run(SECOND)
    out = bytearray(20)
    for channel in channels:
        n = far.read(channel, out, 0, 20)
        assert bytes(out[:n]) == b"hello %d" % channel
    assert rows < len(far._rows) == len(near._rows)
