"""The program that docs/simulator.md shows."""

import re
from pathlib import Path


def test_the_mesh_in_ten_lines_runs_and_finds(capsys):
    text = (Path(__file__).resolve().parents[2] / "docs/simulator.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(program, "docs/simulator.md", "exec"), {})
    assert re.fullmatch(r"True \[40(, \d+){7}\]\n", capsys.readouterr().out)
