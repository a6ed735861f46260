"""Classes that keep nothing but their names become one, and do the same."""

from __future__ import annotations

from pathlib import Path

from picoswarm_tools import alike, mpy, overlays
from picoswarm_tools.runtimes import run_micropython

PACKAGE = {
    "__init__": "",
    "compat": "import sys\n",
    "parts": '''
class Site:
    """What stands here is gone."""

    def near(self):
        return self.at + 1


class Anchor:
    @staticmethod
    def kind():
        return "anchor"


class Told:
    def told(self):
        return self.at


class Twice:
    def near(self):
        return self.at * 2


class Kept:
    kind = 3

    def kept(self):
        return self.at


class Asked:
    def asked(self):
        return self.at


def site(at):
    thing = Site()
    thing.at = at
    return thing


def told(at):
    thing = Told()
    thing.at = at
    return thing


def others(at):
    twice, kept, asked = Twice(), Kept(), Asked()
    twice.at = kept.at = at
    return twice.near(), kept.kept(), isinstance(asked, Asked), Anchor.kind()
''',
    "stub": "from .parts import Site, Told as Heard\n",
    "user": "from .parts import Twice\n",
}
PLAN = [
    ("parts", {"Site": ("near",), "Twice": ("near",)}),
    ("parts", {"Told": ("told",), "Kept": ("kept",), "Asked": ("asked",)}),
]
PROGRAM = """
from picoswarm.parts import others, site, told
from picoswarm.stub import Site, Heard
print(site(4).near(), told(5).told(), others(6), type(site(1)) is Site, type(told(1)) is Heard)
"""


def _run(modules: dict[str, str], folder: Path) -> list[str]:
    texts = folder / "texts"
    texts.mkdir(parents=True)
    for name, text in modules.items():
        texts.joinpath(f"{name}.py").write_text(text)
    mpy.compile_files(sorted(texts.iterdir()), folder / "picoswarm", "x86", 3)
    done = run_micropython(["-c", PROGRAM], 100, {"MICROPYPATH": f"{folder}:.frozen"})
    assert not done.returncode, done.stdout
    return done.stdout.splitlines()


def test_classes_that_become_one_do_the_same(tmp_path: Path):
    modules, plan = alike.merge(PACKAGE, PLAN)
    assert plan == [
        ("parts", {"Site": ("near",), "Twice": ("near",)}),
        ("parts", {"Site": ("told",), "Kept": ("kept",), "Asked": ("asked",)}),
    ]
    assert "class Told" not in modules["parts"] and "thing = Told()" not in modules["parts"]
    said = _run(overlays.take_cold(modules, plan), tmp_path / "one")
    assert said == _run(PACKAGE, tmp_path / "apart") == ["5 5 (12, 6, True, 'anchor') True True"]


def test_a_class_stays_that_shares_a_method_s_name_or_keeps_something_or_is_asked_for():
    modules, _ = alike.merge(PACKAGE, PLAN)
    for name in ("Twice", "Kept", "Asked", "Anchor"):
        assert f"class {name}:" in modules["parts"]


def test_who_hands_on_a_class_hands_on_the_one_that_it_became():
    modules, _ = alike.merge(PACKAGE, PLAN)
    assert modules["stub"] == "from .parts import Site, Site as Heard\n"


def test_a_class_that_another_module_has_stays():
    modules, plan = alike.merge({**PACKAGE, "user": "from .parts import Told\n\n\ndef f():\n    return Told()\n"}, PLAN)
    assert "class Told:" in modules["parts"] and plan == PLAN


def test_a_class_that_a_program_has_stays():
    assert "class Told:" in alike.merge(PACKAGE, PLAN, {"Told"})[0]["parts"]


def test_where_a_name_is_a_variable_another_class_is_meant():
    """Told may be called Site, but for a function with a variable of that name."""
    text = PACKAGE["parts"].replace("def told(at):\n    thing = Told()", "def told(at, Site=0):\n    thing = Told()")
    assert text != PACKAGE["parts"]
    modules, plan = alike.merge({**PACKAGE, "parts": text}, PLAN)
    assert "class Site" not in modules["parts"] and plan[0][1]["Told"] == ("near",)


def test_methods_of_classes_that_may_become_one_meet_before_they_get_their_names():
    assert alike.apart(PLAN, PACKAGE) == "alike.asked = 0\nalike.near = 0\nalike.told = 0\n"
