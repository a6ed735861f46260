"""The JSON vectors of the mux are what their generator makes, and the mux agrees with every one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from muxing import End
from picoswarm.channel import Channel
from picoswarm.profile import Profile
from vectors import make_mux

VECTORS = json.loads((Path(__file__).resolve().parent / "mux-records.json").read_text())
CHANNELS = tuple(Channel(each["id"], each["priority"], 8, 4096, each["limit"]) for each in VECTORS["channels"])


def by_name(key: str):
    return pytest.mark.parametrize("vector", VECTORS[key], ids=lambda v: v["name"])


def started(is_initiator: bool) -> End:
    end = End(Profile(record=VECTORS["record"]), CHANNELS, is_initiator, 0)
    end.mux.start(bytes(channel.id for channel in CHANNELS), VECTORS["record"], 0)
    return end


def do(end: End, action: str, *rest) -> None:
    mux = end.mux
    events = end.events()
    if action == "send":
        assert mux.try_send(rest[0], bytes.fromhex(rest[1]))
    elif action == "open":
        assert mux.open(bytes.fromhex(rest[0]), 5) == rest[1]
    elif action == "read":
        assert end.read(rest[0]) == bytes.fromhex(rest[1])
    elif action == "told":
        assert (5, rest[0], 7) in events
    elif action == "leave":
        mux.go_away(*rest)
    else:
        {"close": mux.close, "reset": mux.reset, "ping": mux.ping}[action](*rest)


def test_the_file_is_what_the_generator_makes():
    assert make_mux.main(check=True) == 0


def test_a_conversation_goes_record_by_record_as_in_the_vector():
    ends = {"a": started(True), "b": started(False)}
    now = 0
    for step in VECTORS["conversation"]:
        end, other = ends[step["by"]], ends["ab"[step["by"] == "a"]]
        for action in step["does"]:
            do(end, *action)
        now += 20
        record = end.record(now)
        assert record.hex() == step["record"]
        assert other.hear(record, now) == 0
    assert ends["a"].messages == [(33, b"!"), (32, b""), (33, b"bye")]
    assert ends["b"].messages == [(32, b"hi"), (34, make_mux.LONG)]
    assert ends["a"].events() == [(6, 0, 0)]


@by_name("refused")
def test_a_record_ends_the_session_with_the_reason_in_the_vector(vector):
    end = started(False)
    end.record(0)
    assert end.hear(bytes.fromhex(make_mux.WINDOWS.hex()), 0) == 0
    assert end.hear(bytes.fromhex(vector["record"]), 0) == vector["reason"]


@by_name("ignored")
def test_a_record_is_heard_and_nothing_comes_of_it(vector):
    end = started(False)
    end.record(0)
    assert end.hear(bytes.fromhex(vector["record"]), 0) == 0
    assert not end.events() and not end.messages and end.record(1000) == b""
