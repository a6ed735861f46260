"""The gateway's configuration file: what it gives, and how it names what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from picoswarm_gateway.config import MASK, Config, Mistakes, effective, load, parse

PATH = Path("gateway.toml")


def mistakes(text: str) -> list[tuple[int, str]]:
    with pytest.raises(Mistakes) as caught:
        parse(text, PATH)
    return caught.value.found


def test_an_empty_file_is_all_defaults():
    assert parse("", PATH) == Config() == load(None)


def test_every_mistake_is_named_with_its_line():
    text = '[mesh]\nname = "a name that is far too long"\nport = 70000\nprot = 3\n\n[http]\nport = "a"\n[mqqt]\na = 1\n'
    found = mistakes(text)
    assert [line for line, _ in found] == [2, 3, 4, 7, 8]
    for part, (_, said) in zip(("mesh.name", "mesh.port", "mesh.prot", "http.port", "mqqt"), found, strict=True):
        assert said.startswith(part)


def test_a_mistake_in_the_syntax_has_its_line():
    ((line, _),) = mistakes('[mesh]\nname = "x\n')
    assert line == 2


def test_a_number_that_the_profile_has_not_is_named():
    ((line, said),) = mistakes("[mesh]\n\n[mesh.profile]\nrecrods = 300\n")
    assert line == 3 and "recrods" in said


def test_a_number_of_the_profile_that_is_none_has_its_line():
    ((line, said),) = mistakes('[mesh]\nname = "x"\nprofile = {links = "many"}\n')
    assert line == 3 and "`int`" in said


def test_numbers_that_are_none_and_places_that_nobody_reaches_are_named():
    text = (
        '[mesh]\nbootstrap = ["192.0.2.7:20742", "gateway", "192.0.2.7:0", "name:1", ":1"]\n[nodes]\nvisit_s = nan\n'
        '[mailbox]\ndays = nan\ntotal = 0\n[relay]\nidle_s = nan\n[mqtt]\nurl = "mqtt://host:1883"\nkeepalive_s = 70000\n'
    )
    assert [line for line, _ in mistakes(text)] == [2, 2, 2, 4, 6, 7, 9, 12]


def test_what_a_run_would_refuse_a_check_names_with_its_line(tmp_path):
    text = (
        f'[mesh]\nhost = "gateway.example"\n[http]\ntoken_file = "{tmp_path}/none"\n'
        "[nodes]\nvisit_s = inf\n[relay]\nidle_s = inf\n"
    )
    assert [line for line, _ in mistakes(text)] == [2, 4, 6, 8]
    parse('[mesh]\nhost = "fe80::1%eth0"\n', PATH)
    parse('[mesh]\nhost = "[::1]"\n[http]\ntoken_file = "$NOT_IN_THIS_SHELL/token"\n', PATH)


def test_a_token_that_no_client_can_send_is_named():
    ((line, said),) = mistakes('[http]\ntoken = "h\u00e9llo"\n')
    assert line == 2 and "http.token" in said
    assert mistakes('[http]\ntoken = " x"\n')[0][0] == 2
    assert parse('[http]\ntoken = "two words"\n', PATH).http.token == "two words"


def test_a_table_in_the_place_of_which_stands_a_value_is_named():
    ((line, said),) = mistakes('mesh = "x"\n')
    assert line == 1 and said.startswith("mesh")


def test_a_file_that_is_not_there_is_no_traceback(tmp_path):
    with pytest.raises(Mistakes, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_what_is_printed_can_be_read_again_and_holds_no_secret():
    config = parse('[http]\ntoken = "hunter2"\n[mesh]\nbootstrap = ["192.0.2.7:20742"]\n', PATH)
    text = effective(config)
    assert "hunter2" not in text
    read = tomllib.loads(text)
    assert read["http"]["token"] == MASK and read["mesh"]["bootstrap"] == ["192.0.2.7:20742"]
    assert parse(text, PATH).mesh == config.mesh
