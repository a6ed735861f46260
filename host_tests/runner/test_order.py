"""Names that stand often come first in an .mpy file (picoswarm_tools.order)."""

from __future__ import annotations

import pytest
from picoswarm_tools import mpy, order, qemu
from small_package import PACKAGE


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
