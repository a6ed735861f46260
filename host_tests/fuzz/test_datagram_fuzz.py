"""Fuzzing the discovery engine: mutated plaintexts under the right keys, and raw bytes (datagram_fuzz.py), on CPython and on
32-bit MicroPython. Short counts in `make test`, 10^5 for each type with PICOSWARM_LONG=1."""

from __future__ import annotations

from pathlib import Path

from fuzz.datagram_fuzz import raw, run
from picoswarm_tools import mpy, runtimes
from support import LONG

HERE = Path(__file__).resolve().parent
COUNT = 12 * 50_000 if LONG else 4000  # twelve forms of the five types are mutated in turn


def test_mutated_plaintexts_are_only_counted():
    stats, _ = run(COUNT, 1)
    for name in ("drop_implausible", "drop_repeated", "drop_unasked", "bad_record", "wrong_token"):
        assert stats[name] > 0, name  # the mutations reach that far


def test_raw_bytes_are_only_counted():
    stats = raw(10_000 if LONG else 1000)
    assert stats["drop_version"] + stats["drop_implausible"] + stats["drop_forged"] == stats["received"]


def test_mutated_plaintexts_are_only_counted_on_a_board(tmp_path):
    mpy.compile_library("x86")
    unit = HERE.parent / "unit"
    mpy.compile_beside([unit / "link.py", unit / "support.py", HERE / "datagram_fuzz.py"], tmp_path, "x86")
    count = COUNT if LONG else 600
    env = {"MICROPYPATH": f"{mpy.library_folder('x86')}:{tmp_path}:.frozen"}
    script = f"import datagram_fuzz; print('FUZZED', datagram_fuzz.run({count}, 4)[0]['received'] >= {count})"
    done = runtimes.run_micropython(["-c", script], 128, env, tmp_path, 3000, 32)
    assert done.returncode == 0 and "FUZZED True" in done.stdout, done.stdout + done.stderr
