"""A board as a process: the firmware's own files on 32-bit MicroPython under a board's heap, a pseudo terminal in the place
of its serial line. What `machine` and `network` lack there is in shims/. A reset starts the process anew."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import shutil
import sys
import tty
from collections.abc import Callable
from pathlib import Path

from picoswarm.membership import Membership
from picoswarm.store import Store
from picoswarm_tools import boards, mpy, runtimes
from picoswarm_tools.keyfolder import save

sys.path.insert(0, str(runtimes.ROOT / "firmware" / "lib"))
from swarmboard import improv  # noqa: E402

SHIMS = Path(__file__).with_name("shims")
FIRMWARE = runtimes.ROOT / "firmware"
RESET, SLEEP, WATCHDOG = 90, 91, 92
PATIENCE_S = 60.0


class BoardProcess:
    """`async with BoardProcess(folder)`: it is switched on. `said` is what its console printed, `packets` what of it was
    Improv, `ends` the exit code of each life."""

    def __init__(self, folder: Path, board: str = "RPI_PICO_W") -> None:
        self.folder = folder
        self.said = ""
        self.packets: list[tuple[int, bytes]] = []
        self.ends: list[int] = []
        self.is_held = False  # switched off at its next end
        self.listeners: list[Callable[[bytes], object]] = []  # of what it sends over the serial line
        self._board = board
        self._heap = next(each for each in boards.boards() if each["board"] == board)["heap_bytes"]
        self._parser = improv.Parser()
        self._life: asyncio.Task | None = None
        self._process: asyncio.subprocess.Process | None = None
        for name in ("boot.py", "main.py", "apps.py"):
            shutil.copy(FIRMWARE / name, folder / name)
        (folder / "air.json").write_text("{}")

    def write(self, name: str, content: object) -> None:
        """A file of the board: a text, or what becomes JSON."""
        (self.folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def provision(self, membership: Membership) -> None:
        """The network key, as `picoswarm provision` writes it."""
        if (self.folder / "swarm").exists():
            (self.folder / "swarm").chmod(0o700)  # the board, which knows no users, made it
        save(Store(str(self.folder / "swarm")), membership)

    async def __aenter__(self) -> BoardProcess:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self.switch_on()
        return self

    async def __aexit__(self, *exception: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        await self.switch_off()
        os.close(self._master)
        os.close(self._slave)
        if exception[0] is not None:
            print(self.said)

    def switch_on(self) -> None:
        self.is_held = False
        self._life = asyncio.create_task(self._live())

    async def switch_off(self) -> None:
        """Pull the plug."""
        self.is_held = True
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        if self._life:
            await self._life

    async def _live(self) -> None:
        library = mpy.library_folder("x86", 3)
        path = f"{SHIMS}:.:{runtimes.ROOT / 'boards' / self._board}:{library}:{FIRMWARE / 'lib'}:.frozen"
        code = "exec(open('boot.py').read()); exec(open('main.py').read())"
        cause = 1  # power on; any further life is one by a reset
        while not self.is_held:
            self._process = await asyncio.create_subprocess_exec(
                *(str(runtimes.find("micropython")), "-X", f"heapsize={self._heap}", "-c", code),
                env={**os.environ, "MICROPYPATH": path, "BOARD_RESET_CAUSE": str(cause)},
                cwd=self.folder,
                stdin=self._slave,
                stdout=self._slave,
                stderr=self._slave,
                start_new_session=True,
            )
            end = await self._process.wait()
            cause = 3
            if self.is_held:
                return
            self.ends.append(end)
            if end not in (RESET, SLEEP, WATCHDOG):
                return

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._master, 4096)
            for byte in data:
                got = self._parser.feed(byte)
                if got:
                    self.packets.append(got)
            self.said += data.decode(errors="replace")
            for listener in self.listeners:
                listener(data)

    def send(self, data: bytes) -> None:
        """What somebody sends over the serial line."""
        os.write(self._master, data)

    async def until(self, happens: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait until a function returns something true. Fails with what the console said."""
        try:
            async with asyncio.timeout(seconds):
                while not happens():
                    assert self._life and (not self._life.done() or self.is_held), f"it ended {self.ends}: {self.said}"
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; the console said:\n{self.said}") from None

    async def until_it_says(self, *words: str) -> None:
        """Wait until the console has printed each of the texts."""
        await self.until(lambda: all(word in self.said for word in words))

    async def answer(self, kind: int, first: int | None = None) -> bytes:
        """The data of the first packet of a type, and of a command, that came since the last call."""

        def found() -> list[bytes]:
            return [data for k, data in self.packets if k == kind and (first is None or data[0] == first)]

        await self.until(found)
        data = found()[0]
        self.packets.clear()
        return data
