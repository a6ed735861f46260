"""A package of two modules with what a name can be in Python, for tests that run it before and after a step of the build."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

from picoswarm_tools import shrink

KEEP = dir(builtins)

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
        (folder / package / f"{name}.py").write_text(f"def const(value): return value\n{text}")  # MicroPython has it
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        return getattr(importlib.import_module(f"{package}.high"), names.get("report", "report"))()
    finally:
        sys.path.remove(str(folder))


def renamed(modules: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: shrink.shorten(text, names) for name, text in modules.items()}
