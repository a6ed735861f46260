"""What a node takes of a board's heap: no more than its goal, and what `picoswarm size` predicts (issue 4)."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner
from picoswarm_tools.boards import numbers_of
from picoswarm_tools.rows.discovery_device import bare_interpreter
from picoswarm_tools.rows.session_heap import GOALS_KB, KB, around, overlay_costs
from picoswarm_tools.size import momentary, predict, size, total
from picoswarm_tools.whole_node import Case, cases, observe, observed

WITHIN = 0.05
READINGS = 3
# Two profiles that differ in everything that takes memory.
PROFILES = {"default": {}, "leaf": numbers_of("leaf")}


async def heap_of(goal: str) -> int:
    """Bytes that the node of a goal takes, the least of some readings where it is missed: on a busy machine somebody may be
    at its door all the time."""
    name, _, form = goal.partition(".")
    is_frozen = form == "frozen"
    taken = []
    while not taken or taken[-1] > GOALS_KB[goal] * KB and len(taken) < READINGS:
        taken.append(around(name, is_frozen) + (await observed(cases()[name], None, is_frozen)).heap)
    return min(taken)


def test_a_node_with_all_its_sessions_keeps_within_its_goal(record_property):
    """Full and leaf, from files and frozen, all at once: they mostly wait."""

    async def all_of_them():
        return dict(zip(GOALS_KB, await asyncio.gather(*map(heap_of, GOALS_KB)), strict=True))

    taken = asyncio.run(all_of_them())
    record_property("measured", f"bytes of heap {taken}, of KB {GOALS_KB}")
    assert all(taken[goal] <= kb * KB for goal, kb in GOALS_KB.items()), taken


@pytest.mark.parametrize("name", PROFILES)
def test_a_node_with_all_its_sessions_takes_what_was_predicted(name, record_property):
    numbers = PROFILES[name]
    predicted = total(predict(numbers, has_native=False, is_leaf=name == "leaf"))
    case = Case(name, numbers, Case(name, numbers, 0).served, "leaf" if name == "leaf" else "")
    taken = bare_interpreter() + observe(case).heap
    record_property("measured", f"{name}: predicted {predicted:,}, taken {taken:,} bytes")
    assert abs(predicted - taken) <= WITHIN * taken


def test_a_smaller_profile_is_predicted_to_take_less():
    table, smaller = ([part for part in predict(numbers) if "records" in part.what][0] for numbers in ({}, {"records": 64}))
    assert table.total - smaller.total >= 64 * 60
    assert total(predict({"records": 64})) < total(predict({}))


def test_the_command_names_the_board_and_what_is_left_of_its_heap():
    done = CliRunner().invoke(size, ["ESP32_GENERIC", "links=2"])
    assert not done.exit_code
    assert "for your program" in done.output and "2 x" in done.output


def test_what_is_loaded_for_a_moment_is_told_beside_what_stays():
    assert momentary({"links": 0}) == max(overlay_costs("discovery")) and momentary({}) == max(overlay_costs())


def test_the_command_gives_numbers_to_programs():
    facts = json.loads(CliRunner().invoke(size, ["links=0", "--json"]).output)
    assert facts["bytes"] == sum(facts["parts"].values())
    assert 0 < facts["momentary"] < facts["bytes"]
    assert "sessions" not in facts["parts"]


@pytest.mark.parametrize("words", [["NO_SUCH_BOARD"], ["linkss=2"], ["links=many"], ["records=1000"]])
def test_what_is_no_profile_is_refused_with_the_reason(words):
    done = CliRunner().invoke(size, words)
    assert done.exit_code == 2 and "Error" in done.output
