"""What is known of a board is decided, and numbers and texts that nobody else asks for leave no name there
(picoswarm_tools.fold)."""

from __future__ import annotations

import ast

from picoswarm_tools import fold
from picoswarm_tools.fold import hide_constants

BOARD = fold.known_on("armv6m")
FOLDED = """from .compat import KERNELS, MICROPYTHON, const, sha256

if KERNELS == "host":
    from .host import work
elif KERNELS != "viper" or not MICROPYTHON:
    from .ints import work
else:
    from .machine import work


def ticks(a):
    return (a if MICROPYTHON
            else a // 10) + (1 if MICROPYTHON and a else 2)


def _pick():
    return "host"


_SIZE = const(3)
choice = _pick() if not MICROPYTHON else KERNELS
"""


def test_folding_decides_what_a_board_knows_and_moves_no_line():
    folded = fold.fold(FOLDED, BOARD)
    live = {ast.unparse(node) for node in fold.live(ast.parse(folded)) if isinstance(node, ast.ImportFrom)}
    assert live == {"from .compat import sha256", "from .machine import work"}
    assert "_pick" not in folded and "choice = ('viper')" in folded and "1 if True and a else 2" in folded
    before, after = ast.parse(FOLDED), ast.parse(folded)
    assert len(folded.splitlines()) == len(FOLDED.splitlines())
    assert [node.lineno for node in before.body] == [node.lineno for node in after.body]


def test_folding_leaves_open_what_is_not_known():
    source = "if sys.maxsize == 0x7FFFFFFF:\n    a = 1\n"
    assert fold.fold(source, fold.known_on("bytecode")) == source
    assert fold.fold(source, BOARD).startswith("if True:")
    assert fold.fold(source, fold.known_on("x64")).startswith("if False:")


def test_folded_code_computes_the_same():
    for number in (0, 7):
        results = []
        for source in (FOLDED, fold.fold(FOLDED, BOARD)):
            namespace: dict = {"MICROPYTHON": True}
            exec("\n".join(source.splitlines()[10:13]), namespace)
            results.append(namespace["ticks"](number))
        assert results[0] == results[1] == number + (1 if number else 2)


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
    hidden = hide_constants({"one": ONE})["one"]
    assert "OPEN = 4" not in hidden and "_OPEN_HERE = const(4)" in hidden
    assert '_NAMES_HERE = const(("a", b"b", 3))' in hidden
    assert _run(hidden)["f"]() == _run(ONE)["f"]()


def test_what_a_module_or_program_or_stub_asks_for_keeps_its_name():
    for asking in ("from picoswarm.one import OPEN", "import picoswarm.one\npicoswarm.one.OPEN", "OPEN: int"):
        hidden = hide_constants({"one": ONE}, set(fold.mentioned(ast.parse(asking))))["one"]
        assert "\nOPEN = 4" in hidden and "_TOLD_HERE = const(5)" in hidden
    assert "\nOPEN = 4" in hide_constants({"one": ONE, "two": "from .one import OPEN\n"})["one"]


def test_a_private_constant_and_a_public_one_of_its_name_stay_two():
    text = "from micropython import const\n\nOPEN = 4\n_OPEN = 5\n\n\ndef f():\n    return OPEN, _OPEN\n"
    assert _run(hide_constants({"one": text})["one"])["f"]() == (4, 5)


def test_what_is_no_constant_stays():
    hidden = hide_constants({"one": ONE})["one"]
    assert "\nLARGE = 1 << 40" in hidden and "\nTWICE = 1" in hidden


DECIDED = """from micropython import const
import sys

if True:
    def one():
        return 1
elif sys:
    def never():
        return 0
if False:
    TWO = 1
elif False:
    TWO = 0
else:
    if True:
        TWO = const(2)
    if sys.byteorder:
        THREE = 3
"""


def test_what_stands_under_a_decided_if_stands_at_the_top():
    flat = fold.flatten(DECIDED)
    tops = [type(node).__name__ for node in ast.parse(flat).body]
    assert tops == ["Import", "FunctionDef", "Assign", "If"] and "never" not in flat and "import const" not in flat
    assert "import const" in fold.flatten(DECIDED, has_const=True)
    found: dict[str, object] = {"const": int}
    exec(flat, found)
    assert (found["one"](), found["TWO"], found["THREE"]) == (1, 2, 3)


def test_a_module_in_which_nothing_is_decided_stays_as_it_is():
    assert fold.flatten("x = 1  # one\nif x:\n    y = 2\n") == "x = 1  # one\nif x:\n    y = 2\n"
