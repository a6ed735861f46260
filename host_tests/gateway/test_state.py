"""What the gateway keeps: acknowledged is kept, whenever the process dies; what breaks harms nobody else."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from picoswarm_gateway import history, nodefile
from picoswarm_gateway.history import LENGTHS, SERIES, STEPS, History
from picoswarm_gateway.known import KnownNode
from picoswarm_gateway.state import State, StateError

KILLS = 200 if os.environ.get("PICOSWARM_LONG") else 20
BACK_S = 2.0  # from a killed gateway's restart to the first change that its state takes
TABLE = ["CREATE TABLE mail (writer INTEGER, number INTEGER, text TEXT)"]
# Eight writers at once, each with changes of two rows and changes that fail, print what was acknowledged. One is slow, so
# that most kills come between the changes of a commit and its end.
WRITER = """
import asyncio, sys, time
from pathlib import Path
from picoswarm_gateway.state import State

async def write(state, writer, number):
    while True:
        number += 2
        def put(connection):
            for each in (number, number + 1):
                connection.execute("INSERT INTO mail VALUES (?, ?, ?)", (writer, each, "x" * (number % 997)))
                time.sleep(0.003 * (writer == 7))
        await state.change(put)
        print(writer, number, flush=True)
        try:
            await state.write("INSERT INTO nothing VALUES (1)")
        except Exception:
            pass

async def main():
    state = State(Path(sys.argv[1]))
    await state.open()
    await state.adopt("mail", ["CREATE TABLE mail (writer INTEGER, number INTEGER, text TEXT)"])
    print("ready", flush=True)
    await asyncio.gather(*(write(state, writer, int(sys.argv[2])) for writer in range(8)))

asyncio.run(main())
"""


def on_state(folder: Path, story) -> None:
    """Run a coroutine function of an open State."""

    async def whole() -> None:
        state = State(folder / "state.sqlite")
        await state.open()
        try:
            await story(state)
        finally:
            await state.close()

    asyncio.run(whole())


def acknowledged_before_the_kill(path: Path, first: int, seconds: float) -> set[tuple[int, int]]:
    """Start a writing process, kill it in the midst, and return what it was told is kept: (writer, number)."""
    command = [sys.executable, "-c", WRITER, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        process.kill()
        lines = process.stdout.read().split("\n")[:-1]  # the last one may be cut
    return {(int(line.split()[0]), int(line.split()[1])) for line in lines}


def test_what_was_acknowledged_survives_a_kill_at_any_moment(tmp_path, record_property):
    path = tmp_path / "state.sqlite"
    draw = random.Random(7)
    acknowledged: set[tuple[int, int]] = set()
    slowest = 0.0
    for kill in range(KILLS):
        acknowledged |= acknowledged_before_the_kill(path, kill * 1_000_000, draw.uniform(0, 0.12))
        began = time.monotonic()

        async def comes_back(state: State) -> None:
            await state.adopt("mail", TABLE)
            await state.write("INSERT INTO mail VALUES (-1, 0, '')")

        on_state(tmp_path, comes_back)
        slowest = max(slowest, time.monotonic() - began)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = set(connection.execute("SELECT writer, number FROM mail WHERE writer >= 0"))
    assert acknowledged
    for writer, number in acknowledged:
        assert {(writer, number), (writer, number + 1)} <= kept
    for writer, number in kept:  # both rows of a change, or none of it
        assert (writer, number ^ 1) in kept
    record_property("measured", f"{KILLS} kills, {len(acknowledged)} acknowledged, back in {slowest:.2f} s at most")
    assert slowest < BACK_S


def test_many_changes_at_once_share_a_commit(tmp_path):
    async def story(state):
        await state.adopt("mail", TABLE)
        before = state.commits
        await asyncio.gather(*(state.write("INSERT INTO mail VALUES (0, ?, '')", (i,)) for i in range(1000)))
        assert state.commits - before < 200
        assert await state.read("SELECT count(*), max(number) FROM mail") == [(1000, 999)]

    on_state(tmp_path, story)


def test_a_change_that_fails_leaves_nothing_and_harms_no_other(tmp_path):
    async def story(state):
        await state.adopt("mail", TABLE)

        def half(connection):
            connection.execute("INSERT INTO mail VALUES (9, 9, '')")
            raise ValueError("in the midst")

        good = [state.write("INSERT INTO mail VALUES (1, ?, '')", (i,)) for i in range(20)]
        outcomes = await asyncio.gather(*good, state.change(half), *good[:0], return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(ValueError) == 1
        assert await state.read("SELECT writer, count(*) FROM mail GROUP BY writer") == [(1, 20)]
        assert state.failures == 1 and not state.fault

    on_state(tmp_path, story)


def test_what_nobody_waits_for_is_kept_by_the_close(tmp_path):
    async def puts(state):
        await state.adopt("mail", TABLE)
        assert state.later(lambda connection: connection.execute("INSERT INTO mail VALUES (1, 2, '')"))

    async def looks(state):
        assert await state.read("SELECT writer, number FROM mail") == [(1, 2)]

    on_state(tmp_path, puts)
    on_state(tmp_path, looks)


def test_tables_of_a_part_grow_by_scripts_and_never_back(tmp_path):
    second = "CREATE TABLE two (a INTEGER);\nINSERT INTO two VALUES (5);\nCREATE INDEX two_a ON two (a);"

    async def story(state):
        await state.adopt("mail", TABLE)
        await state.write("INSERT INTO mail VALUES (1, 1, 'kept')")
        await state.adopt("mail", [*TABLE, second])
        await state.adopt("mail", [*TABLE, second])
        assert await state.read("SELECT text, a FROM mail, two") == [("kept", 5)]
        with pytest.raises(StateError, match="version 2"):
            await state.adopt("mail", TABLE)
        with pytest.raises(sqlite3.OperationalError):
            await state.adopt("mail", [*TABLE, second, "CREATE TABLE three (a);\nnonsense;"])
        assert not await state.read("SELECT 1 FROM sqlite_master WHERE name = 'three'")

    on_state(tmp_path, story)


def test_a_file_that_is_no_database_is_set_aside(tmp_path):
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"this is no database" * 500)

    async def story(state):
        await state.adopt("mail", TABLE)

    on_state(tmp_path, story)
    (aside,) = tmp_path.glob("state.sqlite.broken-*")
    assert aside.read_bytes().startswith(b"this is no")
    assert path.stat().st_mode & 0o077 == 0


def test_a_closed_state_takes_nothing(tmp_path):
    async def story():
        state = State(tmp_path / "state.sqlite")
        await state.open()
        await state.close()
        await state.close()
        with pytest.raises(StateError):
            await state.write("SELECT 1")
        with pytest.raises(StateError):
            await state.read("SELECT 1")
        assert not state.later(lambda connection: None)

    asyncio.run(story())


def test_history_gives_means_in_the_finest_step_that_reaches(tmp_path):
    async def story(state):
        kept = History(state)
        await kept.start()
        start = 1_800_000_000
        for i in range(60):
            kept.record({"sessions": i}, start + i * 10)
        await state.settle()
        near = await kept.read("sessions", 590, start + 590)
        assert near[-1] == (start + 590, 59) and len(near) == 60
        far = await kept.read("sessions", 86400, start + 590)
        assert far == [(start, 14.5), (start + 300, 44.5)]

    on_state(tmp_path, story)


def test_history_never_takes_more_rows_than_its_rings(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "LENGTHS", (6, 4, 3))

    async def story(state):
        kept = History(state)
        await kept.start()
        for i in range(500):
            kept.record({f"s{name}": i for name in range(SERIES + 5)}, 1_800_000_000 + i * 100)
        await state.settle()
        ((rows, series),) = await state.read("SELECT count(*), count(DISTINCT series) FROM history")
        assert series == SERIES and rows <= SERIES * 13

    on_state(tmp_path, story)
    assert len(LENGTHS) == len(STEPS)


def test_nodes_are_known_again_with_their_last_address(tmp_path):
    node = KnownNode(bytes(range(32)), "board", "192.0.2.1", 20742, "session", first_seen=100.0, counters={"sent": 3})

    async def story(state):
        assert await nodefile.load(state) == {}
        for i in range(20):
            node.change(ip=f"192.0.2.{i}", last_seen=200.0 + i, bytes_in=i)
            nodefile.save(state, [node])
        await state.settle()
        known = await nodefile.load(state)
        again = known[node.id]
        assert (again.name, again.ip, again.first_seen, again.last_seen) == ("board", "192.0.2.19", 100.0, 219.0)
        assert again.bytes_in == 19 and again.counters == {"sent": 3} and again.state == "gone"
        assert await state.read("SELECT count(*) FROM addresses") == [(nodefile.ADDRESSES,)]

    on_state(tmp_path, story)
