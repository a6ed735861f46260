"""Power cuts on an emulated Pico: at random instructions, and inside erase and program operations of the flash, while a
board makes its node key, writes its address book, takes an update and a deployment (programs/emu_cut.py)."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from picoswarm.membership import Membership

from .. import mpy
from ..keyfolder import new_network_key
from ..runtimes import ROOT
from ..shipping import deploy
from .files import ARCH
from .pico import HOST, EmulatorError, Pico
from .probe import PROGRAMS, network_files

PHASES = {"key": ("book", 3), "book": ("book", 3), "update": ("update", 1), "deploy": ("deploy", 1)}  # what one boot does
MAIN = "import emu_cut\nemu_cut.run({!r}, {})\n"
PATIENCE_S = 300.0


@dataclass
class Trial:
    """One cut, and what the board was afterwards."""

    phase: str  # of PHASES; in "key" the board has none yet
    inside: str  # "erase" or "program": what the cut tore; "" where it hit no operation
    at: int  # instructions from the boot
    offset: int  # of the operation on the chip, and its length; 0 where it hit none
    length: int
    outcome: str  # "" where all is as it must be, else what is wrong

    @property
    def survived(self) -> bool:
        return not self.outcome

    def __str__(self) -> str:
        torn = f"{self.inside} of {self.length} bytes at 0x{self.offset:06x} torn" if self.inside else "between operations"
        return f"{self.phase:6}  after {self.at:>11,} instructions, {torn}: {self.outcome or 'well'}"


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
        """Boot once without a cut, to know how long it takes. The power is off before and after."""
        self.last[phase] = list(self.said)
        before = await self.pico.now()
        self.pico.power_on(self.images[phase])
        await self.listen("done")
        after = await self.pico.now()
        await self.off()
        self.boots[phase] = Boot(after["instructions"] - before["instructions"], after["operations"] - before["operations"])

    async def trial(self, phase: str, is_torn: bool) -> Trial:
        """Cut the power once in a boot, and look what the next one finds."""
        boot = self.boots[phase]
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
        await self.off()
        operation = facts["operation"] or {}
        where = operation.get("offset", 0), operation.get("length", 0)
        return Trial(phase, operation.get("kind", ""), facts["instructions"] - started, *where, outcome)


def judge(before: list[dict], found: dict) -> str:
    """What is wrong with the state after a cut, by what the board had said before it; empty when nothing is."""
    ids = {facts["id"] for facts in before if "id" in facts}
    if ids - {found["id"]}:
        return "the node has another id"
    if not found["is_whole"]:
        return "what is there is neither the old nor the new"
    last = max((facts.get("wrote", facts.get("number", 0)) for facts in before), default=0)
    if not last <= found["number"] <= last + 1:
        return f"number {last} had been written, and number {found['number']} is found"
    return ""


class Sums:
    """Stands in a program for what the board itself puts there."""

    def __repr__(self) -> str:
        return "sums"


@asynccontextmanager
async def bench(folder: Path, seed: int, phases: Sequence[str] = tuple(PHASES)) -> AsyncIterator[Bench]:
    """A Pico with the program, a network key and no node key; and, for each other phase, one with a node key and what an
    earlier boot of that phase has left. Each boot runs the program."""
    flash, images = folder / "flash", {phase: folder / f"{phase}.flash" for phase in PHASES}
    files = {f"/swarm/{name}": data for name, data in network_files(Membership(new_network_key())).items()}
    land = (ROOT / "firmware/landing.py").read_text() + deploy.LAND.format(stage=deploy.STAGE, wanted=Sums())
    programs = (deploy.STAGE, deploy.PREPARE.format(stage=deploy.STAGE, keep=[]), land)
    files["/deploy.json"] = json.dumps(programs).encode()
    for path in (PROGRAMS / "emu_cut.py", ROOT / "firmware/apps.py", ROOT / "firmware/landing.py"):
        code = mpy.translate(path.read_text(), ARCH, 3, path.name, mpy.FROZEN)
        files[f"/lib/{path.stem}.mpy"] = mpy.compile_source(code.encode(), path.name, ARCH)
    async with Pico(flash, turbo=True) as pico:
        made = Bench(pico, images, seed)
        for phase in phases:
            part, count = PHASES[phase]
            pico.power_on()
            async with pico.repl() as repl:
                for name, data in files.items():
                    await repl.put(name, data)
                files.clear()
                await repl.put("/main.py", MAIN.format(part, count).encode())
            await made.connect()
            await made.off()
            if phase in ("update", "deploy"):  # a first one is there, which a cut may not harm
                made.said = [{"id": facts["id"]} for facts in made.said if "id" in facts]
                pico.power_on()
                await made.listen("done")
                await made.off()
            shutil.copy(flash, images[phase])
            await made.measure(phase)
            made.writer.close()
        await made.connect()
        yield made
        made.writer.close()


def plan(count: int, phases: Sequence[str] = tuple(PHASES)) -> Iterator[tuple[str, bool]]:
    """(phase, whether the cut is inside an operation) of each trial: each phase in turn, and two thirds of the cuts
    inside an erase or program operation."""
    for i in range(count):
        yield phases[i % len(phases)], i // len(phases) % 3 != 1


async def try_cuts(
    folder: Path,
    count: int,
    seed: int,
    phases: Sequence[str] = tuple(PHASES),
    log: Callable[[str], object] = lambda _line: None,
) -> list[Trial]:
    """So many cuts, one after another; each is told to `log`. Raises EmulatorError, Missing."""
    trials = []
    async with bench(folder, seed, phases) as board:
        for phase, is_torn in plan(count, phases):
            trials.append(await board.trial(phase, is_torn))
            log(f"{len(trials):>3}  {trials[-1]}")
    return trials
