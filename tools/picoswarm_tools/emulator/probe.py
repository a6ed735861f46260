"""A node on an emulated Pico under measurement (programs/emu_probe.py), and members around it in this process."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from picoswarm.membership import Membership
from picoswarm.slots import NETWORK
from picoswarm.store import Store

from .. import mpy
from ..boards import numbers_of
from ..keyfolder import new_network_key, save
from ..runtimes import ROOT
from .clock import PicoTime
from .files import ARCH, write_chip
from .hub import Link, free_address
from .pico import EmulatorError, Pico, Repl

BOARD = "RPI_PICO_EMU"
PROGRAMS = Path(__file__).with_name("programs")
_SWARMBOARD = ROOT / "firmware" / "lib" / "swarmboard"


def network_files(membership: Membership) -> dict[str, bytes]:
    """The files of a provisioned folder, by name."""
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        save(Store(folder), membership)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def compiled(path: Path) -> bytes:
    """A program for the Pico, as an .mpy."""
    return mpy.compile_source(path.read_bytes(), path.name, ARCH)


def files_of_node(membership: Membership, *programs: Path) -> dict[str, bytes]:
    """By path, all that a node's flash holds besides the library: a provisioned folder, the probe, what brings its link up,
    and further programs."""
    files = {f"/swarm/{name}": data for name, data in network_files(membership).items()}
    files |= {f"/lib/{path.stem}.mpy": compiled(path) for path in (PROGRAMS / "emu_probe.py", *programs)}
    for name in ("__init__", "line"):
        files[f"/lib/swarmboard/{name}.mpy"] = compiled(_SWARMBOARD / f"{name}.py")
    return files


class EmulatedNode:
    """What is known of a node on an emulated Pico, and what it is told."""

    def __init__(self, pico: Pico, link: Link, repl: Repl) -> None:
        self.pico, self.link, self.repl = pico, link, repl
        self.free: dict[str, int] = {}  # bytes of heap, by the stage of its start
        self.times: dict[str, int] = {}  # ms of its clock
        self.id = b""

    async def start(
        self,
        bootstrap: list[str],
        numbers: dict[str, int],
        own: int,
        is_minded: bool,
        log: Callable[[str], object] = lambda _line: None,
    ) -> None:
        """Run the probe until the node has a session; each stage is told to `log`."""
        call = f"run({numbers!r}, {bootstrap!r}, {own}, {is_minded})"
        await self.repl.begin(f"import emu_probe\nemu_probe.{call}")
        for stage in ("boot", "link", "import", "start", "joined"):
            facts = await self.repl.facts(600)
            log(f"{stage}: {facts}")
            self.free[stage] = facts.pop("free")
            if "id" in facts:
                self.id = bytes.fromhex(facts.pop("id"))
            self.times |= {name: value for name, value in facts.items() if name.endswith("_ms")}

    async def ask(self, command: str) -> dict:
        """The answer to a command. Raises EmulatorError."""
        self.repl.writer.write(command.encode() + b"\n")
        return await self.repl.facts()


@contextlib.asynccontextmanager
async def emulated_node(
    membership: Membership,
    is_frozen: bool = True,
    clock: PicoTime | None = None,
    form: str = "",
) -> AsyncIterator[EmulatedNode]:
    """An emulated Pico with a network key and the probe on its flash, at its REPL. With `is_frozen` false the library is on
    its file system too (`form`: one of mpy.FORMS), and taken from there."""
    files = files_of_node(membership)
    if not is_frozen:
        for path in sorted((mpy.compile_library(ARCH, 3, form) / "picoswarm").glob("*.mpy")):
            files[f"/lib/picoswarm/{path.name}"] = path.read_bytes()
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as scratch:
        chip = Path(scratch, "chip")
        write_chip(chip, files)
        async with (
            Pico(chip, is_frozen, clock=clock) as pico,
            Link(pico.uart_ports[1], free_address()) as link,
            pico.repl() as repl,
        ):
            yield EmulatedNode(pico, link, repl)


__all__ = ["BOARD", "EmulatedNode", "EmulatorError", "NETWORK", "emulated_node", "new_network_key", "numbers_of"]
