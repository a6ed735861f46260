"""Numbers and texts that nobody else asks for leave no name on a board (picoswarm_tools.fold)."""

from __future__ import annotations

from picoswarm_tools.fold import hide_constants

ONE = """from micropython import const

OPEN = 4
TOLD = 5
NAMES = ("a", b"b", 3)
LARGE = 1 << 40
TWICE = 1
TWICE = 2


def f():
    return OPEN, TOLD, NAMES, LARGE, TWICE
"""


def _run(text: str) -> dict[str, object]:
    found: dict[str, object] = {}
    exec(text.replace("from micropython import const", "const = lambda value: value"), found)
    return found


def test_what_only_its_own_module_reads_has_no_name_left():
    hidden = hide_constants({"one": ONE}, [])["one"]
    assert "OPEN = 4" not in hidden and "_OPEN_HERE = const(4)" in hidden
    assert '_NAMES_HERE = const(("a", b"b", 3))' in hidden
    assert _run(hidden)["f"]() == _run(ONE)["f"]()


def test_what_a_module_or_program_or_stub_asks_for_keeps_its_name():
    for asking in ("from picoswarm.one import OPEN", "import picoswarm.one\npicoswarm.one.OPEN", "OPEN: int"):
        hidden = hide_constants({"one": ONE}, [asking])["one"]
        assert "\nOPEN = 4" in hidden and "_TOLD_HERE = const(5)" in hidden
    assert "\nOPEN = 4" in hide_constants({"one": ONE, "two": "from .one import OPEN\n"}, [])["one"]


def test_what_is_no_constant_stays():
    hidden = hide_constants({"one": ONE}, [])["one"]
    assert "\nLARGE = 1 << 40" in hidden and "\nTWICE = 1" in hidden
