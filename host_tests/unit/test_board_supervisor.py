"""How a life of a board ends, in virtual time: by its network, its program, its heap, or in order."""

import asyncio
import os
import sys

from swarmboard import config
from swarmboard.boots import Boots
from swarmboard.supervisor import RESTART, Supervisor

RUNTIMES = ("micropython",)


class Light:
    code = 0


class Station:
    """An interface that is up or not, or refuses to be asked."""

    wifi = {"ssid": "home"}
    is_there = True
    refuses = False

    def __init__(self):
        self.connects = self.resets = 0

    def is_up(self):
        return self.is_there

    def why(self):
        return "no ap found"

    def connect(self):
        self.connects += 1
        if self.refuses:
            raise OSError(5)

    async def reset(self):
        self.resets += 1
        self.connect()


class Node:
    def sessions(self):
        return ()

    peers = sessions


def supervisor(is_safe=False, **numbers):
    made = Supervisor(config.check({"supervisor": numbers}), is_safe, Light(), None)
    made.station = Station()
    made._ask = silence
    return made


async def silence():
    pass


def pass_time(made, seconds, **each):
    """(second, ending) when this life ends, or (seconds, None)."""
    for second in range(seconds):
        made._life_ms += 1000
        ending = asyncio.run(made._tend_link(1000)) or made._judge(1000)
        if ending:
            return second, ending
    return seconds, None


def counted():
    return Boots().count


def boot(count):
    """As if so many boots in a row had gone wrong, this one counted."""
    try:
        os.remove("boots.dat")
    except OSError:
        pass
    for _ in range(count):
        Boots().begin()


def test_an_interface_that_refuses_three_calls_ends_it():
    made = supervisor()
    made.station.is_there, made.station.refuses = False, True
    second, ending = pass_time(made, 300)
    assert ending == RESTART and made.station.connects == 3 and second < 120


def test_a_network_that_is_away_does_not_end_it_for_long():
    made = supervisor()
    made.station.is_there = False
    second, ending = pass_time(made, 3700)
    assert ending == RESTART and 3590 <= second <= 3601 and made.station.resets > 5


def test_an_access_point_that_is_away_for_hours_does_not_bring_safe_mode():
    boot(6)
    made = supervisor()
    made.station.is_there = False
    assert pass_time(made, 3700)[1] == RESTART and counted() == 0, "the program did not run"
    boot(7)
    made = supervisor(is_safe=True, safe_min=1000)
    made.station.is_there = False
    assert pass_time(made, 3700)[1] == RESTART and counted() == 7
    boot(0)


def test_a_boot_is_good_once_the_node_has_run_for_a_minute():
    boot(4)
    made = supervisor()
    assert pass_time(made, 100) == (100, None) and counted() == 4, "without a node nothing is proven"
    made.node = Node()
    pass_time(made, 1)
    assert counted() == 0
    boot(0)


def test_a_flash_that_cannot_confirm_an_update_does_not_end_the_life_of_a_good_program():
    class Apps:
        def confirm():
            raise OSError(28)

    boot(4)
    made = supervisor()
    made.node = Node()
    sys.modules["apps"] = Apps
    try:
        assert pass_time(made, 100) == (100, None) and counted() == 0
    finally:
        del sys.modules["apps"]
    boot(0)


def test_a_node_without_sessions_keeps_no_log_and_its_program_runs_all_the_same():
    class Discovery(Node):
        def log(self, line):
            raise ValueError("its profile has links=0")

    made = supervisor()
    made.board.log("boot: power on")
    made.board.started(Discovery())
    made.board.log("hello")
    assert made.board.node


def test_a_sleep_of_no_time_is_not_one_for_ever():
    async def ask(board):
        task = asyncio.create_task(board.sleep(0.0001))
        await asyncio.sleep_ms(5)
        task.cancel()
        return board.ending

    assert asyncio.run(ask(supervisor().board)) == ("sleep", 1)


def test_a_program_that_failed_has_its_log_read_and_then_ends_it_as_a_bad_boot():
    boot(2)
    made = supervisor()
    made.node = Node()
    made._fails_in_ms = 5000
    assert pass_time(made, 100) == (4, RESTART) and counted() == 2
    boot(0)


def test_who_sleeps_in_order_had_a_good_boot():
    boot(3)
    made = supervisor()
    made.board.ending = "sleep", 60_000
    assert pass_time(made, 2) == (0, ("sleep", 60_000)) and counted() == 0
    boot(0)


def test_troubles_with_the_flash_outlive_a_sleep_and_no_restart():
    class Updater:
        ready = asyncio.Event()
        troubles = 3

    for ending, note in ((("sleep", 60_000), 3), (RESTART, 0)):
        boot(0)
        made = supervisor()
        made.updater = Updater()
        made.board.ending = ending
        assert pass_time(made, 2) == (0, ending) and counted() == 0
        assert Boots().note == note
    boot(0)


def test_safe_mode_lasts_a_quarter_of_an_hour_and_then_the_program_has_one_try():
    boot(7)
    made = supervisor(is_safe=True)
    made.node = Node()
    second, ending = pass_time(made, 2000)
    assert ending == RESTART and 895 <= second <= 900
    next_boot = Boots()
    next_boot.begin()
    assert not next_boot.is_safe()
    next_boot.begin()
    assert next_boot.is_safe()
    boot(0)


def test_a_new_program_by_an_update_ends_it_also_in_safe_mode():
    class Updater:
        ready = asyncio.Event()

    boot(7)
    made = supervisor(is_safe=True)
    made.updater = Updater()
    assert pass_time(made, 5) == (5, None)
    Updater.ready.set()
    assert pass_time(made, 5) == (0, RESTART) and counted() == 0
    boot(0)
