"""What is read of an .mpy file: its machine code, function by function."""

from __future__ import annotations

import pytest
from picoswarm_tools import machine_code, mpy, native, qemu, runtimes

MIXED = b"""
import micropython

NAMES = ("a", b"b", 3, 2.5, None, (1, "inside"))


def plain(x):
    return [x, NAMES, 1 << 70]


@micropython.viper
def add(x: int, y: int) -> int:
    return x + y


class Thing:
    @micropython.native
    def told(self, more):
        def inner():
            return more, "a text that is long enough to be no name at all, and stands for itself"

        return inner


@micropython.viper
def store(x: ptr8):
    for i in range(100):
        x[i] = i
"""


@pytest.mark.parametrize("arch", [arch for arch in mpy.ARCHES if arch != "bytecode"])
def test_the_machine_code_of_a_file_is_found(arch):
    sizes = machine_code.code_sizes(mpy.compile_source(MIXED, "mixed", arch, 3))
    assert len(sizes) == 4 and all(8 <= size < 1000 for size in sizes)


def test_a_file_of_bytecode_has_none():
    assert machine_code.code_sizes(mpy.compile_source(b"def f(x):\n    return x, 'y'\n", "plain", "armv6m", 3)) == []


def test_what_is_no_whole_file_is_refused():
    whole = mpy.compile_source(MIXED, "mixed", "armv6m", 3)
    for part in (b"", b"M", b"M\x05" + whole[2:], whole[:-1], whole[: len(whole) // 2], whole + b"\0"):
        with pytest.raises(ValueError, match=r"\.mpy file"):
            machine_code.code_sizes(part)


@pytest.mark.parametrize("arch", ["armv6m", "xtensawin"])
def test_every_file_of_the_library_is_read(arch):
    folder = mpy.compile_library(arch, mpy.BOARD_LEVEL, mpy.APART)
    sizes = {path.stem: machine_code.code_sizes(path.read_bytes()) for path in folder.glob("picoswarm/*.mpy")}
    assert len(sizes["field_viper"]) == 4 and not sizes["mux"]


COST = """
import gc
class Names:  # so many that the module begins no new table of names
    pass
for i in range(400):
    setattr(Names, "name%d" % i, 0)
gc.collect()
before = gc.mem_alloc()
import many
gc.collect()
print("cost", gc.mem_alloc() - before)
"""
FUNCTION = """
@micropython.viper
def f{}(x: ptr8):
    for i in range(100):
        x[i] = i
"""


def test_on_a_cortex_m0_the_code_takes_the_heap_that_is_told(tmp_path):
    """The unix build has it outside, and remembers where: that makes up to 32 bytes a function less."""
    inside, outside, sizes = [], [], []
    for n in (2, 22):
        text = "".join(map(FUNCTION.format, range(n))).encode()
        there = mpy.compile_source(text, "many", qemu.arch("m0"), 3)
        (tmp_path / "many.mpy").write_bytes(mpy.compile_source(text, "many", "x86", 3))
        here = runtimes.run_micropython(["-c", COST], 400, {"MICROPYPATH": f"{tmp_path}:.frozen"}).stdout
        outside.append(int(here.split()[-1]))
        inside.append(int(qemu.run("m0", {"many.mpy": there}, COST).split()[-1]))
        sizes = machine_code.code_sizes(there)[2:]
    more = (inside[1] - inside[0]) - (outside[1] - outside[0])
    assert native.in_blocks(sizes) - 32 * len(sizes) <= more <= native.in_blocks(sizes)
