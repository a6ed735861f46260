"""Numbers that modules share without importing them. A board pays for each name that it imports, so every module writes its
own constant; here they are held together."""

from __future__ import annotations

import ast

import pytest
from picoswarm.reasons import NAMES
from picoswarm_tools.mpy import LIBRARY


def constants(module: str) -> dict[str, int]:
    """The numbers that a module gives names to at its top level."""
    found = {}
    for node in ast.parse((LIBRARY / f"{module}.py").read_text()).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = node.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "const":
                value = value.args[0]
            try:
                number = ast.literal_eval(value)
            except ValueError:
                continue
            if isinstance(number, int):
                found[node.targets[0].id] = number
    return found


# Where a number is at home, and under which names others repeat it: (module, its name there, name at home).
REPEATED = {
    "connmgr": [
        *(("swarm", name, name) for name in ("CANCELED", "ESTABLISHED", "KEEP", "ASK_OLD", "NO_ANSWER")),
        ("seeking", "ESTABLISHED", "ESTABLISHED"),
        *(("rekey", name, name) for name in ("NOTE", "REST", "BUSY_MIN")),
    ],
    "session": [
        *(("swarm", name, name) for name in ("CONNECTING", "GREETING", "PARKED", "STARTED", "OPEN", "CLOSING", "OVER")),
        *((module, "OPEN", "OPEN") for module in ("services", "asking", "rekey")),
    ],
    "swarm": [
        *(("tcp", name, name) for name in ("DIAL", "HANG_UP")),
        *(("services", name, name) for name in ("OPENED", "CLOSED", "STREAM")),
        ("streams", "CLOSED", "CLOSED"),
    ],
    "handshake": [*(("swarm", name, name) for name in ("OPENED", "DONE", "FAILED")), ("tcp", "SET_UP", "BUFFER")],
    "lanes": [
        ("swarm", "GOAWAY", "GOAWAY_EVENT"),
        ("services", "NAME", "NAME"),
        ("services", "STREAM_PRIORITY", "PRIORITY"),
    ],
    "rpc": [("services", name, name) for name in ("CALL", "OK", "TIMEOUT", "LOST")],
    "logstats": [("asking", name, name) for name in ("LOG", "STATS")],
    "discovery": [("swarm", "TCP", "TCP")],
    "membership": [("changes", name, name) for name in ("EPOCHS", "HALF")],
}
# Modules whose constants with the words of reasons.py are reasons, and the words that mean nothing else there.
WITH_REASONS = ("connmgr", "handshake", "hello", "lanes", "mux", "pex", "pubsub", "rekey", "returning", "session", "swarm")
WORDS = set(NAMES.split()) - {"credit", "channel", "stream"}


@pytest.mark.parametrize("home", REPEATED)
def test_a_number_that_is_repeated_is_the_one_at_home(home):
    at_home = constants(home)
    for module, name, name_at_home in REPEATED[home]:
        number = at_home.get(name_at_home, at_home.get(f"_{name_at_home}"))
        assert constants(module)[f"_{name}"] == number, f"{module}._{name}"


def test_what_the_mux_knows_of_rows_is_what_lanes_knows():
    mux, lanes = constants("mux"), constants("lanes")
    shared = mux.keys() & lanes.keys()
    assert len(shared) > 20 and {name: mux[name] for name in shared} == {name: lanes[name] for name in shared}


def test_reasons_have_one_number_everywhere():
    numbers = {word: number for number, word in enumerate(NAMES.split())}
    seen = 0
    for module in WITH_REASONS:
        for name, number in constants(module).items():
            if name.lower().removeprefix("_") in WORDS and name.startswith("_"):
                assert number == numbers[name.lower().removeprefix("_")], f"{module}.{name}"
                seen += 1
    assert seen > 30


def test_the_events_of_a_stream_follow_those_of_the_mux():
    """swarm.py adds the same number to each kind."""
    lanes = constants("lanes")
    shift = constants("swarm")["STREAM"] - lanes["_STREAM"]
    for module in ("services", "streams"):
        assert constants(module)["_RESET"] == lanes["_RESET_EVENT"] + shift
