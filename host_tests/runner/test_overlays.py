"""Methods and classes that a board loads when it wants them: the same answers, nothing left behind, and what is refused."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from zlib import crc32

import pytest
from picoswarm_tools import mpy, overlays
from picoswarm_tools.runtimes import run_micropython
from picoswarm_tools.vocabulary import Refused

PACKAGE = {
    "__init__": "",
    "compat": "import sys\n",
    "parts": '''
_LIMIT = const(3)
_TWICE = const(_LIMIT * 2)


def _half(n):
    return n // 2


def shared(n):
    return n + 1


class Base:
    """Below."""

    def old(self, n):
        return shared(n) + self.more


class Part(Base):
    """On top."""

    def __init__(self, more):
        self.more = more
        self.made = []

    def hot(self, n):
        return self.cold(n) + _LIMIT + shared(-1)

    def cold(self, n, times=_TWICE):
        return self._inner(n) * times

    def _inner(self, n):
        return _half(n) + self.more

    def each(self, n):
        for i in range(n):
            yield self._inner(i)

    def build(self):
        self.made.append(Rare(self))
        return self.made[0].told()


class Rare:
    """As a whole."""

    def __init__(self, part):
        self.part = part

    def told(self):
        return "rare", self.part.more


class Derived(Part):
    """Of nobody's plan."""


class Asked:
    """Has more names than it says, one method that is kept, and one that is in its base too."""

    def __init__(self):
        self.kept = self.told

    def __getattr__(self, name):
        if name == "no":
            raise AttributeError(name)
        return "made up: " + name

    def told(self, n, more=2):
        return n + more + loose(n)


class Over(Asked):
    def told(self, n, more=2):
        return -n - more


def loose(n):
    """As a whole."""
    return n * 5
''',
    "stub": "from .parts import (Rare, Part, _half)\n",
}
PLAN = [
    ("parts", {"Part": ("cold", "_inner"), "Base": ("old",)}),
    ("parts", {"Part": ("each", "build")}),
    ("parts", {"Rare": ()}),
    ("parts", {"Over": ("told*",), "Asked": ("told*",)}),
    ("parts", {"loose": ()}),
]
PROGRAM = """
import gc, micropython, sys
from picoswarm.parts import Asked, Over, Part, Derived

def use(part):
    part.made = []
    return part.hot(8), part.cold(4, times=2), list(part.each(3)), part.build(), part.old(1), hasattr(part, "no")

def used():
    for i in range(3):
        gc.collect()
    return gc.mem_alloc()

print(use(Part(5)))
print(use(Derived(7)))
part = Part(1)
failed = False
micropython.heap_lock()
try:
    part.hot(1)
except MemoryError:
    failed = True
micropython.heap_unlock()
print(failed, part.hot(1))
failed = part = None
kept = [0, 0, 0, 0]
for round in range(4):
    for i in range((10, 1000, 3, 4)[round]):
        use(Part(i))
    kept[round] = used()
print(min(kept[1:]) - kept[0] < 200)  # the least: a word on the stack may look like a pointer to something
print([name for name in sys.modules if "cold" in name], [name for name in dir(sys.modules["picoswarm"]) if "cold" in name])
from picoswarm.stub import Rare, _half
print(Rare(Part(9)).told(), _half(9))
print(Asked().kept(4), Over().kept(4, more=1), Asked().more, hasattr(Asked(), "no"))
"""


def _run(modules: dict[str, str], folder: Path, program: str = PROGRAM) -> list[str]:
    texts = folder / "texts"
    texts.mkdir(parents=True)
    for name, text in modules.items():
        texts.joinpath(f"{name}.py").write_text(f"from micropython import const\n{text}")
    mpy.compile_files(sorted(texts.iterdir()), folder / "picoswarm", "x86", 3)  # as a board has them: parts are .mpy files
    done = run_micropython(["-c", program], 100, {"MICROPYPATH": f"{folder}:.frozen"})
    assert not done.returncode, done.stdout
    return done.stdout.splitlines()


def test_what_is_loaded_when_wanted_does_the_same_and_leaves_nothing(tmp_path: Path):
    overlays.check(PACKAGE, PLAN)
    small = overlays.take_cold(PACKAGE, PLAN)
    assert "_inner(self, n)" not in small["parts"] and "class Rare" not in small["parts"]
    assert "def _half" in small["cold0"] and "def shared" in small["parts"]
    said = _run(small, tmp_path / "small")
    assert said[0] == str((57, 14, [5, 5, 6], ("rare", 5), 7, False))
    assert said[1] == str((69, 18, [7, 7, 8], ("rare", 7), 9, False))
    assert said[2:5] == ["True 9", "True", "[] []"]
    assert said == [*_run(PACKAGE, tmp_path / "whole")[:2], *said[2:]]
    assert said[5] == "('rare', 9) 4"
    assert said[6] == "26 -5 made up: more False"
    assert "def missing" in small["parts"] and "def loose" not in small["parts"]


def _key(method: str) -> int:
    return crc32(method.encode()) & 0xFFFF


def _like(name: str, kind: str = "Part") -> str:
    """Another name that looks the same in the index as a method of Part, if it is one of `kind`."""
    return next(each for each in map("n{}".format, itertools.count()) if _key(f"{kind}{each}") == _key(f"Part{name}"))


def test_a_name_that_looks_like_a_method_in_the_index_is_none(tmp_path: Path):
    program = f"from picoswarm.parts import Part\nprint(hasattr(Part(5), {_like('cold')!r}), Part(5).cold(4))"
    assert _run(overlays.take_cold(PACKAGE, PLAN), tmp_path, program) == ["False 42"]


def test_a_name_that_looks_like_a_method_of_another_class_is_left_to_its_own(tmp_path: Path):
    name = _like("cold", "Asked")
    program = f"from picoswarm.parts import Asked, Part\nprint(Asked().{name} == 'made up: {name}', Part(5).cold(4))"
    assert _run(overlays.take_cold(PACKAGE, PLAN), tmp_path, program) == ["True 42"]


def test_two_methods_that_look_the_same_in_the_index_have_another_key(tmp_path: Path):
    twin = _like("cold")
    text = PACKAGE["parts"].replace("    def cold(", f"    def {twin}(self):\n        return 1\n\n    def cold(", 1)
    small = overlays.take_cold({**PACKAGE, "parts": text}, [("parts", {"Part": ("cold", twin)})])
    assert "_SHIFT = const(1)" in small["compat"]
    program = f"from picoswarm.parts import Part\nprint(Part(5).cold(4), Part(5).{twin}())"
    assert _run(small, tmp_path, program) == ["42 1"]


def test_what_a_method_imports_may_be_called_as_a_class_of_its_module(tmp_path: Path):
    borrow = "    def borrow(self):\n        from .lender import Base\n\n        return Base()\n\n"
    text = PACKAGE["parts"].replace("    def cold(", borrow + "    def cold(", 1)
    package = {**PACKAGE, "parts": text, "lender": "def Base():\n    return 'lent'\n"}
    small = overlays.take_cold(package, [("parts", {"Part": ("borrow",), "Base": ("old",)})])
    program = "from picoswarm.parts import Part\nprint(Part(5).borrow(), Part(5).old(1))"
    assert _run(small, tmp_path, program)[0][:5] == "lent "


def test_a_method_twice_in_an_index_is_refused():
    with pytest.raises(Refused, match="looks like another one"):
        overlays.take_cold(PACKAGE, [("parts", {"Part": ("cold",)}), ("parts", {"Part": ("cold",)})])


LATEST = """
import sys
from picoswarm import compat
from picoswarm.parts import Part, five

real, loads = compat._load, []
compat._load = lambda n: loads.append(n) or real(n)

part = Part(5)
for i in range(3):
    part.cold(4), five(1), part.cold(4)
print(loads)
for i in range(3):
    part.build(), part.cold(1)  # what it builds is in a third one
print(loads[2:])
compat.collect()
print(compat._LATEST)
print(part.hot(8), len(loads))
print([name for name in sys.modules if "cold" in name])
"""


LATEST_PACKAGE = {
    **PACKAGE,
    "compat": PACKAGE["compat"] + "import gc\ndef collect():\n    gc.collect()\n",
    "parts": PACKAGE["parts"] + "def five(n):\n    return loose(n)\n",
}


def test_the_two_that_were_loaded_last_stay_until_memory_is_short(tmp_path: Path):
    said = _run(overlays.take_cold(LATEST_PACKAGE, PLAN, 2), tmp_path, LATEST)
    assert said == ["[0, 4]", "[1, 2, 0, 1, 2, 0, 1, 2, 0]", "[None, None, None, None]", "57 12", "[]"]


def test_all_that_were_loaded_stay_where_as_many_may(tmp_path: Path):
    said = _run(overlays.take_cold(LATEST_PACKAGE, PLAN, 4, 10_000), tmp_path, LATEST)
    assert said == ["[0, 4]", "[1, 2]", str([None] * 8), "57 5", "[]"]


def test_only_the_one_that_was_loaded_last_stays_where_less_is_free_than_shall_be(tmp_path: Path):
    said = _run(overlays.take_cold(LATEST_PACKAGE, PLAN, 4, 1_000_000), tmp_path, LATEST)
    assert said == [str([0, 4, 0, 4, 0, 4, 0]), str([0, 4, 0, 4, 0, *[1, 2, 0] * 3]), str([None] * 8), "57 17", "[]"]


def test_the_two_that_were_loaded_last_stay_where_so_many_always_may(tmp_path: Path):
    said = _run(overlays.take_cold(LATEST_PACKAGE, PLAN, 4, 1_000_000, 2), tmp_path, LATEST)
    assert said == ["[0, 4]", "[1, 2, 0, 1, 2, 0, 1, 2, 0]", str([None] * 8), "57 12", "[]"]


NAMES = """
import gc, micropython
from picoswarm.compat import collect, overlay
from picoswarm.parts import Part

def used():
    collect()
    return gc.mem_alloc()

part = Part(5)
print(part.cold(4), list(part.each(2)), part.build())
steps = part.each(3)
next(steps)
whole = overlay(1)["Part"]
print(sorted(name for name in dir(whole) if name in ("each", "build")))
del whole
collect()
print(hasattr(steps, "throw"), list(steps), part.cold(1))
micropython.qstr_info(1)
"""


def test_overlays_from_files_share_one_name_and_a_method_that_runs_keeps_itself_alone(tmp_path: Path):
    package = {**PACKAGE, "compat": PACKAGE["compat"] + "import gc\ndef collect():\n    gc.collect()\n"}
    small = overlays.take_cold(package, PLAN, 1)
    assert small["cold1"].endswith("values = {'Part': Part}\ndel Part\n# A part of parts\n")
    said = _run(small, tmp_path, NAMES)
    assert said[:3] == ["42 [5, 5] ('rare', 5)", "['build', 'each']", "True [5, 6] 30"]
    names = [line[2:-1] for line in said if line.startswith("Q(")]
    assert "picoswarm.cold" in names and not [name for name in names if re.search(r"cold\d", name)]


def test_an_overlay_whose_methods_call_each_other_at_once_keeps_its_classes():
    small = overlays.take_cold(PACKAGE, PLAN)
    assert "return Part._inner(self, n) * times" in small["cold0"] and "del Part" not in small["cold0"]
    assert small["cold1"].endswith("del Part\n# A part of parts\n")


def test_a_class_as_a_whole_and_methods_of_another_are_no_overlay():
    with pytest.raises(Refused, match="as a whole, beside methods of"):
        overlays.take_cold(PACKAGE, [("parts", {"Rare": (), "Part": ("each",)})])


def test_what_a_program_imports_is_no_overlay_as_a_whole():
    with pytest.raises(Refused, match="loose is imported by a program"):
        overlays.check(PACKAGE, PLAN, {"loose"})


def test_a_class_attribute_called_as_a_class_of_an_overlay_of_its_module_stays_an_attribute():
    text = "\n\nclass Other:\n    Rare = 0\n    more = Rare + 1\n\n    def make(self):\n        return Rare(self)\n"
    small = overlays.take_cold({**PACKAGE, "parts": PACKAGE["parts"] + text}, PLAN)
    assert "    Rare = 0\n    more = Rare + 1\n" in small["parts"] and "return overlay(2).Rare(self)" in small["parts"]


def test_a_function_that_an_overlay_hands_on_stays_where_it_is():
    text = PACKAGE["parts"].replace("return _half(n) +", "self.made.append(_half)\n        return _half(n) +")
    assert text != PACKAGE["parts"]
    small = overlays.take_cold({**PACKAGE, "parts": text}, PLAN)
    assert "def _half" in small["parts"] and "def _half" not in small["cold0"]


def test_a_function_that_gets_a_variable_goes_with_the_overlay_of_who_names_it(tmp_path: Path):
    text = PACKAGE["parts"].replace("return _half(n) +", "half = _half\n        return half(n) +")
    assert text != PACKAGE["parts"]
    small = overlays.take_cold({**PACKAGE, "parts": text}, PLAN)
    assert "def _half" in small["cold0"] and "def _half" not in small["parts"]
    assert _run(small, tmp_path)[:2] == _run(PACKAGE, tmp_path / "whole")[:2]


def test_a_value_that_only_an_overlay_knows_goes_with_it(tmp_path: Path):
    text = "_ZEROS = bytes(3)\nFIVE = 5 * 1 << 40\nTWO = (0, 2)\nOTHER = 6\n" + PACKAGE["parts"]
    more = "_ZEROS[TWO[0]] + (FIVE >> 44) + OTHER - 6"
    text = text.replace("return _half(n) + self.more", f"return _half(n) + self.more + {more}")
    text = text.replace("return n + 1", "return n + OTHER - 5")
    small = overlays.take_cold({**PACKAGE, "parts": text}, PLAN)
    assert "_ZEROS = bytes(3)\nFIVE = 5 * 1 << 40\nTWO = (0, 2)\n" in small["cold0"]
    assert "_ZEROS" not in small["parts"] and "FIVE" not in small["parts"] and "OTHER = 6" in small["parts"]
    assert _run(small, tmp_path)[:2] == _run(PACKAGE, tmp_path / "whole")[:2]


def test_a_value_that_another_module_has_or_that_changes_stays():
    text = "SHARED = 5\nLAST = 0\n" + PACKAGE["parts"]
    text = text.replace("return _half(n) + self.more", "return _half(n) + self.more + SHARED + LAST")
    text += "\n\ndef change(n):\n    global LAST\n    LAST = n\n"
    small = overlays.take_cold({**PACKAGE, "parts": text, "user": "from .parts import SHARED\nprint(SHARED)\n"}, PLAN)
    assert "SHARED = 5\nLAST = 0\n" in small["parts"]
    small = overlays.take_cold({**PACKAGE, "parts": text}, PLAN, imported={"SHARED"})
    assert "SHARED = 5\nLAST = 0\n" in small["parts"]


def test_a_stub_has_nothing_that_its_bundle_has_from_an_overlay():
    package = {**PACKAGE, "user": "from .parts import Rare, Part\n\n\ndef make():\n    return Rare(Part(1)), Part(2)\n"}
    small = overlays.take_cold({**package, "stub": "from .user import Part, Rare, make\n"}, PLAN)
    assert small["stub"] == "from .user import Part, make\n"


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"Part": ("gone",)}, "is no method"),
        ({"Gone": ("cold",)}, "is no class"),
        ({"Part": ("__len__",)}, "is looked for by MicroPython"),
        ({"Part": ("kept",)}, "is more than called"),
        ({"Part": ("old",)}, "is in a base too"),
        ({"Base": ("old",)}, "is asked of a class"),
        ({"Base": ("old*",)}, "is asked of a class"),
        ({"Part": ("counted",)}, "a name of its module that changes"),
        ({"Own": ("__getattr__*",)}, "is looked for by MicroPython"),
        ({"Part": ("counted*",)}, "a name of its module that changes"),
        ({"Base": ()}, "is named outside of functions"),
    ],
)
def test_a_plan_that_would_change_what_the_library_does_is_refused(plan, why):
    text = (
        PACKAGE["parts"]
        + """

class Further(Part):
    def kept(self):
        return self.kept

    def old(self, n):
        return Base.old(self, n)

    def __len__(self):
        return 1

    def counted(self):
        global count
        count += 1


class Own:
    def __getattr__(self, name):
        return name

    def cold(self):
        pass
"""
    )
    of_further = {"kept", "old", "counted", "counted*", "__len__"}
    moved = {"Further" if of_further & set(own) and name == "Part" else name: own for name, own in plan.items()}
    with pytest.raises(Refused, match=why):
        overlays.check({**PACKAGE, "parts": text}, [("parts", moved)])
