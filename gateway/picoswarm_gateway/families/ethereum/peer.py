"""One connection to a node of an Ethereum network, from dial or accept to its end (rows E9-E12, E16)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from zlib import crc32

from coincurve import PrivateKey

from ..strangers import rest
from . import messages, rlp
from .messages import DISCONNECT, HELLO, PING, PONG, REASONS, STATUS, Hello, Status
from .rlp import Malformed
from .rlpx import Rlpx

HANDSHAKE_S = 5.0
FIRST_S = 1.0  # that a node that was dialed may take for its status, before it is told one
SILENT_S = 30.0
PING_S = 15.0
ANSWER_S = 5.0
ASKED = 32  # requests under way
INTRODUCTION = 4096  # bytes of a frame of who is not known yet
UNREAD = 4 << 20  # bytes that may wait for a slow reader
UNREAD_S = 30.0  # and for how long
READ = 1 << 16

OnMessage = Callable[["Peer", int, bytes], None]


class Refused(Exception):
    """The other side is not to be spoken with, or goes; the text says why. `reason`: what it is told, None: nothing."""

    def __init__(self, text: str, reason: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason


class Peer:
    """A node that has proven its key and is of the same chain. `run` lives as long as the connection."""

    def __init__(self, line: _Line, hello: Hello, status: Status, is_outbound: bool) -> None:
        self.hello = hello
        self.status = status
        self.is_outbound = is_outbound
        self.key = hello.key
        self.number = status.number  # of the newest header that it showed
        self.head = status.head
        self.trouble = ""
        self.is_at_fault = False  # it broke a rule
        self._line = line
        self._numbers = 0
        self._asked: dict[int, tuple[int, asyncio.Future[list[Any]]]] = {}

    @property
    def id(self) -> str:
        """Its public key, 128 hexadecimal digits."""
        return self.key.hex()

    def send(self, kind: int, body: bytes) -> None:
        """A message. A peer with too much that it did not read is let go."""
        self._line.send(kind, body)
        if self._line.unread > UNREAD:
            self.trouble = self.trouble or "it does not read"
            self._line.abort()

    async def ask(self, kind: int, what: list[Any]) -> list[Any]:
        """The answer to a request; its kind follows the request's. Raises TimeoutError."""
        if len(self._asked) >= ASKED:
            raise TimeoutError("too many requests are under way")
        self._numbers += 1
        number = self._numbers
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = (kind + 1, done)
        try:
            self.send(kind, messages.request(number, what))
            async with asyncio.timeout(ANSWER_S):
                return await done
        finally:
            del self._asked[number]

    def close(self, why: str, reason: int = 0) -> None:
        """Say goodbye."""
        self.trouble = self.trouble or why
        self.is_at_fault = self.is_at_fault or reason == 2
        self._line.say_goodbye(reason)

    async def run(self, on_message: OnMessage) -> None:
        """Serve it until the connection ends; `trouble` says why."""
        pinger = asyncio.create_task(self._keep_alive())
        try:
            while True:
                kind, body = await self._line.next(SILENT_S, messages.ANSWER_MAX if self._asked else messages.LONGEST)
                began = time.perf_counter()
                if kind == PING:
                    self.send(PONG, b"\xc0")
                elif kind == DISCONNECT:
                    raise Refused(f"it goes: {REASONS.get(messages.reason_of(body), 'no reason')}")
                elif not self._is_answer(kind, body) and kind != PONG:
                    on_message(self, kind, body)
                await self._line.drain(UNREAD_S)
                await rest(began, len(body))
        except (Refused, Malformed, OSError, TimeoutError) as error:
            self.is_at_fault = self.is_at_fault or isinstance(error, Malformed)
            self.trouble = self.trouble or str(error) or "it is silent"
            self._line.say_goodbye(2 if isinstance(error, Malformed) else None)
        finally:
            self.trouble = self.trouble or "the connection was lost"
            pinger.cancel()
            for _, done in self._asked.values():
                if not done.done():
                    done.set_exception(TimeoutError("it went"))
            await self._line.close()

    def _is_answer(self, kind: int, body: bytes) -> bool:
        if kind not in {wanted for wanted, _ in self._asked.values()}:
            return False
        number, items = messages.answer(body)
        wanted, done = self._asked.get(number, (0, None))
        if done and wanted == kind and not done.done():
            done.set_result(items)
        return True

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            self.send(PING, b"\xc0")


class _Line:
    """Messages over RLPx over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rlpx: Rlpx) -> None:
        self.rlpx = rlpx
        self.is_compressed = False
        self._reader = reader
        self._writer = writer
        self.rlpx.longest = INTRODUCTION
        self._frames: deque[bytes] = deque()

    def flush(self) -> None:
        """Write what RLPx has."""
        if self.rlpx.out and not self._writer.is_closing():
            self._writer.write(bytes(self.rlpx.out))
        self.rlpx.out.clear()

    def send(self, kind: int, body: bytes) -> None:
        """A message."""
        self.rlpx.send(messages.pack(kind, body, self.is_compressed))
        self.flush()

    def say_goodbye(self, reason: int | None) -> None:
        """Tell why, if there is something to tell, and close."""
        if reason is not None and self.rlpx.is_ready and not self._writer.is_closing():
            with suppress(OSError):
                self.send(DISCONNECT, rlp.encode([reason]))
        self._writer.close()

    @property
    def unread(self) -> int:
        """Bytes that the other side has not taken."""
        return self._writer.transport.get_write_buffer_size()

    def abort(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()

    async def drain(self, seconds: float) -> None:
        """Wait while the other side reads too slowly. Raises TimeoutError, OSError."""
        try:
            async with asyncio.timeout(seconds):
                await self._writer.drain()
        except TimeoutError:
            raise TimeoutError("it does not read") from None

    async def close(self) -> None:
        """Close the socket, whatever the other side has not read within a second."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1)
        self.abort()

    async def read(self) -> None:
        """Wait for more. Raises Refused, Malformed, OSError."""
        data = await self._reader.read(READ)
        if not data:
            raise Refused("it closed the connection")
        self._frames += self.rlpx.receive(data)
        self.flush()

    async def next(self, seconds: float, longest: int = messages.LONGEST) -> tuple[int, bytes]:
        """(kind, body of at most `longest` bytes) of the next message. Raises TimeoutError besides."""
        async with asyncio.timeout(seconds):
            while not self._frames:
                await self.read()
        return messages.unpack(self._frames.popleft(), self.is_compressed, longest)


async def shake_hands(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    key: PrivateKey,
    mine: Hello,
    network: int,
    genesis: bytes,
    remote: bytes | None = None,
    fork: tuple[bytes, int] | None = None,
) -> Peer:
    """The peer at the other end, once both have shown what they are. `remote`: the key that is dialed. The status is
    answered with the peer's own fork id, since the genesis is the same; who was dialed and waits too, as another gateway
    does, gets `fork`, that of an earlier peer, or that of a chain without forks. Raises Refused; the connection is closed
    then."""
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            line = _Line(reader, writer, Rlpx(key, remote))
            line.flush()
            while not line.rlpx.is_ready:
                await line.read()
            own = Status(0, network, genesis, fork or (crc32(genesis).to_bytes(4, "big"), 0), genesis)
            return await _introduce(line, mine, own, remote is not None)
    except (Malformed, OSError, TimeoutError) as error:
        writer.close()
        raise Refused(str(error) or "it does not answer") from None
    except Refused as refused:
        line.say_goodbye(refused.reason)
        raise
    except BaseException:
        writer.close()
        raise


async def _introduce(line: _Line, mine: Hello, own: Status, is_outbound: bool) -> Peer:
    line.send(HELLO, mine.encode())
    kind, body = await line.next(HANDSHAKE_S)
    if kind == DISCONNECT:
        raise Refused(f"it refuses: {REASONS.get(messages.reason_of(body), 'no reason')}")
    if kind != HELLO:
        raise Refused("it does not say hello", 2)
    hello = Hello.decode(body)
    line.is_compressed = True
    if hello.key != line.rlpx.remote:
        raise Refused("its Hello has another key than its handshake", 9)
    if hello.key == mine.key:
        raise Refused("it is this node", 0x0A)
    version = hello.version()
    if not version:
        raise Refused("it speaks no eth that this gateway speaks", 3)
    own.version = version
    is_told = False
    try:
        kind, body = await line.next(FIRST_S if is_outbound else HANDSHAKE_S)
    except TimeoutError:
        if not is_outbound:
            raise
        is_told = True
        line.send(STATUS, own.encode())
        kind, body = await line.next(HANDSHAKE_S)
    if kind == DISCONNECT:
        raise Refused(f"it refuses: {REASONS.get(messages.reason_of(body), 'no reason')}")
    if kind != STATUS:
        raise Refused("it does not tell its status", 0x10)
    status = Status.decode(body, version)
    if status.network != own.network or status.genesis != own.genesis:
        raise Refused("it is of another network", 0x10)
    if not is_told:
        own.fork = status.fork
        line.send(STATUS, own.encode())
    line.rlpx.longest = messages.ANSWER_MAX
    return Peer(line, hello, status, is_outbound)
