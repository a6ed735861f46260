"""Which sessions a swarm keeps: dials that cross, fail or come too late (rows B2-B6, L4, T18, T24; A20, A21, A24)."""

from picoswarm.compat import ticks_diff
from swarming import (
    BANNED,
    BUSY,
    BYE,
    DUPLICATE,
    GATED,
    LOST,
    MINUTE,
    PORT,
    SECOND,
    SELF,
    SILENT,
    SLOW,
    WRONG_ID,
    A,
    B,
    Node,
    World,
)

RUNTIMES = ("cpython", "small")  # two swarms and this file take more than 64 KB

_C = Node(bytes(range(1, 33)))
# The id of B is smaller than that of A.


class Missed:
    """What discovery tells of a missed peer that answered; with 0 `left`, of a bootstrap node that does not."""

    port = PORT
    is_missing = True

    def __init__(self, id32, ip):
        self.id = id32
        self.ip = ip
        self.left = 720


def _dialing(world, a, b):
    """`a` dials, and its socket is not there yet."""
    world.is_held = True
    link = a.wants(b)
    world.run(4 * SECOND)
    assert len(a.dials) == 1
    return link


def _is_joined(a, b):
    """One session, of which both ends think the same."""
    assert a.session(b) and b.session(a) and len(a.sockets) == len(b.sockets) == 1
    assert a.socket(b).other is b.socket(a)
    assert a.session(b).is_outbound != b.session(a).is_outbound
    return True


def _told_in_order(member, id32):
    """One session after the other, each from its beginning to its end."""
    open_ = False
    for what in member.recorder.words(id32):
        if what == "init":
            assert not open_
        open_ = what != "remove"
    return True


def test_of_two_dials_at_the_same_time_that_of_the_smaller_id_stays():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    _dialing(world, a, b)
    b.wants(a)
    world.run(4 * SECOND)
    world.release()
    world.run(3 * SECOND)
    assert _is_joined(a, b) and b.session(a).is_outbound
    assert _told_in_order(a, B.id) and _told_in_order(b, A.id)
    assert a.swarm.peers[B.id].stage == 4


def test_a_dial_that_was_late_by_less_than_ten_seconds():
    for late, early, stays in ((A, B, "the first"), (B, A, "the second")):
        world = World()
        a, b = world.add(late, 1, ip=b"\x29\1\0\1"), world.add(early, 2, ip=b"\x29\2\0\2")
        _dialing(world, a, b)
        world.is_held = False
        held, a.dials = a.dials, []
        world.join(b, a)
        first = b.socket(a)
        a.dials = held
        world.release()
        world.run(SECOND)
        assert _is_joined(a, b)
        assert (b.socket(a) is first) == (stays == "the first")
        assert _told_in_order(a, b.id) and _told_in_order(b, a.id)


def _cross_late(world):
    """`a` has dialed `b`, and its handshake waits for bytes, when `b` comes by itself; then more than ten seconds pass."""
    a, b = world.add(B, 1, silent_s=1000), world.add(A, 2, silent_s=1000)
    _dialing(world, a, b)
    near = world.dial(a, a.dials.pop())
    near.is_stalled = True
    world.is_held = False
    world.join(b, a)
    a.swarm.tick(world.now)
    first = b.socket(a)
    return a, b, near, first


def test_a_later_dial_is_turned_away_where_the_older_session_answers():
    world = World()
    a, b, near, first = _cross_late(world)
    # Ten seconds pass in which the handshake stands still: the deadline of `a` is moved, since only 5 s are given.
    for session in list(a.swarm.sessions) + list(b.swarm.sessions):
        if session.handshake:
            session.handshake.deadline = session.deadline = None
    world.run(11 * SECOND)
    near.is_stalled = False
    world.settle()
    world.run(3 * SECOND)
    assert _is_joined(a, b) and b.socket(a) is first
    assert a.ends(DUPLICATE) + b.ends(DUPLICATE) >= 1 and a.closed() == b.closed() == []


def test_a_later_dial_takes_the_place_of_a_session_that_says_nothing_for_two_seconds():
    world = World()
    a, b, near, first = _cross_late(world)
    for session in list(a.swarm.sessions) + list(b.swarm.sessions):
        if session.handshake:
            session.handshake.deadline = session.deadline = None
    world.run(11 * SECOND)
    first.is_stalled = first.other.is_stalled = True
    near.is_stalled = False
    world.settle()
    assert len(a.sockets) == 2
    world.run(1500)
    assert len(a.sockets) == 2
    world.run(2 * SECOND)
    assert a.session(b) and a.session(b).is_outbound and b.session(a) and len(a.sockets) == len(b.sockets) == 1
    assert a.closed() == b.closed() == [SILENT]
    assert a.recorder.words() == b.recorder.words() == ["init", "add", "remove", "init", "add"]


def test_a_peer_that_rebooted_takes_the_place_of_its_old_session():
    world = World()
    a, b = world.pair()
    world.run(MINUTE)
    a.sockets.clear()
    a.boot()
    world.join(a, b)
    assert b.recorder.words() == ["init", "add", "remove", "init", "add"] and b.closed() == [DUPLICATE]
    assert len(b.swarm.peers) == len(b.swarm.sessions) == 1


def test_a_peer_whose_session_was_cut_off_is_missed_and_one_that_said_goodbye_is_not():
    world = World()
    a, b = world.pair()
    world.cut(a.socket(b))
    assert a.closed() == [LOST]
    world.run(2 * SECOND)
    (anchor,) = a.swarm._discovery.anchors
    assert (anchor.id, anchor.ip, anchor.port) == (B.id, b.ip, PORT) and anchor.left > 100
    world = World()
    a, b = world.pair()
    b.swarm.close(world.now)
    world.run(2 * SECOND)
    assert a.closed() == [BYE] and not a.swarm._discovery.anchors


def test_a_missed_peer_that_answers_gets_a_session_though_all_links_are_in_use():
    world = World()
    a, b = world.pair(links=1, outbound=1)
    c = world.add(_C, 3)
    world.run(MINUTE)
    discovery = a.swarm._discovery
    discovery.found = found = Missed(_C.id, c.ip)
    world.run(10 * SECOND)
    assert a.session(c) and not a.session(b) and discovery.found is None and found.left > 1
    discovery.found = found
    world.run(2 * SECOND)
    assert a.session(c) and found.left == 1  # asked for no more


def test_a_missed_peer_that_has_no_place_is_not_dialed_again_and_again():
    world = World()
    a, b = world.pair()
    c = world.add(_C, 3, links=1, outbound=1)
    world.join(c, b)
    c.swarm.manager.values[B.id] = 128  # protected
    a.swarm._discovery.found = Missed(_C.id, c.ip)
    world.run(MINUTE)
    assert not a.session(c) and a.ends(BUSY) <= 1
    assert [link.id for link in a.swarm.manager.links] == [B.id]


def test_sessions_stay_calm_beside_a_peer_that_is_missed_for_a_day():
    world = World()
    a, b = world.pair(links=1, outbound=1)
    a.swarm._discovery.anchors.append(Missed(_C.id, bytes((10, 0, 0, 77))))
    world.run(5 * SECOND)
    waits = []
    for _ in range(20):
        world.run(SECOND)
        waits.append(ticks_diff(a.swarm.next_time(world.now), world.now))
    assert a.session(b) and max(waits) > 5 * SECOND


def test_a_bootstrap_node_that_answers_no_datagrams_is_visited_though_all_links_are_in_use():
    world = World()
    a, b = world.pair(links=1, outbound=1)
    a.swarm._discovery.anchors.append(Missed(None, bytes((10, 0, 0, 3))))
    (anchor,) = a.swarm._discovery.anchors
    anchor.left = 0
    world.run(12 * MINUTE)
    assert a.session(b) and a.ends(LOST) == 6  # after 10, 30, 70, 150, 310 and 630 s nobody was there
    c = world.add(_C, 3)
    anchor.is_missing = False
    world.run(12 * MINUTE)
    assert a.session(b) and not a.session(c)
    anchor.is_missing = True
    world.run(40 * SECOND)
    assert a.session(c) and not a.session(b)


def test_a_node_that_dials_itself_says_so_and_remembers():
    world = World()
    a = world.add(A, 1)
    assert a.swarm.manager.want(None, a.ip, 5000, world.now)
    world.run(MINUTE)
    assert a.ends(SELF) >= 1 and a.is_at_rest() and a.recorder.told == []
    sent = a.ends(SELF)
    world.run(10 * MINUTE)
    assert a.ends(SELF) == sent


def test_another_member_at_the_address_cannot_pose_as_the_one_that_was_dialed():
    world = World()
    a, c = world.add(A, 1), world.add(_C, 3)
    a.swarm.manager.want(B.id, c.ip, 5000, world.now)
    world.run(4 * SECOND)
    assert a.is_at_rest() and c.is_at_rest() and a.ends(WRONG_ID) == 1
    assert a.recorder.told == [] and c.opened() == 0


def test_a_banned_peer_comes_not_in():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    c = world.add(_C, 3, ip=b"\x29\1\2\3")
    assert a.swarm.manager.score(B.id, b.ip, 100) and a.swarm.manager.score(_C.id, c.ip, 100)
    b.wants(a)
    c.wants(a)
    world.run(8 * SECOND)
    assert a.recorder.told == [] and b.ends(BANNED) == 1
    assert world.knock(a, c.ip).has_ended and not world.knock(a, b.ip).has_ended  # on a LAN addresses change hands


def test_the_gate_is_asked_before_the_dial_at_the_door_and_once_the_id_is_proven():
    for stage in ("dial", "accept", "secured"):
        world = World()
        a, b = world.add(A, 1), world.add(B, 2)
        gated = b if stage == "dial" else a
        gated.swarm.manager.allow = lambda asked, id32, ip, stage=stage: asked != stage
        link = b.wants(a)
        world.run(8 * SECOND)
        assert a.swarm.peers == {} == b.swarm.peers
        if stage == "dial":
            assert link.reason == GATED and b.ends(LOST) == 0
        if stage == "secured":
            assert b.ends(GATED) == 1


def test_no_place_is_no_failure_and_three_times_no_answer_is_one():
    world = World()
    a, b, c = world.add(A, 1, links=1, reserved=0), world.add(B, 2), world.add(_C, 3)
    world.join(a, b)
    c.needs(a)
    for _ in range(400):
        world.run(SECOND)
        if c.ends(LOST):
            break
    assert c.ends(BUSY) == 2 and c.ends(LOST) == 1
    assert a.session(b) and a.opened() == 1


def test_the_brake_closes_at_the_eighth_failure_in_a_row_and_the_ninth_dial_waits_thirty_seconds():
    """A dial goes out within 5 s here, but the ninth."""
    world = World()
    a = world.add(A, 1)
    for i in range(8):
        world.is_held = True
        a.swarm.manager.want(bytes((i,)) * 31 + b"\1", bytes((10, 0, 1, i)), 5000, world.now)
        world.run(4 * SECOND)
        assert len(a.dials) == 1, i
        world.release()
        assert a.ends(LOST) == i + 1
    world.is_held = True
    a.swarm.manager.want(bytes(31) + b"\1", bytes((10, 0, 1, 9)), 5000, world.now)
    world.run(29 * SECOND)
    assert a.dials == []
    world.run(4 * SECOND)
    assert len(a.dials) == 1


def test_a_permanent_peer_is_dialed_again_and_again_ever_less_often():
    world = World()
    a = world.add(A, 1)
    b = world.add(B, 2)
    world.members.remove(b)
    a.needs(b)
    dials = []
    for _ in range(40):
        world.run(15 * SECOND)
        dials.append(a.ends(LOST))
    assert 4 <= dials[9] <= dials[39] <= 25
    assert dials[9] > dials[39] - dials[29]
    world.members.append(b)
    world.run(7 * MINUTE)
    assert a.session(b)
    b.sockets.clear()
    b.boot()
    world.run(3 * MINUTE)
    assert a.session(b) and b.session(a)


def test_the_late_success_of_a_cancelled_dial_closes_its_socket():
    for ms in (0, 500):
        world = World()
        a, b = world.add(A, 1), world.add(B, 2)
        link = _dialing(world, a, b)
        a.swarm.manager.cancel(link)
        world.run(ms)
        world.release()
        world.run(SECOND)
        assert a.is_at_rest() and b.is_at_rest() and a.recorder.told == []
        assert a.ends(LOST) == 0


def test_a_dial_is_cancelled_in_the_middle_of_the_handshake():
    world = World()
    a, b = world.add(A, 1), world.add(B, 2)
    link = _dialing(world, a, b)
    world.dial(a, a.dials.pop()).is_stalled = True
    world.settle()
    a.swarm.manager.cancel(link)
    world.run(2 * SECOND)
    assert a.is_at_rest() and b.is_at_rest()


def test_a_dial_that_nobody_answers_ends():
    for ip, ms in ((b"\x0a\0\0\2", 5000), (b"\x29\0\0\2", 10000)):
        world = World()
        a, b = world.add(A, 1), world.add(B, 2, ip=ip)
        _dialing(world, a, b)
        began = world.now
        while a.dials:
            world.run(200)
        assert ms <= (world.now - began + 4000) & 0x3FFFFFFF <= ms + 4500
        assert a.ends(SLOW) == 1 and a.is_at_rest()


def test_a_socket_that_cannot_be_had_is_a_failure_and_no_more():
    world = World()
    a = world.add(A, 1)
    a.swarm.manager.want(B.id, b"\x0a\0\0\2", 5000, world.now)
    world.run(5 * SECOND)
    assert a.is_at_rest() and a.ends(LOST) == 1 and a.ends(BYE) == 0


def test_nobody_has_two_sessions_with_one_peer_whatever_is_asked():
    world = World()
    a, b = world.pair()
    a.wants(b)
    b.wants(a)
    b.needs(a)
    world.run(MINUTE)
    assert _is_joined(a, b) and a.opened() == b.opened() == 1
