"""One emulated Pico: a process of the runner, and its serial port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .clock import PicoTime
from .files import find

HOST = "127.0.0.1"
START_S = 60.0
ANSWER_S = 120.0  # of a host that is busy


class EmulatorError(RuntimeError):
    """The emulated Pico ended, did not answer, or raised an exception; the message says which."""


class Pico:
    """`async with Pico(...)`: it runs."""

    def __init__(
        self,
        flash: Path | None = None,
        frozen: bool = True,
        turbo: bool = False,
        seed: int | None = None,
        unique_id: bytes | None = None,
        serial_port: int = 0,
        is_plain: bool = False,
        clock: PicoTime | None = None,
    ) -> None:
        """`flash`: the file of its flash chip, made where it is missing; None: forgotten at the end. `frozen`: the image
        with the library. `turbo`: waiting costs no time, for programs that talk to nobody. `seed`: random numbers that
        repeat. `is_plain`: rp2040js's own decoder. `clock` follows the time of this Pico. Raises Missing."""
        image = find("pico-frozen.bin" if frozen else "pico.bin")
        node = shutil.which("node") or "node"
        self._command = [node, str(find("runner") / "run.mjs"), f"--rom={find('rom.bin')}", f"--firmware={image}"]
        self._command += [f"--serial={serial_port}"]
        if flash:
            self._command.append(f"--flash={flash}")
        if turbo:
            self._command.append("--turbo")
        if seed is not None:
            self._command.append(f"--seed={seed:x}")
        if is_plain:
            self._command.append("--plain")
        if unique_id:
            self._command.append(f"--id={unique_id.hex()}")
        if clock:
            self._command.append("--clock")
        self._clock = clock
        self.serial_port = 0
        self.uart_ports: list[int] = []
        self.unique_id = ""
        self._resets: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._cuts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Pico:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,  # its end ends the runner
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = asyncio.create_task(self._listen())
        try:
            born = await self._answer(START_S)
        except BaseException:
            await self.__aexit__()
            raise
        self.serial_port, self.uart_ports, self.unique_id = born["serial"], born["uart"], born["id"]
        return self

    async def __aexit__(self, *exception: object) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)
        if process.returncode is None:
            process.kill()
            await process.wait()
        if self._listener is not None:
            await self._listener

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while line := await self._process.stdout.readline():
            facts = json.loads(line)
            if "time" in facts:
                assert self._clock is not None
                self._clock.follow(facts["time"], facts["idle"])
            elif "reset" in facts:
                self._resets.put_nowait(facts)
            elif "cut" in facts:
                self._cuts.put_nowait(facts)
            else:
                self._answers.put_nowait(facts)
        if self._clock is not None:
            self._clock.leave()
        self._answers.put_nowait({})

    async def _answer(self, seconds: float = ANSWER_S) -> dict[str, Any]:
        try:
            facts = await asyncio.wait_for(self._answers.get(), seconds)
        except TimeoutError:
            raise EmulatorError("the runner does not answer") from None
        if not facts:
            raise EmulatorError("the runner ended")
        return facts

    def _tell(self, line: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def now(self) -> dict[str, Any]:
        """{"now": virtual seconds since its start, "cycles", "instructions", "operations": erases and programs}."""
        self._tell("now")
        return await self._answer()

    def cut(self, instructions: int) -> None:
        """Let the power go after so many more instructions."""
        self._tell(f"cut {instructions}")

    def tear(self, operation: int, part: float) -> None:
        """Let the power go inside the so-manieth erase or program operation from now, after a part (0-1) of its time."""
        self._tell(f"tear {operation} {part}")

    def power_off(self) -> None:
        """Let the power go now."""
        self._tell("off")

    async def was_cut(self, seconds: float = ANSWER_S) -> dict[str, Any]:
        """Wait until the power has gone; returns {"cut": virtual seconds, "instructions", "operations", "operation": the
        erase or program operation that it hit, as {"kind", "offset", "length"}, or None}. Raises TimeoutError."""
        return await asyncio.wait_for(self._cuts.get(), seconds)

    async def was_reset(self, seconds: float = ANSWER_S) -> dict[str, Any]:
        """Wait for the next reset; returns {"reset": virtual seconds, "reason": the watchdog's}. Raises TimeoutError."""
        return await asyncio.wait_for(self._resets.get(), seconds)

    def power_on(self, flash: Path | None = None) -> None:
        """The power is back after a cut. `flash`: the chip holds from now on what this file does."""
        if flash is not None:
            self._tell(f"load {flash}")
        self._tell("on")

    def kill(self) -> None:
        """End the runner at once: its file holds what the chip would."""
        assert self._process is not None
        self._process.kill()

    @contextlib.asynccontextmanager
    async def repl(self) -> AsyncIterator[Repl]:
        """Its raw REPL, once what it runs was interrupted."""
        reader, writer = await asyncio.open_connection(HOST, self.serial_port)
        try:
            repl = Repl(reader, writer)
            await repl.enter()
            yield repl
        finally:
            writer.close()


class Repl:
    """MicroPython's raw REPL on a stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def enter(self, seconds: float = ANSWER_S) -> None:
        """Interrupt what runs, as often as it takes, and enter the raw REPL. Raises EmulatorError."""
        for _ in range(int(seconds)):
            self.writer.write(b"\r\x03\x03\r\x01")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.reader.readuntil(b"raw REPL; CTRL-B to exit\r\n>"), 1)
                break
        else:
            raise EmulatorError("there is no REPL")
        self.writer.write(b"print('in', 'step')\x04")  # what was said before this is over
        await asyncio.wait_for(self.reader.readuntil(b"in step\r\n\x04\x04>"), seconds)

    async def begin(self, code: str) -> None:
        """Start a program; its output is read with `lines`."""
        data = code.encode()
        for at in range(0, len(data), 256):
            self.writer.write(data[at : at + 256])
            await self.writer.drain()
        self.writer.write(b"\x04")
        if (seen := await asyncio.wait_for(self.reader.readexactly(2), ANSWER_S)) != b"OK":
            raise EmulatorError(f"the REPL answered {seen!r}")

    async def run(self, code: str, seconds: float = ANSWER_S) -> str:
        """What a program printed. Raises EmulatorError with its traceback, TimeoutError."""
        await self.begin(code)
        return await self.finish(seconds)

    async def finish(self, seconds: float = ANSWER_S) -> str:
        """What is left of the output of the program that was begun, once it has ended."""
        printed = await asyncio.wait_for(self.reader.readuntil(b"\x04"), seconds)
        failed = await asyncio.wait_for(self.reader.readuntil(b"\x04>"), ANSWER_S)
        if failed != b"\x04>":
            raise EmulatorError(failed[:-2].decode(errors="replace").strip())
        return printed[:-1].decode(errors="replace").replace("\r\n", "\n")

    async def facts(self, seconds: float = ANSWER_S) -> dict[str, Any]:
        """The next line of a running program that is JSON. Raises EmulatorError where it ended before, with what it said."""
        trouble = b""
        while True:
            line = await asyncio.wait_for(self.reader.readuntil(b"\n"), seconds)
            if line.startswith(b"\x04Traceback"):  # of a program on the raw REPL
                line += await asyncio.wait_for(self.reader.readuntil(b"\x04>"), seconds)
                raise EmulatorError(line.strip(b"\x04>\r\n").decode(errors="replace"))
            if b"\x04" in line or trouble and line.startswith(b"MicroPython v"):  # main.py ends with a prompt
                raise EmulatorError((trouble or line).decode(errors="replace"))
            line = line.removeprefix(b">>> ")  # of the boot before, after which the prompt came
            if line.startswith(b"{"):
                return json.loads(line)
            if trouble or line.startswith(b"Traceback"):
                trouble += line

    async def put(self, path: str, data: bytes) -> None:
        """Write a file, making the folders above it."""
        folders = path.strip("/").split("/")[:-1]
        code = ["import os, binascii"]
        for i in range(len(folders)):
            code.append(f"try:\n os.mkdir({'/' + '/'.join(folders[: i + 1])!r})\nexcept OSError:\n pass")
        await self.run("\n".join([*code, f"f = open({path!r}, 'wb')"]))
        for at in range(0, len(data), 1024):
            await self.run(f"f.write(binascii.a2b_base64({_base64(data[at : at + 1024])!r}))")
        await self.run("f.close()")


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
