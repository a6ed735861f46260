"""Constructors that run once, as functions: the same objects, and what is refused."""

from __future__ import annotations

import pytest
from picoswarm_tools import constructors, overlays
from picoswarm_tools.plans import MADE
from picoswarm_tools.vocabulary import Refused

PARTS = """
class Engine:
    def __init__(self, size, more=2):
        # Many numbers.
        self.size = size
        self.part = Part(self, more)

    def told(self):
        return self.size, self.part.more


class Part:
    def __init__(self, engine, more):
        self.engine = engine
        self.more = more


class Wheel(Exception):
    def __init__(self, size):
        super().__init__(size)


class Base:
    def __init__(self):
        self.kind = 1


class Derived(Base):
    pass


class Bare:
    kind = 2


def is_engine(thing):
    return isinstance(thing, Engine)
"""
USER = """
from .parts import Engine, is_engine

def make(size):
    return Engine(size, more=5)
"""
PLAN = [("parts", {"Engine": MADE, "Part": MADE}), ("parts", {"Engine": ("told",)})]


def _objects(modules: dict[str, str]) -> tuple:
    parts: dict = {}
    exec(modules["parts"], parts)
    user = dict(parts)
    exec(modules["user"].replace("from .parts import", "#"), user)
    engine = user["make"](3)
    return engine.told(), engine.part.engine is engine, parts["is_engine"](engine), type(engine).__name__


def test_who_made_an_object_calls_a_function_and_gets_the_same():
    modules = {"parts": PARTS, "user": USER}
    made, plan = constructors.take_out(modules, PLAN, ["INT8", "INT16"])
    assert plan == [("parts", {"INT8": (), "INT16": ()}), ("parts", {"Engine": ("told",)})]
    assert "return INT8(size, more=5)" in made["user"] and "import is_engine, INT8" in made["user"]
    assert made["parts"].count("def __init__") == PARTS.count("def __init__") - 2
    assert _objects(made) == _objects(modules) == ((3, 5), True, True, "Engine")
    assert "def INT8(size, more=2)" in overlays.take_cold({**made, "compat": ""}, plan[:1])["cold0"]


def test_a_name_that_a_module_has_already_is_given_to_no_constructor():
    made, _ = constructors.take_out({"parts": PARTS, "user": USER + "INT8 = 1\n"}, PLAN, ["INT8", "INT16", "INT32"])
    assert "def INT16(size" in made["parts"] and "def INT32(engine" in made["parts"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Wheel", "does more than to set attributes"),
        ("Base", "is the base of another class"),
        ("Bare", "has none"),
    ],
)
def test_a_constructor_that_cannot_be_taken_out_is_refused(name, why):
    with pytest.raises(Refused, match=why):
        constructors.take_out({"parts": PARTS}, [("parts", {name: MADE})], ["INT8"])
