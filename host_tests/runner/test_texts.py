"""The texts of exceptions that a board loads when it wants them, and the dicts of its classes."""

from __future__ import annotations

from pathlib import Path

from picoswarm_tools import texts
from picoswarm_tools.runtimes import run_micropython

PACKAGE = {
    "__init__": "",
    "compat": "KNOWN = 1\n",
    "door": '''
from .compat import KNOWN


class Door:
    """A class of two methods."""

    def knock(self, who):
        """This text is for readers only."""
        if not who:
            raise ValueError("nobody is there")
        raise ValueError("the door is shut for %s" % who)

    def short(self):
        return "short one"
''',
}
PROGRAM = """
import gc, sys
from picoswarm.door import Door

for who in ("", "Ada", "Bob"):
    try:
        Door().knock(who)
    except ValueError as error:
        print(error)
print(Door().short(), "picoswarm.texts" in sys.modules, hasattr(sys.modules["picoswarm"], "texts"))
print(sorted(name for name in Door.__dict__ if name[:2] == "__"))
"""


def test_texts_are_loaded_when_wanted_and_forgotten(tmp_path: Path):
    small = {name: texts.strip_classes(text) for name, text in texts.take_texts(PACKAGE).items()}
    assert "shut" not in small["door"] and "short one" in small["door"]
    folder = tmp_path / "picoswarm"
    folder.mkdir()
    for name, text in small.items():
        folder.joinpath(f"{name}.py").write_text(text)
    done = run_micropython(["-c", PROGRAM], 100, {"MICROPYPATH": f"{tmp_path}:.frozen"})
    said = done.stdout.splitlines()
    assert said[:3] == ["nobody is there", "the door is shut for Ada", "the door is shut for Bob"], done.stdout
    assert said[3] == "short one False False"
    assert said[4] == "[]"


def test_a_class_keeps_its_lines():
    source = PACKAGE["door"]
    assert texts.strip_classes(source).count("\n") == source.count("\n")
