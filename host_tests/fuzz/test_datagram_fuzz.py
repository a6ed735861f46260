"""Fuzzing what a node decodes: mutated plaintexts of each message under the right keys, raw bytes, mutated files, and what
passes when a session is set up, on CPython and on 32-bit MicroPython (every_decoder.py). 10^5 of each message with
PICOSWARM_LONG=1, otherwise a tenth of that, of which a board meets the first quarter: the mutants are the same on both.

Fuzzing says something about the branches that it reaches only: so they are counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import branches
from picoswarm_tools import mpy, runtimes
from support import LONG

HERE = Path(__file__).resolve().parent
UNIT = HERE.parent / "unit"
COUNT = 100_000 if LONG else 10_000
ON_BOARD = COUNT if LONG else 2500
COVERAGE_COUNT = 2000  # of each: what is not reached by then is not reached by chance
HEAP_KB = 160

TYPES = ("PING", "PONG", "FIND_NODE", "NEIGHBORS", "BEACON")
# What the mutants of a type must have met, or the fuzzing stands before the door.
REACHED = {
    "PING": ("drop_size", "drop_implausible", "drop_repeated", "drop_wrong_tag", "drop_untagged", "drop_unknown_sender"),
    "PONG": ("drop_implausible", "drop_unasked", "seen_elsewhere"),
    "FIND_NODE": ("drop_implausible", "wrong_token"),
    "NEIGHBORS": ("drop_implausible", "drop_unasked", "bad_record"),
    "BEACON": ("drop_implausible", "drop_untagged"),
}
# What decodes, by file of the library and function. One that was renamed fails the test until it is named here again.
DECODERS = {
    "datagram": ("datagram.py", ("Codec.open", "Codec.lay_out", "Codec.is_paired", "beyond_of")),
    "NEIGHBORS": ("discovery.py", ("Discovery._on_neighbors",)),
    "node database": ("nodedb.py", ("decode_nodes",)),
    "slot": ("slots.py", ("decode_slot",)),
    "HELLO": ("hello.py", ("decode", "_is_name")),
    "handshake": ("handshake.py", ("Handshake._arrive", "Handshake._run", "Handshake._meet", "Reception.judge")),
    "Noise": ("noise.py", ("_crypt", "Noise.message")),
    "peer exchange": ("pex.py", ("PeerExchange.receive", "PeerExchange._learn")),
    "address book": ("addrbook.py", ("AddressBook.add", "AddressBook.is_credible")),
    "saved address book": ("bookfile.py", ("decode_book",)),
}


def fuzz_on_cpython(what: str, count: int) -> dict[str, int]:
    """The counters of every_decoder.run in a process of its own."""
    program = f"import json, every_decoder; print(json.dumps(every_decoder.run({what!r}, {count})))"
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE, UNIT, runtimes.ROOT / "lib")))}


def fuzz_on_micropython(what: str, count: int, folder: Path) -> dict[str, int]:
    library = mpy.compile_library("x86")
    names = ("every_decoder", "datagram_fuzz", "session_fuzz", "stored_fuzz", "exchange_fuzz", "fuzz_draw")
    helpers = [UNIT / f"{name}.py" for name in ("forms", "link", "sessions", "support")]
    mpy.compile_beside([*(HERE / f"{name}.py" for name in names), *helpers], folder, "x86")
    program = f"import json, every_decoder; print(json.dumps(every_decoder.run({what!r}, {count}, 4)))"
    done = runtimes.run_micropython(["-c", program], HEAP_KB, {"MICROPYPATH": f"{library}:{folder}:.frozen"}, folder, 3000)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def check_mutants(what: str, counters: dict[str, int], count: int) -> None:
    assert counters["received"] >= count
    for name in REACHED[what]:
        assert counters[name] > 0, name


@pytest.mark.parametrize("what", TYPES)
def test_mutated_plaintexts_are_only_counted(what):
    check_mutants(what, fuzz_on_cpython(what, COUNT), COUNT)


@pytest.mark.parametrize("what", TYPES)
def test_mutated_plaintexts_are_only_counted_on_a_board(what, tmp_path):
    check_mutants(what, fuzz_on_micropython(what, ON_BOARD, tmp_path), ON_BOARD)


def check_raw(counters: dict[str, int]) -> None:
    dropped = sum(counters[name] for name in ("drop_size", "drop_version", "drop_implausible", "drop_forged"))
    assert dropped == counters["received"] == COUNT // 10
    assert counters["drop_forged"] > 0


def test_raw_bytes_are_only_counted():
    check_raw(fuzz_on_cpython("raw", COUNT // 10))


def test_raw_bytes_are_only_counted_on_a_board(tmp_path):
    check_raw(fuzz_on_micropython("raw", COUNT // 10, tmp_path))


def test_mutated_files_are_decoded_or_refused():
    assert min(fuzz_on_cpython("stored", COUNT)) > COUNT // 20


def test_mutated_files_are_decoded_or_refused_on_a_board(tmp_path):
    assert min(fuzz_on_micropython("stored", COUNT, tmp_path)) > COUNT // 20


def test_disturbed_set_ups_give_no_keys():
    assert min(fuzz_on_cpython("session", COUNT).values()) > COUNT // 100


def test_disturbed_set_ups_give_no_keys_on_a_board(tmp_path):
    assert min(fuzz_on_micropython("session", ON_BOARD, tmp_path).values()) > ON_BOARD // 100


@pytest.mark.parametrize("what", ["messages", "books"])
def test_mutants_of_peer_exchange_and_of_saved_books_are_taken_or_refused(what):
    assert min(fuzz_on_cpython(what, COUNT)) > COUNT // 10


@pytest.mark.parametrize("what", ["messages", "books"])
def test_mutants_of_peer_exchange_and_of_saved_books_are_taken_or_refused_on_a_board(what, tmp_path):
    assert min(fuzz_on_micropython(what, COUNT, tmp_path)) > COUNT // 10


@pytest.fixture(scope="module")
def coverage_of_fuzzing(tmp_path_factory) -> dict[str, dict]:
    """coverage's account of each function of the library, by file name, after a run of every_decoder.py."""
    program = [str(HERE / "every_decoder.py"), str(COVERAGE_COUNT)]
    return branches.account(tmp_path_factory.mktemp("coverage"), program, environment())


@pytest.mark.parametrize("decoder", DECODERS)
def test_fuzzing_reaches_the_branches_of_each_decoder(coverage_of_fuzzing, decoder):
    file, functions = DECODERS[decoder]
    branches.check(decoder, coverage_of_fuzzing[file], functions)
