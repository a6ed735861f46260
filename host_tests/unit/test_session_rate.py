"""The limit that a profile sets to the bytes of a session (row T12)."""

from picoswarm.compat import ticks_add, ticks_diff
from picoswarm.errors import LocalError
from picoswarm.profile import Profile
from support import raises
from swarming import CHANNEL, SECOND, A, B, World

RUNTIMES = ("cpython", "small")

RATE = 500  # bytes a second
RECORD = 200


def _talk(world, sender, receiver, ms):
    """Send as much as there is room for. Returns the bytes of the messages that came in that time."""
    before = len(receiver.recorder.told)
    end = ticks_add(world.now, ms)
    while ticks_diff(end, world.now) > 0:
        # As much as a socket holds; the rest waits in its queue.
        while len(receiver.socket(sender).inbox) < 1000 and sender.session(receiver).try_send(CHANNEL, bytes(100)):
            pass
        sender.socket(receiver).said = b""  # which nobody asks for
        world.run(20)
    return sum([len(more) for what, _, more in receiver.recorder.told[before:] if what == "message"])


def _pair(a_rate, b_rate):
    world = World(5000)
    a, b = world.add(A, 1, record=RECORD, rate=a_rate), world.add(B, 2, record=RECORD, rate=b_rate)
    world.join(a, b)
    world.run(5 * SECOND)
    return world, a, b


def test_a_session_sends_no_more_than_its_rate_and_a_second_of_it_at_once():
    world, a, b = _pair(RATE, 0)
    assert 0.7 * RATE < _talk(world, a, b, SECOND // 10) < 1.2 * RATE
    assert 0.8 * RATE < _talk(world, a, b, 10 * SECOND) / 10 < RATE


def test_a_session_reads_no_more_than_its_rate_and_loses_nothing():
    world, a, b = _pair(0, RATE)
    _talk(world, a, b, 4 * SECOND)
    assert 0.8 * RATE < _talk(world, a, b, 10 * SECOND) / 10 < 1.1 * RATE
    assert a.session(b) and b.session(a)


def test_an_end_waits_for_no_rate():
    world, a, b = _pair(RATE, 0)
    _talk(world, a, b, SECOND)
    a.session(b).close(7)
    world.run(SECOND // 10)
    assert b.closed() == [7]


def test_silence_is_told_from_a_slow_peer():
    world, a, b = _pair(RECORD, RECORD)
    _talk(world, a, b, 60 * SECOND)
    assert a.session(b) and b.session(a)


def test_without_a_rate_nothing_waits():
    world, a, b = _pair(0, 0)
    assert a.session(b).sends_at is None and a.session(b).reads_at is None


def test_a_rate_that_keeps_pings_waiting_is_refused():
    for rate in (-1, 1, 4095, 1000001):
        raises(LocalError, lambda rate=rate: Profile(rate=rate).check())
    assert Profile(rate=4096).check().rate == 4096
