"""Bytes of the device library as precompiled `.mpy` files for a Pico."""

from __future__ import annotations

from collections.abc import Iterator

from .. import mpy
from ..report import Row

METHOD = "mpy-cross -O3 -march=armv6m, sum of file sizes"
# What a board that has viper never installs.
HOST_SUFFIXES = ("_int", "_host")
KERNELS = ("crypto", "aead", "ed25519", "sha512")


def is_kernel(module: str) -> bool:
    """Whether a module is one of the cryptographic kernels of a board, or the front of one."""
    return module in KERNELS or module.endswith("_viper")


def measure() -> Iterator[Row]:
    sizes = {name: size for name, size in mpy.sizes("armv6m", level=3).items() if not name.endswith(HOST_SUFFIXES)}
    kernels = sum(size for name, size in sizes.items() if is_kernel(name))
    yield Row("mpy.bytes.kernels", "the viper kernels and their fronts", kernels, "bytes", 30 * 1024, method=METHOD)
    yield Row("mpy.bytes.library", "the whole library for a board with viper", sum(sizes.values()), "bytes", method=METHOD)
    for name, size in sizes.items():
        yield Row(f"mpy.bytes.module.{name}", f"module {name}", size, "bytes", method=METHOD)
