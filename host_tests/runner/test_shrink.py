"""The library that a board gets does what its sources say: small packages run before and after each step of the build, and
the rules that keep the real library safe are read again from its syntax trees.

That the real one behaves alike is for the unit tests, which run on MicroPython against the result, with -O0 and -O3."""

from __future__ import annotations

import ast
import builtins
import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from picoswarm_tools import beside, bundle, fold, mpy, order, qemu, runtimes, shrink, vocabulary
from picoswarm_tools.probe import frozen_micropython
from picoswarm_tools.vocabulary import Refused

KEEP = dir(builtins)
BOARD = fold.known_on("armv6m")

PACKAGE = {
    "low": '''
import sys as system
from collections import namedtuple as make_tuple

LIMIT = 3
shown = [1]
_table = {"listed": 5}
Pair = make_tuple("Pair", ("left", "right"))


def scale(value, factor=LIMIT):
    """Text that names scale, value and _hidden."""
    return value * factor


class Counter:
    step_size = 2

    def __init__(self, start):
        self._value = start
        self.listed = 1

    def advance(self, times=1):
        for _ in range(times):
            self._value += self.step_size
        return self

    @property
    def value(self):
        return self._value

    @staticmethod
    def parse(text):
        return Counter(int(text))


class Doubled(Counter):
    def advance(self, times=1):
        return Counter.advance(self, 2 * times)
''',
    "high": '''
from .low import LIMIT, Counter, Doubled, Pair, scale as enlarge
from .low import shown

_seen = 0
_table = (7, 8)


class Watcher:
    _own = "of the class"

    def __init__(self, counter):
        self._heads = counter
        self._tails = self._own

    def look(self):
        global _seen
        _seen += 1
        return self._heads.value, self._tails, _seen


def closures(outer):
    inner = outer + 1

    def add(more):
        nonlocal inner
        inner += more
        return inner + outer

    return add(1), add(2), [inner + item for item in _table], (lambda item, inner=LIMIT: item * inner)(outer)


def failing(number):
    try:
        return 1 // number
    except ZeroDivisionError as trouble:
        return type(trouble).__name__


def report():
    counter = Doubled.parse("10").advance(times=2)
    watcher = Watcher(counter)
    pair = Pair(right=1, left=2)
    return (
        watcher.look(), watcher.look(), closures(5), failing(0), enlarge(4), enlarge(4, factor=5), pair.left,
        getattr(counter, "listed"), hasattr(counter, "_value"), shown, _seen, _table,
    )
''',
}  # fmt: skip


def report_of(modules: Mapping[str, str], names: Mapping[str, str], folder: Path) -> object:
    """What `report` in the module `high` of a package gives."""
    package = f"package_{folder.name}_{len(list(folder.iterdir()))}"
    (folder / package).mkdir()
    for name, text in {"__init__": "", **modules}.items():
        (folder / package / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        return getattr(importlib.import_module(f"{package}.high"), names.get("report", "report"))()
    finally:
        sys.path.remove(str(folder))


def renamed(modules: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: shrink.shorten(text, names) for name, text in modules.items()}


# Folding

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


# Renaming


def test_a_renamed_package_does_the_same(tmp_path):
    names = shrink.name_map(PACKAGE, KEEP)
    assert report_of(renamed(PACKAGE, names), names, tmp_path) == report_of(PACKAGE, {}, tmp_path)
    assert {"Counter", "advance", "make_tuple", "scale", "closures", "system", "_heads"} <= names.keys()


def test_what_others_use_by_name_stays():
    names = shrink.name_map(PACKAGE, [*KEEP, "Watcher"])
    kept = {"Watcher", "times", "factor", "left", "right", "listed", "_value", "namedtuple", "__init__", "low", "int"}
    assert not kept & names.keys()


def test_line_numbers_stay():
    names = shrink.name_map(PACKAGE, KEEP)
    for name, text in renamed(PACKAGE, names).items():
        lines = [getattr(node, "lineno", 0) for node in ast.walk(ast.parse(text))]
        assert lines == [getattr(node, "lineno", 0) for node in ast.walk(ast.parse(PACKAGE[name]))]


def test_names_that_never_meet_share_a_short_one_and_others_do_not():
    names = shrink.name_map(PACKAGE, KEEP)
    assert len(set(names.values())) < len(names) * 2 // 3
    for group in (("_heads", "_tails", "_own", "look"), ("Counter", "Doubled", "enlarge", "report"), ("step_size", "parse")):
        assert len({names[name] for name in group}) == len(group)


@pytest.mark.parametrize("pair", [("_heads", "_tails"), ("Counter", "Doubled"), ("advance", "parse")])
def test_a_map_that_confuses_two_names_would_be_noticed(pair, tmp_path):
    names = shrink.name_map(PACKAGE, KEEP)
    names[pair[1]] = names[pair[0]]
    expected = report_of(PACKAGE, {}, tmp_path)
    try:
        wrong = report_of(renamed(PACKAGE, names), names, tmp_path)
    except Exception:
        return
    assert wrong != expected


def test_a_class_has_the_attributes_of_its_base_in_another_module():
    text = "from .low import Counter\n\n\nclass C(Counter):\n    def more(self):\n        self._value = self._own = 1\n"
    names = shrink.name_map({"low": PACKAGE["low"], "other": text}, KEEP)
    own = {names[name] for name in ("_value", "_own", "step_size", "more", "advance")}
    assert len(own) == 5
    last = "from .other import C\n\n\nclass D(C):\n    pass\n"
    with pytest.raises(Refused, match="three modules"):
        shrink.name_map({"low": PACKAGE["low"], "other": text, "last": last}, KEEP)


def test_arguments_have_short_names_of_their_own_in_each_function():
    text = renamed(PACKAGE, shrink.name_map(PACKAGE, KEEP))["high"]
    outer, failing = (node for node in ast.parse(text).body if getattr(node, "args", None) and node.args.args)
    assert failing.args.args[0].arg == "aA"
    inner = next(node for node in ast.walk(outer) if node is not outer and isinstance(node, ast.FunctionDef))
    mentioned = {node.id for node in ast.walk(outer) if isinstance(node, ast.Name)}
    assert len({outer.args.args[0].arg, inner.name, inner.args.args[0].arg, *("outer", "add", "more")}) == 6
    assert {"inner", "item"} & mentioned == set() and "trouble" in text, "no argument, and no cost"


def test_an_argument_is_no_attribute_of_the_same_name():
    text = "class Box:\n    def __init__(self, size):\n        self.size = size\n\n"
    text += "    def size_of(self, box):\n        return box.size\n"
    names = shrink.name_map({"a": text}, [*KEEP, "Box"], promised=[("__init__", "size")])
    space: dict = {}
    exec(shrink.shorten(text, names), space)
    box = space["Box"](size=5)
    assert "size" in names and "size" not in vars(box)
    assert getattr(space["Box"](1), names["size_of"])(box) == 5


def test_an_argument_that_calls_name_stays():
    text = "def scale(number, by):\n    return number * by\n\n\ndef other(by):\n    return scale(by, by=2)\n"
    short = shrink.shorten(text, shrink.name_map({"a": text}, KEEP))
    assert "(aA, by)" in short and "by=2" in short, short
    assert "(by):" not in short, "of another function"


def test_a_short_name_is_none_that_the_sources_use():
    text = "def long_name(longer_name, aA):\n    return longer_name + ROM\n"
    names = shrink.name_map({"a": text}, KEEP, rom=("ROM", "FREE"))
    assert set(names.values()) == {"FREE"}, names
    assert "def FREE(FREE, aB)" in shrink.shorten(text, names)


def test_the_same_sources_give_the_same_map():
    program = (
        "import json, sys; from picoswarm_tools import shrink\n"
        "print(json.dumps(shrink.name_map(json.loads(sys.argv[1]), json.loads(sys.argv[2]))))"
    )
    import json

    told = set()
    for seed, package in (("1", PACKAGE), ("2", dict(reversed(PACKAGE.items()))), ("3", PACKAGE)):
        command = [sys.executable, "-c", program, json.dumps(package), json.dumps(KEEP)]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        told.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def f(x):\n    return f'{x}'\n", "f-string"),
        ("def f(x, y):\n    return getattr(x, y)\n", "getattr"),
        ("def f(x):\n    exec(x)\n", "exec"),
        ("def f(x):\n    x.strange = 1\n", "strange"),
        ("def f(self):\n    self.strange = 1\n", "strange"),
    ],
)
def test_what_cannot_be_seen_through_is_refused(text, why):
    with pytest.raises(Refused, match=why):
        shrink.name_map({"low": PACKAGE["low"], "other": text}, KEEP)


# Programs beside the library

BESIDE = """
from package.low import Counter
import package.high as high
from picoswarm.low import Counter, scale as enlarge

class Double:
    step_size = 1

    def advance(self, value):
        self._value = value
        return self

advance = Counter(1).advance(times=2)
high._seen = 5
print(enlarge(advance.value, factor=2), Double().advance(3)._value)
"""


def test_a_program_follows_the_library_and_its_variables_stay():
    names = shrink.name_map(PACKAGE, KEEP, {"beside.py": BESIDE})
    lines = beside.translate(BESIDE, names).splitlines()
    short = names["advance"]
    assert lines[1] == "from package.low import Counter"
    assert lines[3] == f"from picoswarm.low import {names['Counter']} as Counter, {names['scale']} as enlarge"
    assert lines[8].startswith(f"    def {short}(self, value):")
    assert lines[12] == f"advance = Counter(1).{short}(times=2)"
    assert lines[13] == f"high.{names['_seen']} = 5"


def test_a_class_beside_the_library_shares_nothing_with_its_base():
    text = "class Strange(Counter):\n    def __init__(self):\n        self._tails = 1\n"
    names = shrink.name_map(PACKAGE, KEEP, {"beside.py": text})
    assert names["_tails"] not in {names[name] for name in ("advance", "parse", "step_size", "value")}
    alone = shrink.name_map(PACKAGE, KEEP)
    assert alone["_tails"] in {alone[name] for name in ("advance", "parse", "step_size", "value")}, (
        "nothing to be told apart"
    )


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def __init__(self):\n        self.one = self.two = 0\n",
        "f(three=1)\n",
        "getattr(a, 'three')\n",
        "getattr(a, b)\n",
        "a.aA = 1\n",
        "print(f'{a.three}')\n",
    ],
)
def test_a_program_that_cannot_be_followed_is_refused(text):
    names = shrink.Names({"one": "aA", "two": "aA", "three": "aB"})
    names.arguments = frozenset({"three"})
    with pytest.raises(Refused):
        beside.translate(text, names)


def test_a_keyword_that_names_no_argument_of_the_library_says_nothing_about_its_names():
    assert (
        beside.translate("f(three=1, two=a.two)\n", shrink.Names({"two": "aA", "three": "aB"})) == "f(three=1, two=a.aA)\n"
    )


def test_what_a_program_defines_itself_is_no_name_of_the_library():
    texts = [
        "from picoswarm.low import scale\ncounter.advance(x.listed)\n",
        "class A:\n    def look(self):\n        x.listed = 1\n",
    ]
    assert vocabulary.names_in_programs([*texts, "x.look()\n"])[0] == {"scale", "advance"}


# Bundles


def test_a_bundle_does_the_same_as_its_modules(tmp_path):
    bundled = bundle.bundle(PACKAGE, {"high": ("high", "low")})
    assert "_table_low" in bundled["high"] and "_table_high" in bundled["high"]
    expected = report_of(PACKAGE, {}, tmp_path)
    assert report_of(bundled, {}, tmp_path) == expected
    names = shrink.name_map(bundled, KEEP)
    assert report_of(renamed(bundled, names), names, tmp_path) == expected


def test_a_member_of_a_bundle_can_be_imported_by_its_own_name(tmp_path):
    bundled = bundle.bundle(PACKAGE, {"both": ("high", "low")})
    bundled["high"] += "from .low import LIMIT, shown\n_report = report\n"
    bundled["high"] += "def report():\n    return LIMIT, shown, _table, _report()\n"
    expected = report_of(PACKAGE, {}, tmp_path)
    assert report_of(bundled, {}, tmp_path) == (3, [1], (7, 8), expected)


def test_modules_outside_ask_the_bundle():
    modules = {"a": "x = 1\n", "b": "from .a import x as y\n", "c": "def f():\n    from .b import y\n    return y\n"}
    bundled = bundle.bundle(modules, {"d": ("b", "a")})
    assert bundled["d"] == "x = 1\n\ny = x\n" and bundled["a"] == "from .d import (x)\n"
    assert "from .d import (y)" in bundled["c"]


@pytest.mark.parametrize(
    "modules",
    [
        {"a": "SIZE = 1\n", "b": "SIZE = 2\n"},
        {"a": "from time import sleep\n", "b": "def sleep():\n    pass\n"},
        {"a": "_x = 1\n", "b": "_x = 2\n\n\ndef f(y):\n    return y._x\n"},
        {"a": "x = 1\n", "b": "from . import a\n"},
        {"a": "_x = 1\n", "b": "from .a import _x\n"},
    ],
)
def test_a_bundle_in_which_a_name_would_mean_two_things_is_refused(modules):
    with pytest.raises(Refused):
        bundle.bundle(modules, {"c": ("a", "b")})


# Order


def test_names_that_stand_often_take_one_byte_in_a_large_module():
    seldom = "".join(f"    x.name{i} = {i}\n" for i in range(200))
    often = "    x.often = 1; x.often_too = x.often\n" * 500
    text = f"class Thing:\n    pass\n\n\ndef f(x):\n{seldom}{often}    return x\n"
    ordered = order.order_names(text)
    names = ordered.splitlines()[0].split(".")
    assert names[:3] == ["__name__ or __name__", "often", "often_too"]
    assert (
        len(mpy.compile_source(ordered.encode(), "a", "x86", 3))
        < len(mpy.compile_source(text.encode(), "a", "x86", 3)) - 1000
    )
    found = []
    for source in (text, ordered):
        space: dict[str, object] = {"__name__": "module"}
        exec(source, space)
        found.append(vars(space["f"](space["Thing"]())))
    assert found[0] == found[1]


MACHINE_CODE = """

AREA = 7
@micropython.viper
def g(x: int) -> int:
    y = int(AREA) + int(len(LATE))
    return y + x
"""


def _large(names: int, machine_code: str = MACHINE_CODE) -> str:
    seldom = "".join(f"    x.name{i} = {i}\n" for i in range(names))
    return f"def f(x):\n{seldom}    return x\n\nLATE = b'four'{machine_code}"


def test_names_in_machine_code_come_right_behind_the_frequent_ones():
    names = order.order_names(_large(300)).splitlines()[0].split(".")[1:]
    assert names[-4:] == ["AREA", "LATE", "int", "len"] and len(names) < order.REACH


def test_machine_code_finds_its_names_on_armv6m_however_many_a_module_has():
    files = {"big.mpy": mpy.compile_source(order.order_names(_large(400)).encode(), "big", "armv6m", 3)}
    assert qemu.run("m0", files, "import big\nprint(big.g(5))").split() == ["16"]


def test_more_names_in_machine_code_than_it_finds_are_refused():
    lines = "".join(f"    x += int(Other{i})\n" for i in range(200))
    machine_code = f"\n\n@micropython.viper\ndef g(x: int) -> int:\n{lines}    return x\n"
    with pytest.raises(ValueError, match="too many for armv6m"):
        order.order_names(_large(300, machine_code))


def test_a_small_module_stays_as_it_is():
    assert order.order_names(PACKAGE["high"]) == PACKAGE["high"]


# The real library


@pytest.fixture(scope="module", params=[("armv6m", 0), ("armv6m", 3), ("bytecode", 3), ("x64", 0)], ids=str)
def small(request):
    return fold.known_on(request.param[0]), *mpy.small_library(*request.param)


def test_public_names_are_in_the_small_library(small):
    """Bound by the module, or a word that its `__getattr__` knows."""
    _, texts, names = small
    for stub in sorted(mpy.STUBS.glob("*.pyi")):
        told = {node.name for node in ast.parse(stub.read_text()).body if hasattr(node, "name")}
        promised = {name for name in told if name.startswith("__") or not name.startswith("_")}
        bound = bundle.bound(texts[stub.stem]).keys() | {"__version__"}
        if "__getattr__" in bound:
            constants = (node for node in ast.walk(ast.parse(texts[stub.stem])) if isinstance(node, ast.Constant))
            bound |= {node.value for node in constants if isinstance(node.value, str)}
        assert promised <= bound, stub.name
        by_both_names = mpy.profile_numbers() if stub.stem == "profile" else set()
        assert not (vocabulary.names_in_stub(stub.read_text()) - by_both_names) & names.keys()


NUMBERS = """
from picoswarm import LocalError, Profile

numbers = Profile(links=7, k=9)
print(numbers.links, numbers.k, numbers.check().spares)
changed = Profile(**dict(numbers.__dict__, links=3, k=10))
print(changed.links, changed.k, Profile(**numbers.__dict__).k)
for wrong in ("nothing", "check", "__init__", ""):
    try:
        print(Profile(**{wrong: 1}))
    except LocalError:
        print("refused")
try:
    print(numbers.nothing)
except AttributeError:
    print("no such number")
"""


@pytest.mark.parametrize("level", [None, 0, 3], ids=["sources", "small", "small-O3"])
def test_programs_know_the_numbers_of_a_profile_by_their_own_names(level):
    library = mpy.LIBRARY.parent if level is None else mpy.compile_library("x86", level)
    done = runtimes.run_micropython(["-c", NUMBERS], 400, {"MICROPYPATH": f"{library}:.frozen"})
    assert done.stdout.splitlines() == ["7 9 16", "3 10 9", *["refused"] * 4, "no such number"], done.stdout


def test_no_class_and_no_function_of_the_small_library_confuses_names(small):
    """By a reading of the sources of its own: attributes that a class gives itself, variables of a function."""
    known, texts, names = small
    shorts = {short: {name for name in names if names[name] == short} for short in set(names.values())}
    checked = 0
    for path in mpy.LIBRARY.glob("*.py"):
        tree = ast.parse(fold.fold(path.read_text(), known))
        for node in fold.live(tree) if path.stem in texts else ():
            mentioned = set()
            if isinstance(node, ast.ClassDef):
                for each in ast.walk(node):
                    if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "self":
                        mentioned.add(each.attr)
            elif isinstance(node, ast.FunctionDef):
                defaults = [each for each in [*node.args.defaults, *node.args.kw_defaults] if each]  # read outside of it
                outside = {id(each) for default in defaults for each in ast.walk(default)}
                names_in = [each for each in fold.live(node) if isinstance(each, ast.Name) and id(each) not in outside]
                stored = {each.id for each in names_in if not isinstance(each.ctx, ast.Load)}
                stored |= {each.arg for each in fold.live(node) if isinstance(each, ast.arg)}
                mentioned = {each.id for each in names_in} - stored
            for same in shorts.values():
                assert len(same & mentioned) < 2, (path.name, node.name, same & mentioned)
                checked += bool(same & mentioned)
    assert checked > 1000


def _variables_and_globals(function: ast.AST) -> list[str]:
    """The names that stand in a function, always in the same order, but attributes and keywords."""
    outside = [*function.decorator_list, *function.args.defaults, *filter(None, function.args.kw_defaults)]
    not_here = {part for each in outside for part in ast.walk(each)}
    nodes = [node for node in fold.live(function) if isinstance(node, (ast.Name, ast.arg)) and node not in not_here]
    return [getattr(node, "id", getattr(node, "arg", "")) for node in nodes]


@pytest.mark.parametrize("arch", ["armv6m", "bytecode"])
def test_in_no_function_of_the_small_library_two_names_become_one(arch):
    known, (texts, _) = fold.known_on(arch), mpy.small_library(arch)
    functions, shorter = (ast.FunctionDef, ast.AsyncFunctionDef), 0
    for path in sorted(mpy.LIBRARY.glob("*.py")):
        trees = [ast.parse(text) for text in (fold.fold(path.read_text(), known), texts.get(path.stem, ""))]
        pairs = zip(*([node for node in fold.live(tree) if isinstance(node, functions)] for tree in trees), strict=False)
        for long, short in pairs:
            both = list(zip(_variables_and_globals(long), _variables_and_globals(short), strict=True))
            assert len(set(both)) == len({name for name, _ in both}) == len({name for _, name in both}), (path.stem, both)
            shorter += sum(len(name) > len(after) for name, after in set(both))
    assert shorter > 1000


def test_bundles_are_of_modules_that_exist_each_in_one():
    members = [member for bundled in mpy.BUNDLES.values() for member in bundled]
    assert len(members) == len(set(members)) and set(members) <= {path.stem for path in mpy.LIBRARY.glob("*.py")}


def test_kernels_of_the_host_are_not_for_a_board(small):
    assert "kernels_host" not in small[1]


def test_every_line_of_the_library_stays_where_it_was():
    texts, _ = mpy.small_library("armv6m", 0)
    for name, text in texts.items():
        source = (mpy.LIBRARY / f"{name}.py").read_text()
        assert len(text.splitlines()) == len(source.splitlines())
        functions = {node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
        assert {node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)} <= functions


def test_a_builtin_of_a_hot_module_is_a_name_of_it_unless_the_module_has_that_name():
    assert order.keep_builtins("def size(x): return len(x)\n", ("len", "max")) == "len = len\ndef size(x): return len(x)\n"
    own = "len = abs\ndef size(x): return len(x)\n"
    assert order.keep_builtins(own, ("len",)) == own


def test_a_module_that_is_no_more_leaves_nothing_that_a_firmware_would_freeze(tmp_path, monkeypatch):
    monkeypatch.setattr(mpy, "build_folder", lambda: tmp_path)
    monkeypatch.setattr(mpy, "compile_files", lambda *files: [])
    for texts in ({"kept": "", "gone": ""}, {"kept": ""}):
        monkeypatch.setattr(mpy, "_fingerprint", lambda texts=texts: str(len(texts)))
        monkeypatch.setattr(mpy, "small_library", lambda *form, texts=texts: (texts, {}))
        folder = mpy.compile_library("armv6m", 3, "frozen")
    assert {path.name for path in (folder / "source" / "picoswarm").iterdir()} == {"kept.py", f"{mpy.ROM}.py"}


LOADED = """
import micropython
from picoswarm import Profile, compat, swarm
micropython.qstr_info()
for n in range({count}):
    compat.overlay(n)
micropython.qstr_info()
"""


def test_loading_an_overlay_of_a_firmware_leaves_no_name_on_the_heap():
    plan = mpy.FORMS["frozen"][1]
    program, binary = LOADED.format(count=len(plan)), frozen_micropython("frozen")
    done = runtimes.run_micropython(["-c", program], 400, {"MICROPYPATH": ".frozen"}, binary=binary)
    before, after = [line for line in done.stdout.splitlines() if line.startswith("qstr pool")]
    assert before == after
