"""The watchdog is fed by progress, a full heap ends in a restart, and the LED says what is the matter."""

from swarmboard import led
from swarmboard.health import LOW, LOW_TIMES, STUCK_MS, Health


def test_a_node_that_gets_further_feeds_the_watchdog():
    health = Health()
    assert all(health.step(5000, uptime) for uptime in range(0, 1000, 5))


def test_a_node_that_is_stuck_starves_it_though_time_passes():
    health = Health()
    fed = [health.step(1000, 77) for _ in range(60)]
    assert fed[0] and fed.index(False) == STUCK_MS // 1000 and not any(fed[STUCK_MS // 1000 :])
    assert health.step(1000, 78), "progress counts at once"


def test_before_there_is_a_node_nothing_is_held_against_it():
    health = Health()
    assert all(health.step(5000, None) for _ in range(100))


def test_a_heap_that_stays_low_is_told_once_and_then_ends_in_a_restart():
    health = Health()
    assert [health.memory(LOW - 1) for _ in range(LOW_TIMES)] == ["low"] + [""] * (LOW_TIMES - 2) + ["restart"]


def test_a_heap_that_recovers_is_forgiven():
    health = Health()
    for _ in range(20):
        for _ in range(LOW_TIMES - 1):
            assert health.memory(LOW - 1) != "restart"
        assert health.memory(LOW) == ""


def blinks(code, ms=4000):
    shown = [led.is_on(code, at) for at in range(0, ms, 10)]
    return sum(now and not before for before, now in zip([False] + shown, shown))


def test_a_code_is_as_many_blinks_as_its_number_and_a_pause():
    for code in range(1, 7):
        period = code * 400 + 1200
        assert blinks(code, period) == code
        assert not any(led.is_on(code, at) for at in range(period - 1200, period))


def test_the_codes_without_a_number_differ_from_all_others():
    assert blinks(led.JOINED) == 1 and blinks(led.SAFE) == 20 and blinks(led.IDENTIFY) == 8 and blinks(led.OFF) == 0
