"""MicroPython on an emulated Cortex-M, deterministic to the instruction.

Two firmwares run on qemu's mps2-an385: `m3` is Thumb-2 with armv7m viper; `m0` is Cortex-M0+ code with armv6m viper, the
instruction stream of a Raspberry Pi Pico. A run gets its files as a pack in emulated RAM, which the firmware mounts and
imports from as a board does from flash: precompiled, without a copy of the file on the heap.

Under `-icount shift=7` every instruction takes 2**7 ns of emulated time. The board's 25 MHz timer at 0x40000000 then
advances by 3.2 for each, so that a difference of two readings gives the exact number of instructions between them
(device/instructions.py), up to 2**32 / 3.2 = 1.34e9. Two runs of the same pack give the same numbers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from . import mpy
from .runtimes import find, find_qemu

BOARDS = {"m3": ("qemu-m3.elf", "armv7m"), "m0": ("qemu-m0.elf", "armv6m")}
ICOUNT_SHIFT = 7

_DEVICE = Path(__file__).with_name("device")
_RAM = 0x21000000
_RAM_BYTES = 16 << 20

_RAW_REPL, _END = b"\x01", b"\x04"


class QemuError(Exception):
    """The program ended with an exception; the message is its output and MicroPython's traceback."""


class QemuTimeout(QemuError):
    """The program was not done in time; the message is its output so far."""


def arch(board: str) -> str:
    """mpy-cross's name for the architecture of a board of BOARDS."""
    return BOARDS[board][1]


def library_files(board: str, level: int = 0, form: str = "") -> dict[str, bytes]:
    """The device library, precompiled for `board`: files for `run`. `form`: see mpy.FORMS."""
    folder = mpy.compile_library(arch(board), level, form)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("picoswarm/*.mpy"))}


def _pack(files: Mapping[str, bytes]) -> tuple[bytes, int]:
    """(boot program and then the contents of `files`, each on a word boundary, length of the boot program)."""
    contents, index = bytearray(), {}
    for name, data in files.items():
        index[name] = (len(contents), len(data))
        contents += data + bytes(-len(data) % 4)
    boot = (_DEVICE / "boot.py").read_text()
    # The index holds addresses, so the length of the boot program must not depend on them.
    room = len(boot) + len(repr(index)) + 16 * len(index) + 64
    base = _RAM + (room + 3 & ~3)
    placed = {name: (base + at, size) for name, (at, size) in index.items()}
    program = boot.replace("FILES = {}", f"FILES = {placed!r}").encode()
    return program.ljust(base - _RAM, b"\n") + bytes(contents), len(program)


def run(board: str, files: Mapping[str, bytes], main: str, timeout_s: float = 60) -> str:
    """Run the source text `main` on `board` ("m3" or "m0") with `files` on its module path; returns what it printed.

    `files` maps paths ("picoswarm/wire.mpy") to contents. `instructions` can always be imported, and stand-ins for the
    two modules that this port lacks: `time` (emulated milliseconds) and `os.urandom` (a fixed stream).
    Raises QemuError, QemuTimeout, runtimes.Missing and mpy.CompileError.
    """
    elf, march = BOARDS[board]
    everything = {name + ".mpy": _device_module(name, march) for name in ("instructions", "os", "time")}
    everything |= files
    everything["_main.mpy"] = mpy.compile_source(main.encode(), "main", march)
    pack, boot_bytes = _pack(everything)
    if len(pack) > _RAM_BYTES:
        raise ValueError(f"the pack has {len(pack)} bytes, the board {_RAM_BYTES}")
    with tempfile.NamedTemporaryFile(suffix=".bin") as image:
        image.write(pack)
        image.flush()
        command = [str(find_qemu()), "-machine", "mps2-an385", "-kernel", str(find(elf))]
        command += ["-device", f"loader,file={image.name},addr={_RAM:#x},force-raw=on"]
        command += ["-icount", f"shift={ICOUNT_SHIFT}", "-semihosting"]
        command += ["-display", "none", "-monitor", "none", "-serial", "stdio"]
        start = f"import uctypes;exec(bytes(uctypes.bytearray_at({_RAM:#x},{boot_bytes})))".encode()
        stop = b"import machine;machine.reset()"
        return _converse(command, _RAW_REPL + start + _END + stop + _END, timeout_s)


def _converse(command: list[str], typed: bytes, timeout_s: float) -> str:
    """Start qemu, type `typed`, and return the output of the first program typed."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        late = threading.Event()

        def stop():
            late.set()
            process.kill()

        timer = threading.Timer(timeout_s, stop)
        timer.start()
        try:
            process.stdin.write(typed)
            process.stdin.close()
            # Once the banner appears the serial line is open, which qemu would notice at the next turn of its main loop,
            # up to a second later: any signal that it handles turns the loop now.
            output = os.read(process.stdout.fileno(), 1)
            process.send_signal(signal.SIGIO)
            output += process.stdout.read()
        finally:
            timer.cancel()
            process.kill()
    text = output.decode(errors="replace").replace("\r\n", "\n")
    printed, framed, rest = text.partition("raw REPL; CTRL-B to exit\n>OK")[2].partition("\x04")
    if late.is_set():
        raise QemuTimeout(f"not done after {timeout_s:g} s; printed so far:\n{printed}")
    if not framed:
        raise QemuError(f"the firmware stopped in the middle (qemu exit code {process.returncode}):\n{text}")
    failure = rest.partition("\x04")[0]
    if failure:
        raise QemuError(f"{printed}{failure}")
    return printed


def _device_module(name: str, march: str) -> bytes:
    return mpy.compile_source((_DEVICE / f"{name}.py").read_bytes(), f"{name}.py", march)
