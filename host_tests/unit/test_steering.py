"""What the user says about peers: a gate, permanent peers, protection, goodbyes, bans (rows B4, B24-B27, L14)."""

from booking import book
from picoswarm import steering
from picoswarm.compat import parse_ip
from picoswarm.connmgr import Link
from picoswarm.errors import LocalError
from serving import Serving
from support import raises
from swarming import A, B

RUNTIMES = ("cpython", "small")

BANNED, GATED, TRIMMED = 8, 18, 17
PERMANENT = 1


def _manager(place):
    return place.member.swarm.manager


def test_a_gate_hears_stage_id_and_address_as_text_and_its_no_keeps_a_peer_out():
    world = Serving()
    asked = []

    def allow(stage, id32, ip):
        asked.append((stage, id32, ip))
        return stage != "secured"

    _manager(world.b).allow = steering.gate(world.b.services, allow)
    steering.disconnect(world.b, A.id, 0)
    world.run(2000)
    world.a.member.wants(world.b.member)
    world.run(5000)
    assert asked == [("accept", None, "10.0.0.1"), ("secured", A.id, "10.0.0.1")]
    assert not world.b.member.session(world.a.member) and world.a.member.ends(GATED) == 1


def test_a_gate_that_raises_says_no_and_is_counted():
    world = Serving()
    gate = steering.gate(world.a.services, lambda stage, id32, ip: {}[stage])
    assert gate("accept", None, b"\x0a\0\0\1") is False
    assert world.a.services.faults == 1 and isinstance(world.a.services.fault, KeyError)


def test_a_permanent_peer_comes_back_and_one_that_is_kept_no_more_does_not():
    async def scenario(world, a, b):
        await steering.keep(a, B.id, True)
        for link in _manager(a).links:
            assert link.is_permanent == PERMANENT
        assert steering.disconnect(a, B.id, 0)
        world.run(15000)
        assert a.member.session(b.member)
        await steering.keep(a, B.id, False)
        assert steering.disconnect(a, B.id, 0)
        world.run(60000)
        assert not a.member.session(b.member) and not _manager(a).links

    Serving().play(scenario)


def test_a_permanent_peer_can_be_named_by_its_address_alone():
    async def scenario(world, a, b):
        steering.disconnect(a, B.id, 0)
        world.run(1000)
        await steering.keep(a, "10.0.0.2:5000", True)
        (link,) = _manager(a).links
        assert (link.id, link.ip, link.port) == (None, parse_ip("10.0.0.2"), 5000)
        world.run(4000)
        assert a.member.session(b.member)
        await steering.keep(a, "10.0.0.2:5000", False)
        assert not link.is_permanent

    Serving().play(scenario)


def test_an_id_that_nobody_knows_is_looked_up_and_cannot_be_kept():
    async def scenario(world, a, b):
        a.known = {}
        try:
            await steering.keep(a, B.id, True)
        except Exception as error:
            assert type(error).__name__ == "Unreachable"
        else:
            raise AssertionError("it was kept")
        assert a.asked == [B.id]
        for text in ("10.0.0.2", "nowhere:5000", "10.0.0.2:x"):
            try:
                await steering.keep(a, text, True)
            except LocalError:
                continue
            raise AssertionError(text)

    Serving().play(scenario)


def test_a_protected_peer_makes_no_room_in_any_session_that_it_has():
    world = Serving()
    manager = _manager(world.a)
    steering.protect(world.a, B.id, True, 0)
    assert manager.worst(world.now, True) is None
    again = Link(B.id, b"\x0a\0\0\2", 5000, False)
    manager.closed(manager.links[0], 0, world.now)
    assert manager.established(again, B.id, world.now) == -1
    assert manager.worst(world.now, True) is None
    steering.protect(world.a, B.id, False, 3)
    assert manager.worst(world.now, True) is again and manager.values == {B.id: 3}
    steering.protect(world.a, B.id, False, 0)
    assert manager.values == {}
    raises(LocalError, steering.protect, world.a, B.id, False, 101)
    raises(LocalError, steering.protect, world.a, b"short", True, 0)


def test_a_node_has_these_calls_and_no_others():
    world = Serving()
    for name in ("keep", "protect", "disconnect", "ban"):
        assert callable(steering.bind(world.a, name))
    assert not steering.bind(world.a, "disconnect")(A.id) and steering.bind(world.a, "disconnect")(B.id, reason=TRIMMED)
    raises(AttributeError, steering.bind, world.a, "gate")


def test_a_session_is_ended_with_a_reason_that_the_peer_hears():
    world = Serving()
    assert steering.disconnect(world.a, B.id, TRIMMED)
    world.run(100)
    assert world.b.member.closed() == [TRIMMED]
    assert not steering.disconnect(world.a, B.id, TRIMMED)


def test_a_banned_peer_goes_and_stays_away_until_its_time_is_over_or_the_ban_is_lifted():
    world = Serving()
    a, b = world.a.member, world.b.member
    a.needs(b)
    a.swarm.book = book(private=())
    a.swarm.book.connected(0, B.id, b.ip, 4000, 5000)
    steering.ban(world.a, B.id, 2)
    world.run(100)
    assert b.closed() == [BANNED] and not _manager(world.a).links  # nor is it a permanent peer any more
    assert a.swarm.book.count == 0
    b.wants(a)
    world.run(5000)
    assert not a.session(b) and b.ends(BANNED) == 2
    steering.ban(world.a, B.id, 0)
    world.run(1000)
    b.wants(a)
    world.run(5000)
    assert a.session(b)
    steering.ban(world.a, B.id, 1)
    world.run(121_000)
    b.wants(a)
    world.run(5000)
    assert a.session(b)
    raises(LocalError, steering.ban, world.a, B.id, 255)
