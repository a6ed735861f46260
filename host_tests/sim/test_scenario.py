"""Scenarios: mistakes are named with their lines, the ready ones are sound, and a run is a function of its seed."""

import os
import subprocess
import sys

import pytest
from picoswarm_gateway.tomlfile import Mistakes
from picoswarm_tools.sim import scenario
from picoswarm_tools.sim.play import digest, encode, play

SMALL = """
minutes = 3
settle_min = 1
[[site]]
name = "house"
nat = "port restricted"
loss = 0.1
[[nodes]]
name = "gateway"
role = "gateway"
site = "house"
within_s = 1
[[nodes]]
name = "boards"
count = 5
board = "ESP32_GENERIC"
site = "house"
within_s = 3
follow = ["gateway"]
[lookups]
per_min = 10
[[traffic]]
kind = "publish"
every_s = 5
[[traffic]]
kind = "request"
every_s = 20
[[fault]]
kind = "power"
groups = ["boards"]
at_min = 1.5
for_s = 10
"""


@pytest.fixture(scope="module")
def small():
    return play("small", scenario.parse(SMALL))


def mistakes_of(text):
    with pytest.raises(Mistakes) as caught:
        scenario.parse(text)
    return str(caught.value).splitlines()


def test_every_mistake_is_named_with_its_line():
    found = mistakes_of(
        '[[nodes]]\nname = "a"\ncount = "many"\n[[nodes]]\nname = "a"\nboard = "ESP99"\nsite = "moon"\n'
        '[[fault]]\nkind = "flod"\nshare = 2\n[[expect]]\nmetric = "join.second.p50"\nat_most = 3\nsepld = 1\n'
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["scenario:3", "nodes[0].count"],
        ["scenario:5", "nodes[1].name"],
        ["scenario:6", "nodes[1].board"],
        ["scenario:7", "nodes[1].site"],
        ["scenario:9", "fault[0].kind"],
        ["scenario:10", "fault[0].share"],
        ["scenario:12", "expect[0].metric"],
        ["scenario:14", "expect[0].sepld"],
    ]
    assert "did you mean join.seconds.p50?" in found[6]


def test_a_mistake_of_a_stranger_is_told_with_what_would_be_right():
    found = mistakes_of(
        'setle_min = 3\n[site]\nname = "hill"\n[[nodes]]\nname = "a"\nboard = "ESP32"\n[[lookups]]\nper_min = 3\n[nods]\n'
    )
    assert [line.split(":")[1] for line in found] == ["1", "2", "6", "7", "9"]
    assert "setle_min: there is no such key; known: about, minutes, settle_min" in found[0]
    assert "site: may stand several times, each as [[site]]" in found[1]
    assert "there is no board ESP32 in boards/; known: ESP32_GENERIC, " in found[2]
    assert "lookups: stands once, as [lookups]" in found[3]
    assert "nods: there is no such table; known: " in found[4]


def test_what_is_missing_is_named_at_its_table():
    assert mistakes_of('[[nodes]]\nname = "a"\n[[nodes]]\ncount = 3\n')[0].startswith(
        "scenario:3: nodes[1]: name is missing"
    )
    assert "one [[nodes]] at least" in mistakes_of("minutes = 3\n")[0]


def test_what_could_not_come_to_anything_is_named():
    two = '[[site]]\nname = "attic"\n[[site]]\nname = "cellar"\n'
    boards = '[[nodes]]\nname = "up"\nsite = "attic"\n[[nodes]]\nname = "down"\nsite = "cellar"\n'
    found = mistakes_of(two + boards + 'follow = ["up"]\n')
    assert found[0].startswith("scenario:11: nodes[1].follow: down have no way to up") and len(found) == 1
    found = mistakes_of('[[nodes]]\nname = "lone"\ncount = 5\n')
    assert found[0].startswith("scenario:1: nodes[0]: lone can find nobody") and len(found) == 1
    found = mistakes_of(two + boards + "[[fault]]\nkind = 'power'\nat_min = 10\nfor_s = 5\n")
    assert found == ["scenario:13: fault[0].at_min: the run is over after 10 minutes"]
    found = mistakes_of("minutes = 1\n" + two + boards + "[lookups]\nper_min = 1\n")
    assert len(found) == 1 and "settle_min: traffic and look-ups would begin after the end" in found[0]
    assert mistakes_of(two + boards + "[[fault]]\nkind = 'wifi'\nfor_s = 0\n") == [
        "scenario:13: fault[0].for_s: more than 0"
    ]


@pytest.mark.parametrize("name", scenario.shipped())
def test_a_ready_scenario_says_what_happens_and_expects_something(name):
    _, found = scenario.find(name)
    assert found.about.endswith(".") and found.expect


def test_a_bootstrap_node_that_is_no_board_has_a_gateway_s_table():
    found = scenario.parse(
        '[[nodes]]\nname = "first"\nrole = "bootstrap"\n[[nodes]]\nname = "gateway"\nrole = "gateway"\n'
        '[[nodes]]\nname = "pico"\nrole = "bootstrap"\nboard = "RPI_PICO_W"\n'
        '[[nodes]]\nname = "leaf"\nrole = "bootstrap"\nboard = "leaf"\n'
        '[[nodes]]\nname = "narrow"\nrole = "bootstrap"\nprofile = {k = 16}\n'
    )
    first, gateway, pico, leaf, narrow = map(scenario.numbers, found.nodes)
    assert first["records"] == gateway["records"] == 1024 and first["bootstrap"] and "links" not in first
    assert "spares" not in pico and leaf["records"] < 128 and narrow["records"] == 256


def test_a_key_agreement_takes_what_the_board_s_clock_says_or_the_file():
    found = scenario.parse(
        '[[nodes]]\nname = "a"\nboard = "RPI_PICO_W"\n[[nodes]]\nname = "b"\nboard = "ESP32_GENERIC"\n'
        '[[nodes]]\nname = "c"\nkey_ms = 7\n[[nodes]]\nname = "d"\nrole = "gateway"\n[[nodes]]\nname = "e"\n'
    )
    pico, esp32, told, gateway, unnamed = map(scenario.key_ms, found.nodes)
    assert 100 < esp32 < pico == unnamed < 150 and told == 7 and gateway == 0


def test_the_victim_of_an_eclipse_is_found_by_all_who_have_an_honest_way():
    assert play(*scenario.find("eclipse"), 16).summary["eclipse.found"] == 1


def test_a_small_scenario_measures_what_it_asks_for(small):
    summary = small.summary
    assert summary["join.share"] == summary["rejoin.share"] == 1 and summary["mesh.pieces"] == 1
    assert summary["publish.delivery"] == 1 and summary["publish.due"] > 100 and summary["publish.repeated"] == 0
    assert summary["lookup.found"] == 1 and summary["request.answered"] > 0.9
    assert [line["event"] for line in small.lines if "event" in line] == ["fault", "healed", "one piece"]
    assert small.digest == digest(small.lines)


def test_the_same_seed_is_the_same_bytes_whatever_the_hash_seed(small):
    program = (
        "import sys; from picoswarm_tools.sim import scenario, play\n"
        "run = play.play('small', scenario.parse(sys.stdin.read()), int(sys.argv[1])); print(run.digest)"
    )
    for hash_seed, seed in (("17", 1), ("99", 2)):
        done = subprocess.run(
            [sys.executable, "-c", program, str(seed)],
            input=SMALL,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert (done.stdout.strip() == small.digest) == (seed == 1)


def test_lines_are_json_one_object_a_line(small):
    lines = encode(small.lines).splitlines()
    assert lines[0].startswith(b'{"format":1,') and lines[-1].startswith(b'{"summary":{')
    assert all(line.startswith(b"{") and line.endswith(b"}") for line in lines)
