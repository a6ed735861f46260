"""A node of `picoswarm demo` on an emulated Pico: firmware/demo_node.py, as everywhere else; its serial port is the pipe."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from picoswarm.membership import Membership

from ..boards import numbers_of
from ..runtimes import ROOT
from ..swarm import NodeProcess, Trouble
from .files import find
from .hub import PORT, Link, free_address
from .pico import EmulatorError, Pico, Repl
from .probe import BOARD, files_of_node

PROGRAM = ROOT / "firmware" / "demo_node.py"
_RUN = """
import sys
from emu_probe import link_up
ppp, ip = link_up()
sys.argv[:] = ["demo_node.py", "swarm", ip, {port!r}, {bootstrap!r}] + {numbers!r}
import demo_node
"""


class EmulatedProcess(NodeProcess):
    """See NodeProcess. Its flash is a file, so that it comes back as the same node."""

    def __init__(self, name: str, folder: Path, membership: Membership, heap_bytes: int) -> None:
        """Raises Missing where the emulated Pico is not built."""
        find("pico-frozen.bin")
        find("runner")
        super().__init__(name, folder, PORT, membership, heap_bytes)
        self._membership = membership
        self._flash = folder / "flash"
        self._is_provisioned = self._is_over = False  # its program
        self._pico: Pico | None = None
        self._power = contextlib.AsyncExitStack()
        self._serial: asyncio.StreamWriter | None = None

    @property
    def is_up(self) -> bool:
        return self._pico is not None and self._pico.is_running and not self._is_over

    @property
    def trouble(self) -> str:
        if self._is_ended or not self.boots or self.is_up:
            return ""
        return self.said[-1] if self.said else "the emulator ended"

    async def start(self, bootstrap: str, numbers: Mapping[str, int | str], library: Path | None = None) -> None:
        """Switch it on; its first start puts the network key and the program there. Raises Missing, Trouble, OSError."""
        self._begin()
        self._is_over = False
        try:
            repl = await self._boot()
            given = [f"{key}={value}" for key, value in {**numbers_of(BOARD), **numbers}.items()]
            await repl.begin(_RUN.format(port=str(PORT), bootstrap=bootstrap, numbers=given))
        except EmulatorError as error:
            raise Trouble(f"{self.name}: {error}") from None
        self._serial = repl.writer
        self._listener = asyncio.create_task(self._read(repl.reader))

    async def _boot(self) -> Repl:
        """Switch it on, with all that the program needs on its flash."""
        self._pico = await self._power.enter_async_context(Pico(self._flash))
        await self._power.enter_async_context(Link(self._pico.uart_ports[1], free_address()))
        repl = await self._power.enter_async_context(self._pico.repl())
        if not self._is_provisioned:
            for path, data in files_of_node(self._membership, PROGRAM).items():
                await repl.put(path, data)
            self._is_provisioned = True
        return repl

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if b"\x04" in line:  # the program is over, or says the traceback that comes then
                self._is_over = True
                self.said = [*self.said[-40:], line.strip(b"\x04>\r\n").decode(errors="replace")]
            else:
                self._hear(line)

    def _tell(self, line: str) -> None:
        if self._serial is not None and self.is_up:
            self._serial.write(f"{line}\n".encode())

    async def kill(self) -> None:
        """Pull the plug."""
        self._is_ended = True
        if self._pico is not None:
            self._pico.kill()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            self._listener = None
        await self._power.aclose()
        self._pico = self._serial = None

    async def stop(self) -> None:
        await self.kill()
