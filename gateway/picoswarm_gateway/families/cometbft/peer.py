"""One connection to a node of a CometBFT network, from dial or accept to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ..strangers import rest
from .mconnection import RATE, Channel, MConnection
from .messages import BLOCKSYNC, INFO_MAX, MEMPOOL, PEX, STATE, NodeInfo
from .proto import Malformed, message, uvarint
from .secret import Refused, SecretConnection, node_id

HANDSHAKE_S = 20.0
READ = 1 << 16
PAUSE_MAX_S = 60.0
UNREAD_S = 30.0  # that it may leave what was sent unread
MESSAGES = {  # priority and the longest message of each channel, as CometBFT's own
    PEX: (1, 64_000),
    STATE: (6, 1 << 20),
    MEMPOOL: (5, 1 << 20),
    BLOCKSYNC: (5, 1 << 16),
}
BLOCK_MAX = 22 << 20  # bytes, of who was asked for a block

OnMessage = Callable[["Peer", int, bytes], None]


class Peer:
    """A node that has proven its id. `run` lives as long as the connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        info: NodeInfo,
        is_outbound: bool,
        spoken: Any,
        rate: int = RATE,
    ) -> None:
        """`spoken`: (the SecretConnection, what it held already). `rate`: bytes a second, each way."""
        self.info = info
        self.is_outbound = is_outbound
        self.height = 0  # that it told of
        self.base = 0
        self.trouble = ""  # why it ended
        self.since = time.monotonic()
        self.asked_pex = False  # for addresses, without an answer so far
        self.pex_requests = 0  # of its own
        self.pex_at = 0.0  # when it asked last
        self.useful = 0  # blocks of its that were verified
        self.failures = 0  # to send a block that it was asked for, one after another
        self.paused_until = 0.0  # time.monotonic(); until then it is not asked for blocks
        self._reader = reader
        self._writer = writer
        self._secret, self._early = spoken
        self.mux = MConnection([Channel(each, *MESSAGES[each]) for each in MESSAGES], time.monotonic(), rate)
        self._arrived = asyncio.Event()
        self._is_last = False  # nothing comes after what waits to be sent

    @property
    def id(self) -> str:
        """40 hexadecimal digits."""
        return self.info.id

    @property
    def is_over(self) -> bool:
        """It was closed."""
        return self._writer.is_closing()

    def pause(self) -> None:
        """It did not send a block: others are asked first, for longer each time."""
        self.failures += 1
        self.paused_until = time.monotonic() + min(PAUSE_MAX_S, 2.0 ** min(self.failures, 10))

    @property
    def ip(self) -> str:
        """Its address, as the socket has it."""
        return self._writer.get_extra_info("peername")[0]

    def send(self, channel: int, text: bytes) -> bool:
        """Queue a message; False: too much waits, or it does not know the channel."""
        if channel not in self.info.channels or not self.mux.send(channel, text):
            return False
        self._arrived.set()
        return True

    def close(self, why: str) -> None:
        """End the connection, whatever the other side has not read."""
        self.trouble = self.trouble or why
        self._writer.transport.abort()
        self._arrived.set()

    def finish(self, why: str) -> None:
        """End the connection once what waits is sent."""
        self.trouble = self.trouble or why
        self._is_last = True
        self._arrived.set()

    @property
    def bytes_of_blocks(self) -> int:
        """That it has sent so far."""
        return self.mux.channels[BLOCKSYNC].bytes_in

    def ask_block(self, text: bytes) -> bool:
        """Send a request for a block; from now on it may send long messages."""
        self.mux.channels[BLOCKSYNC].longest = BLOCK_MAX
        return self.send(BLOCKSYNC, text)

    async def run(self, on_message: OnMessage) -> None:
        """Serve it until the connection ends; `trouble` says why."""
        sender = asyncio.create_task(self._send())
        try:
            self._take(self._early, on_message)
            while not self._writer.is_closing():
                data = await self._reader.read(READ)
                if not data:
                    self.trouble = self.trouble or "it closed the connection"
                    break
                began = time.perf_counter()
                self._take(self._secret.receive(data), on_message)
                await rest(began)
                if pause := self.mux.receiving.wait(time.monotonic()):
                    await asyncio.sleep(pause)
        except (Refused, Malformed, OSError) as error:
            self.trouble = self.trouble or str(error)
        finally:
            self.trouble = self.trouble or "the connection was lost"
            self._writer.transport.abort()
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender

    def _take(self, data: bytes, on_message: OnMessage) -> None:
        for channel, text in self.mux.receive(data):
            if self._writer.is_closing():
                return
            on_message(self, channel, text)
        if self.mux.has_more:
            self._arrived.set()

    async def _send(self) -> None:
        with suppress(OSError):
            while not self._writer.is_closing():
                now = time.monotonic()
                try:
                    beat = self.mux.tick(now)
                except Refused as error:
                    return self.close(str(error))
                self._write(beat + self.mux.to_send(now))
                try:
                    async with asyncio.timeout(UNREAD_S):
                        await self._writer.drain()
                except TimeoutError:
                    return self.close("it does not read")
                if self.mux.has_more:
                    await asyncio.sleep(min(1.0, self.mux.sending.wait(time.monotonic())))
                elif self._is_last:
                    return self._writer.close()
                else:
                    self._arrived.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._arrived.wait(), 1)

    def _write(self, data: bytes) -> None:
        if data:
            self._secret.send(data)
            self._writer.write(bytes(self._secret.out))
            self._secret.out.clear()


async def shake_hands(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    key: Ed25519PrivateKey,
    mine: NodeInfo,
    wanted: str = "",
    rate: int = RATE,
) -> Peer:
    """The peer at the other end, once both have proven who they are and told what they are. `wanted`: the id that was
    dialed; `rate` as for Peer. Raises Refused, OSError and TimeoutError; the connection is closed then."""
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            info, spoken = await _shake_hands(reader, writer, key, mine, wanted)
            return Peer(reader, writer, info, bool(wanted), spoken, rate)
    except BaseException as error:
        writer.transport.abort()
        if isinstance(error, Malformed):
            raise Refused(str(error)) from None
        raise


async def _shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: Ed25519PrivateKey, mine: NodeInfo, wanted: str
) -> tuple[NodeInfo, tuple[SecretConnection, bytes]]:
    secret = SecretConnection(key)
    plain = b""
    is_told = False
    while True:
        writer.write(bytes(secret.out))
        secret.out.clear()
        await writer.drain()
        if secret.remote_key is not None:
            proven = node_id(secret.remote_key).hex()
            if wanted and proven != wanted:
                raise Refused("it is another node than was dialed")
            if not is_told:
                is_told = True
                secret.send(message(mine.encode()))
                continue
            with suppress(IndexError):
                size, start = uvarint(plain, 0)
                if size > INFO_MAX:
                    raise Refused("what it tells of itself is too long")
                if len(plain) >= start + size:
                    break
        data = await reader.read(READ)
        if not data:
            raise Refused("it closed the connection")
        plain += secret.receive(data)
    info = NodeInfo.decode(plain[start : start + size])
    if refusal := info.refusal(mine, proven):
        raise Refused(refusal)
    return info, (secret, plain[start + size :])
