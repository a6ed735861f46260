"""The programs that docs/simulator.md shows."""

import re
from pathlib import Path


def _run(number):
    text = (Path(__file__).resolve().parents[2] / "docs/simulator.md").read_text()
    program = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number]
    exec(compile(program, "docs/simulator.md", "exec"), {})


def test_the_mesh_in_ten_lines_runs_and_finds(capsys):
    _run(0)
    assert re.fullmatch(r"True \[40(, \d+){7}\]\n", capsys.readouterr().out)


def test_the_mesh_with_sessions_is_one_piece(capsys):
    _run(1)
    assert re.fullmatch(r"\[12\] \[\d+(, \d+)*\]\n", capsys.readouterr().out)
