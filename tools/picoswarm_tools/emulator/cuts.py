"""Power cuts on an emulated Pico: at random instructions, and inside erase and program operations of the flash, while a
board makes its node key and writes its address book (programs/emu_cut.py)."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from picoswarm.membership import Membership

from .. import mpy
from ..provision import new_network_key
from .files import ARCH
from .pico import HOST, EmulatorError, Pico
from .probe import PROGRAMS, network_files

BOOKS = 3  # written in one boot
MAIN = f"import emu_cut\nemu_cut.run({BOOKS})\n"
PATIENCE_S = 300.0


@dataclass
class Trial:
    """One cut, and what the board was afterwards."""

    phase: str  # "key": the board has none yet; "book"
    inside: str  # "erase" or "program": what the cut tore; "" where it hit no operation
    at: int  # instructions from the boot
    outcome: str  # "" where all is as it must be, else what is wrong

    @property
    def survived(self) -> bool:
        return not self.outcome


@dataclass
class Boot:
    """What one whole boot costs, counted on the board itself."""

    instructions: int
    operations: int


class Bench:
    """A Pico whose flash is put back to a known state before each trial."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self, pico: Pico, images: dict[str, Path], seed: int) -> None:
        self.pico, self.images = pico, images
        self.random = random.Random(seed)
        self.boots: dict[str, Boot] = {}
        self.said: list[dict] = []
        self.last: dict[str, list[dict]] = {}  # by phase: what was said before its image was taken

    async def connect(self) -> None:
        """Hear what is said from now on."""
        self.reader, self.writer = await asyncio.open_connection(HOST, self.pico.serial_port)

    async def off(self) -> None:
        self.pico.power_off()
        await self.pico.was_cut()

    async def listen(self, until: str) -> dict:
        """The lines of a boot up to the one with this key. Raises EmulatorError where the program fails."""
        failed = b""
        reader = self.reader  # one that is replaced meanwhile is heard to its end
        while True:
            line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
            if line.startswith(b"{"):
                try:
                    facts = json.loads(line)
                except ValueError:
                    continue  # torn by the cut
                self.said.append(facts)
                if until in facts:
                    return facts
            elif b"Error" in line or b"Traceback" in line or failed:
                failed += line
                if b"Error" in line:
                    raise EmulatorError(failed.decode(errors="replace"))
            elif not line:
                raise EmulatorError("the runner ended")

    async def measure(self, phase: str) -> None:
        """Boot once without a cut, to know how long it takes."""
        await self.off()
        self.last[phase] = list(self.said)
        before = await self.pico.now()
        self.pico.power_on(self.images[phase])
        await self.listen("done")
        after = await self.pico.now()
        self.boots[phase] = Boot(after["instructions"] - before["instructions"], after["operations"] - before["operations"])

    async def trial(self, phase: str, is_torn: bool) -> Trial:
        """Cut the power once in a boot, and look what the next one finds."""
        boot = self.boots[phase]
        await self.off()
        self.said.clear()
        started = (await self.pico.now())["instructions"]
        if is_torn:
            self.pico.tear(self.random.randrange(1, boot.operations + 1), self.random.uniform(0.02, 0.98))
        else:
            self.pico.cut(self.random.randrange(1, boot.instructions))
        self.pico.power_on(self.images[phase])
        listening = asyncio.create_task(self.listen("done"))
        cut = asyncio.create_task(self.pico.was_cut(PATIENCE_S))
        await asyncio.wait((listening, cut), return_when=asyncio.FIRST_COMPLETED)
        if not cut.done():  # this boot took fewer operations than the one that was counted
            self.pico.power_off()
        facts = await cut
        heard, writer = self.reader, self.writer
        await self.connect()  # which ends the connection before, once all that was said has come
        await asyncio.gather(listening, return_exceptions=True)
        await heard.read()
        writer.close()
        before = self.last[phase] + self.said
        self.said.clear()
        self.pico.power_on()
        try:
            found = await self.listen("id")
            await self.listen("done")
            outcome = judge(before, found)
        except (EmulatorError, TimeoutError) as trouble:
            outcome = f"it does not come up: {trouble!r}"
        operation = facts["operation"] or {}
        return Trial(phase, operation.get("kind", ""), facts["instructions"] - started, outcome)


def judge(before: list[dict], found: dict) -> str:
    """What is wrong with the state after a cut, by what the board had said before it; empty when nothing is."""
    ids = {facts["id"] for facts in before if "id" in facts}
    if ids - {found["id"]}:
        return "the node has another id"
    if not found["is_whole"]:
        return "the address book is neither the old nor the new one"
    last = max((facts.get("wrote", facts.get("book", 0)) for facts in before), default=0)
    if not last <= found["book"] <= last + 1:
        return f"book {last} had been written, and book {found['book']} is found"
    return ""


@asynccontextmanager
async def bench(folder: Path, seed: int) -> AsyncIterator[Bench]:
    """A Pico with the program, a network key and no node key; and one with a node key. Each boot runs the program."""
    flash, images = folder / "flash", {"key": folder / "key.flash", "book": folder / "book.flash"}
    code = mpy.translate((PROGRAMS / "emu_cut.py").read_text(), ARCH, 3, "emu_cut.py")
    async with Pico(flash, turbo=True) as pico:
        async with pico.repl() as repl:
            for name, data in network_files(Membership(new_network_key())).items():
                await repl.put(f"/swarm/{name}", data)
            await repl.put("/lib/emu_cut.mpy", mpy.compile_source(code.encode(), "emu_cut.py", ARCH))
            await repl.put("/main.py", MAIN.encode())
        shutil.copy(flash, images["key"])
        made = Bench(pico, images, seed)
        await made.connect()
        await made.measure("key")
        shutil.copy(flash, images["book"])
        await made.measure("book")
        yield made
        made.writer.close()


def plan(count: int) -> Iterator[tuple[str, bool]]:
    """(phase, whether the cut is inside an operation) of each trial: a third while the key is made, and two thirds inside an
    erase or program operation."""
    for i in range(count):
        yield "key" if i % 3 == 0 else "book", i % 3 != 1


async def try_cuts(folder: Path, count: int, seed: int) -> list[Trial]:
    """So many cuts, one after another. Raises EmulatorError, Missing."""
    async with bench(folder, seed) as board:
        return [await board.trial(phase, is_torn) for phase, is_torn in plan(count)]
