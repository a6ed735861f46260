"""What docs/simulator.md shows: its programs, its scenario, and the tables that are made from the sources."""

import re
from pathlib import Path

from picoswarm_tools.sim import manual, scenario

TEXT = manual.PAGE.read_text("utf-8")


def _run(number):
    program = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[number]
    exec(compile(program, "docs/simulator.md", "exec"), {})


def test_the_mesh_in_ten_lines_runs_and_finds(capsys):
    _run(0)
    assert re.fullmatch(r"True \[40(, \d+){7}\]\n", capsys.readouterr().out)


def test_the_mesh_with_sessions_is_one_piece(capsys):
    _run(1)
    assert re.fullmatch(r"\[12\] \[\d+(, \d+)*\]\n", capsys.readouterr().out)


def test_the_scenario_of_ones_own_is_sound():
    (text,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    found = scenario.parse(text)
    assert [group.count for group in found.nodes] == [1, 8] and len(found.expect) == 2


def test_the_page_has_the_tables_of_now():
    assert manual.page() == TEXT, "run `make docs`"


def test_every_ready_scenario_that_pages_name_exists():
    readme = Path(manual.PAGE.parents[1], "README.md").read_text("utf-8")
    named = re.findall(r"picoswarm sim ([a-z]+-?\w*)", TEXT + readme)
    assert len(named) > 5 and set(named) - {"shed"} <= set(scenario.shipped())
