"""The library that a board gets does what its sources say: small packages run before and after each step of the build, and
the rules that keep the real library safe are read again from its syntax trees.

That the real one behaves alike is for the unit tests, which run on MicroPython against the result, with -O0 and -O3."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import defaultdict

import pytest
from picoswarm_tools import beside, bundle, fold, mpy, order, runtimes, shrink, vocabulary
from picoswarm_tools.probe import frozen_micropython
from picoswarm_tools.vocabulary import Refused
from small_package import KEEP, PACKAGE, renamed, report_of

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
        around = defaultdict(set)  # variables of the functions around a function
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
                stored |= around[node]
                for inner in ast.walk(node):
                    around[inner] |= stored
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


@pytest.mark.parametrize("form", [mpy.WHOLE, mpy.LEAF, mpy.DISCOVERY])
def test_a_name_that_a_type_stub_promises_is_had_from_files(form):
    env = {"MICROPYPATH": f"{mpy.compile_library('x86', mpy.BOARD_LEVEL, form)}:.frozen"}
    done = runtimes.run_micropython(["-c", "from picoswarm.membership import Membership\nprint(Membership)"], 400, env)
    assert done.stdout.startswith("<class"), done.stdout
