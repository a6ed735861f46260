"""Which application a board starts, over updates, confirmations and boot loops (docs/updates.md)."""

from picoswarm.appslots import TRIES, AppState
from picoswarm.errors import Malformed
from support import raises


def booted(state):
    """The state after one more boot, through what the store keeps. The slot that starts is `slot`."""
    state = AppState(state.encode())
    state.start()
    return AppState(state.encode())


def test_a_board_that_never_had_an_update_runs_the_users_own():
    state = AppState()
    assert not state.start() and state.slot == 0 and state.spare() == 1
    assert AppState(None).encode() == bytes(15)


def test_a_switch_takes_the_spare_folder_and_keeps_the_other():
    state = AppState()
    state.switch(7)
    assert (state.slot, state.version, state.floor, state.before) == (1, 7, 7, 0)
    state = booted(state)
    assert state.confirm() and not state.confirm()
    state.switch(9)
    assert (state.slot, state.version, state.before, state.version_before) == (2, 9, 1, 7)
    state = booted(state)
    assert state.confirm() and state.spare() == 1


def test_a_boot_loop_after_the_switch_ends_with_the_application_before():
    state = AppState()
    state.switch(7)
    state = booted(state)
    state.confirm()
    state.switch(8)
    for _ in range(TRIES):
        state = booted(state)
        assert state.slot == 2 and state.version == 8
    state = booted(state)
    assert (state.slot, state.version, state.trial) == (1, 7, 0)
    assert not state.start(), "and stays"


def test_a_boot_loop_of_the_first_update_ends_with_the_users_own():
    state = AppState()
    state.switch(7)
    for _ in range(TRIES + 1):
        state = booted(state)
    assert (state.slot, state.version, state.floor) == (0, 0, 7)


def test_what_was_rolled_back_is_not_taken_again():
    state = AppState()
    state.switch(7)
    for _ in range(TRIES + 1):
        state = booted(state)
    assert state.floor == 7 and state.spare() == 1
    state.switch(8)
    assert state.floor == 8 and state.before == 0


def test_no_update_is_written_while_both_folders_are_wanted():
    state = AppState()
    state.switch(7)
    assert state.spare() == 0
    state = booted(state)
    assert state.spare() == 0
    state.confirm()
    assert state.spare() == 2


def test_a_confirmation_at_the_last_try_counts():
    state = AppState()
    state.switch(7)
    for _ in range(TRIES):
        state = booted(state)
    assert state.confirm()
    for _ in range(5):
        state = booted(state)
    assert state.slot == 1 and state.version == 7


def test_a_record_of_another_layout_is_malformed():
    for bad in (b"x", bytes(14), bytes(16), b"\3" + bytes(14), b"\1\5" + bytes(13), bytes(10) + b"\3" + bytes(4)):
        raises(Malformed, AppState, bad)
