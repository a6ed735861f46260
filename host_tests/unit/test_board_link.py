"""The Wi-Fi manager in virtual time: what is done about a network that is away, or says that it is there and is not."""

from swarmboard.link import (
    CONNECT,
    JOIN,
    NOTHING,
    REBOOT,
    REBOOT_AFTER,
    REBOOT_UNPROVEN,
    RESET,
    SILENT,
    Link,
)


class Air:
    """A link, a clock, and what is around: `is_up` is what the interface says, `passes` whether anything comes over it."""

    def __init__(self, is_up=False, passes=True):
        self.link = Link()
        self.is_up = is_up
        self.passes = passes
        self.at_s = 0
        self.heard = 0
        self.asked = 0
        self.done = []  # (second, action)
        self.joins = {}  # what happens by an action

    def run(self, seconds, talk_every=0):
        """Let time pass; a node of the mesh is heard every so many seconds."""
        for _ in range(seconds):
            self.at_s += 1
            if talk_every and self.at_s % talk_every == 0 and self.is_up and self.passes:
                self.heard += 1
            action = self.link.step(1000, self.is_up, self.heard)
            if self.link.wants_answer():
                self.asked += 1
                self.heard += self.is_up and self.passes
            if action != NOTHING:
                self.done.append((self.at_s, action))
                if action in self.joins:
                    self.joins[action](self)
        return self.done

    def actions(self):
        return [action for _, action in self.done]


def repair(air):
    air.is_up = air.passes = True


def test_the_first_try_comes_at_once():
    assert Air().run(1) == [(1, CONNECT)]


def test_a_network_that_is_there_is_left_alone():
    air = Air()
    air.joins[CONNECT] = repair
    air.run(3600, talk_every=10)
    assert air.actions() == [CONNECT] and air.link.tries == 0


def test_an_access_point_that_is_away_is_tried_ever_less_and_the_radio_is_reset_now_and_then():
    air = Air()
    air.run(600)
    times = [at for at, _ in air.done]
    rests = [b - a for a, b in zip(times, times[1:])]
    assert rests[:3] == [25, 30, 40] and max(rests) == 80 and rests == sorted(rests)
    assert air.actions()[:6] == [CONNECT, CONNECT, RESET, CONNECT, CONNECT, RESET]
    assert REBOOT not in air.actions()


def test_a_connection_that_was_lost_is_joined_again_at_once():
    air = Air()
    air.joins[CONNECT] = repair
    air.run(100, talk_every=5)
    air.is_up = False
    assert air.run(1)[-1] == (101, CONNECT)


def test_a_quiet_mesh_is_no_dead_network_while_the_router_answers():
    """A board that is alone: nothing but its questions, one for each twenty seconds of silence, keeps the connection."""
    air = Air()
    air.joins[CONNECT] = repair
    air.run(7200)
    assert air.actions() == [CONNECT] and 250 < air.asked < 400


def test_a_radio_that_says_connected_and_passes_nothing_is_recovered_in_steps_of_more_force():
    air = Air()
    air.joins[CONNECT] = lambda air: setattr(air, "is_up", True)
    air.run(100, talk_every=5)
    air.passes = False  # as on a Pico W after some hours
    began = air.at_s
    air.done.clear()
    air.run(REBOOT_AFTER // 1000 + 5)
    assert air.actions()[:3] == [CONNECT, RESET, RESET]
    assert 40 <= air.done[0][0] - began <= SILENT // 1000 + 5
    assert air.actions()[-1] == REBOOT and air.done[-1][0] - began <= REBOOT_AFTER // 1000 + 5
    assert air.actions().count(REBOOT) == 1


def test_the_first_step_that_helps_is_the_last_one():
    for helps, steps in ((CONNECT, [CONNECT]), (RESET, [CONNECT, RESET])):
        air = Air(is_up=True)
        air.run(60, talk_every=5)
        air.passes = False
        air.done.clear()
        air.joins[helps] = repair
        air.run(1200, talk_every=5)
        assert air.actions() == steps and air.link.tries == 0


def test_a_board_on_a_network_where_nobody_ever_answers_is_not_restarted_all_the_time():
    """Alone behind a router that answers no questions: silence proves nothing there."""
    air = Air(is_up=True, passes=False)
    air.run(REBOOT_UNPROVEN // 1000 - 1)
    assert REBOOT not in air.actions() and len(air.done) < 12
    air.run(2)
    assert air.actions()[-1] == REBOOT


def test_an_interface_that_comes_and_goes_is_not_taken_for_life():
    air = Air()
    air.run(60, talk_every=5)
    air.done.clear()
    for _ in range(REBOOT_UNPROVEN // 20000):
        air.is_up = not air.is_up
        air.passes = False
        air.run(20)
    assert REBOOT in air.actions()


def test_counts_do_not_grow_without_end():
    link = Link()
    link.step(1000, True, 0)
    link.step(1000, True, 1)
    for _ in range(100):
        link.step(1 << 28, True, 1)
    assert link.silent_ms < 1 << 30 and JOIN > 0
