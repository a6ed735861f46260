"""The measurements of the mux run, with few messages, and what does not depend on the machine keeps its goal."""

from __future__ import annotations

import pytest
from picoswarm_tools.rows import mux


@pytest.mark.parametrize("what", mux.PEERS)
def test_both_programs_of_a_measurement_come_to_an_end(what):
    seconds, told = mux.user_seconds(what, 300, 64)
    assert seconds >= 0
    assert (told.strip() != "") == (what == "echo")


def test_instructions_are_counted():
    few, more = (mux.instructions("echo", count, 64) for count in (100, 300))
    assert 10_000 < (more - few) / 200 < 1_000_000


def test_messages_of_one_length_take_no_memory():
    assert mux.allocated(980, 0) == 0


def test_an_urgent_message_waits_for_two_records_at_most():
    assert mux.urgent_wait() <= 2


def test_shares_are_as_the_priorities():
    assert mux.share_error() <= 10
