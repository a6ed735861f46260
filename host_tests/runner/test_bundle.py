"""Modules as one file do the same, and what would mean two things is refused (picoswarm_tools.bundle)."""

from __future__ import annotations

import pytest
from picoswarm_tools import bundle, shrink
from picoswarm_tools.vocabulary import Refused
from small_package import KEEP, PACKAGE, renamed, report_of


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


def test_a_constant_of_a_bundle_that_no_module_beside_has_is_private_there_and_its_stub_has_it_itself():
    modules = {
        "a": "OPEN = 4\nSIZE = const(5)\nASKED = 6\nDone = 7\n",
        "b": "from .a import OPEN, SIZE\n\n\ndef f():\n    return OPEN + SIZE\n",
        "c": "from .a import ASKED, f\n",
    }
    bundled = bundle.bundle(modules, {"d": ("a", "b")})
    assert "_OPEN_BUNDLED = const(4)\n_SIZE_BUNDLED = const(5)\nASKED = 6" in bundled["d"]
    assert "return _OPEN_BUNDLED + _SIZE_BUNDLED" in bundled["d"]
    assert bundled["a"] == "from .d import (ASKED, Done)\nOPEN = 4\nSIZE = 5\n"
    assert bundled["b"] == "from .d import (f)\nOPEN = 4\nSIZE = 5\n"


def test_a_constant_that_a_program_asks_for_stays():
    modules = {"a": "OPEN = 4\n", "d": "from .a import OPEN\n"}
    assert bundle.bundle(modules, {"d": ("d", "a")}, {"OPEN"})["d"].startswith("OPEN = 4\n")


def test_users_get_what_the_package_names_from_its_bundle():
    modules = {"__init__": '_HOMES = (("a", ("PORT",)), ("e", ("x",)))\n', "a": "PORT = 4\n", "b": "", "e": "x = 1\n"}
    bundled = bundle.bundle(modules, {"d": ("a", "b")}, bundle.handed_out(modules["__init__"]))
    assert bundled["d"].startswith("PORT = 4\n")
    assert bundled["__init__"] == """_HOMES = (('d', ("PORT",)), ("e", ("x",)))\n"""
