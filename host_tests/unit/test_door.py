"""Which inbound socket may come in (protocol 4.1; rows E7, E8, B31)."""

from linking import Dice, lan, world
from picoswarm.compat import ticks_add
from picoswarm.door import Door

RUNTIMES = ("cpython", "micropython", "board")

REFUSED, WAITS, DISPLACES = -1, 0, 1
LOOPBACK = b"\x7f\0\0\1"


def test_one_mere_socket_waits_for_two_seconds_at_most():
    door = Door()
    assert door.deadline is None
    assert door.knock(lan(1), 1000) == WAITS
    assert door.deadline == 3000
    door.left(3000)
    assert door.deadline is None


def test_a_newcomer_takes_the_place_after_half_a_second():
    """A10: a stranger's silence must not close the door to members."""
    door = Door()
    door.knock(lan(1), 0)
    assert door.knock(lan(2), 499) == REFUSED
    assert door.knock(lan(2), 500) == DISPLACES
    assert door.deadline == 2500
    assert door.knock(lan(1), 1500) == REFUSED  # it left without a message


def test_who_came_too_early_may_try_again_at_once():
    door = Door()
    door.knock(lan(1), 0)
    assert door.knock(lan(2), 10) == REFUSED
    assert door.knock(lan(2), 600) == DISPLACES


def test_who_left_without_a_message_waits():
    """E8: 30 s, 5 s on the LAN, not at all on loopback."""
    for ip, wait in ((world(1), 30000), (lan(1), 5000), (LOOPBACK, 0)):
        door = Door()
        door.knock(ip, 0)
        door.left(100)
        assert not wait or door.knock(ip, 99 + wait) == REFUSED
        assert door.knock(ip, 100 + wait) == WAITS


def test_an_opened_message_is_never_held_back_by_its_address():
    door = Door()
    ip = world(1)
    for now in range(0, 10000, 1000):
        assert door.knock(ip, now) == WAITS
        assert door.opened(True)
        assert not door.finished()


def test_who_displaced_itself_and_then_opened_a_message_is_held_back_no_more():
    door = Door()
    door.knock(world(1), 0)
    assert door.knock(world(1), 600) == DISPLACES
    assert door.opened(True)
    door.finished()
    assert door.knock(world(1), 800) == WAITS


def test_an_opened_message_waits_its_turn_behind_a_handshake_undisturbed():
    door = Door()
    door.knock(lan(1), 0)
    assert door.opened(True)
    assert door.knock(lan(2), 20) == WAITS
    assert not door.opened(False)
    assert door.knock(lan(3), 1000) == REFUSED
    assert door.deadline == 2020
    assert door.finished()
    assert door.deadline is None
    assert not door.finished()


def test_an_opened_message_whose_turn_does_not_come_is_not_held_against_it():
    door = Door()
    door.knock(lan(1), 0)
    door.opened(True)
    door.knock(lan(2), 20)
    door.opened(False)
    door.left(2020)
    assert not door.finished()
    assert door.knock(lan(2), 2030) == WAITS


def test_a_crowd_of_strangers_leaves_the_door_open_to_a_member():
    """A16: strangers at every address knock all the time, each socket silent; a member needs 100 ms for its message."""
    door = Door()
    dice = Dice()
    entered = tries = 0
    try_again = 1000
    is_member_in = None
    for now in range(0, 60000, 20):
        if is_member_in is not None and now - is_member_in >= 100:
            assert door.opened(True)
            door.finished()
            entered += 1
            is_member_in = None
            try_again = now + 1000
        if door.deadline is not None and now >= door.deadline:
            door.left(now)
        for _ in range(2):
            is_stranger = now < try_again or dice(1)[0] & 1
            verdict = door.knock(world(dice(1)[0]) if is_stranger else lan(1), now)
            if verdict != REFUSED:
                is_member_in = None if is_stranger else now
            elif not is_stranger:
                tries += 1
    assert entered >= 20


def test_the_ring_of_addresses_stays_small_and_time_wraps():
    door = Door()
    now = 0x3FFFFFFF - 20000
    for i in range(20):
        door.knock(world(i), ticks_add(now, i * 10))
        door.left(ticks_add(now, i * 10))
    later = ticks_add(now, 25000)
    assert [door.knock(world(i), later) == REFUSED for i in range(12, 20)] == [True] * 8
    assert door.knock(world(0), later) == WAITS
    door.left(later)
    assert door.knock(world(19), ticks_add(now, 30200)) == WAITS
