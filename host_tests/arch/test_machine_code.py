"""The kernels in machine code compile for every processor that a supported board has.

MicroPython 1.25 has no jumps beyond 2 KB for armv6m and refuses a function that needs one; where the armv6m file compiles,
no jump comes near the 4 KB beyond which the emitter of armv7m writes wrong ones without a word.
"""

import pytest
from picoswarm_tools import mpy

KERNELS = sorted(mpy.LIBRARY.glob("*_viper.py"))


@pytest.mark.parametrize("arch", ["armv6m", "armv7m", "armv7emsp", "xtensawin", "rv32imc", "x86"])
def test_kernels_compile_for(arch):
    assert KERNELS
    for path in KERNELS:
        assert mpy.compile_source(path.read_bytes(), path.name, arch, 3)
