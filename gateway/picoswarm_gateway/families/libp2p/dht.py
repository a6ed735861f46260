"""kad-dht as a client: where peers are, who has some content, and telling that a host of ours has it (kad.py).

It answers no questions, so it stands in nobody's table. All who ask the same at a time share one lookup.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from picoswarm.failures import StreamError
from picoswarm.peerid import parse_peer
from picoswarm.protobuf import read_varint

from ..strangers import is_of_the_internet
from .dialing import address_of, in_turn
from .host import Host
from .kad import (
    ADD_PROVIDER,
    FIND_NODE,
    GET_PROVIDERS,
    KEY_MOST,
    NEAREST,
    Answer,
    Found,
    Query,
    decode_answer,
    encode_question,
)
from .messages import Frames

ASK_S, WALK_S = 10.0, 30.0  # for one peer, and for a lookup
KEPT_S = 60.0  # what was found is told again without a lookup
LOOKUPS = 64  # that are under way
ANSWERS = 1024  # that are kept
TELLERS = 3  # peers that told of an address of a peer: enough, as one may be wrong
ASKED = 32  # peers at a time, of all lookups
SERVERS = 256  # peers that answered lately
ANSWER_MOST = 1 << 18  # bytes
CHUNK = 16_384
AGAIN_S = 22 * 3600.0  # a provider tells so often that it is one; it is forgotten after 48 h
PROVIDED_MOST = 1024


def content_key(text: str) -> bytes | None:
    """The key of a CID, "bafk..." or "Qm...": its multihash. None for what is none."""
    if text.startswith("Qm"):
        return parse_peer(text)
    if not text.startswith("b"):
        return None
    try:
        data = base64.b32decode(text[1:].upper() + "=" * (-(len(text) - 1) % 8))
    except (binascii.Error, ValueError):
        return None
    version, at = read_varint(data, 0, len(data))
    _, at = read_varint(data, at, len(data)) if at > 0 else (0, 0)
    key = data[at:]
    return key if version == 1 and at > 0 and 2 < len(key) <= KEY_MOST else None


class Dht:
    """See the module. `name`: of its protocol, which names the network too. It looks up by `host`."""

    def __init__(self, host: Host, name: str) -> None:
        self.counts: Counter[str] = Counter(lookups=0, asked=0, silent=0, provided=0)
        self._host = host
        self._name = name
        self._servers: dict[bytes, None] = {}  # the one that answered last at the end
        self._lookups: dict[tuple[int, bytes], asyncio.Task] = {}
        self._places = asyncio.Semaphore(ASKED)
        self._provided: dict[tuple[Host, bytes], float] = {}  # when to tell it again

    async def find(self, peer: bytes) -> list[str]:
        """Addresses of a peer, which `host` knows from then on; none where nobody tells any. Raises StreamError."""
        if self._host.connection(peer):
            return self._host.known.get(peer, [])
        return await self._once(FIND_NODE, peer, self._find)

    async def _find(self, peer: bytes) -> list[str]:
        told: list[list[str]] = []  # by each who tells

        def take(answer: Answer) -> bool:
            told.extend([found.addresses for found in answer.closer if found.peer == peer and found.addresses][:1])
            return len(told) >= TELLERS or self._host.connection(peer) is not None

        await self._walk(FIND_NODE, peer, take)
        if not told:
            return []
        self._host.learn(peer, in_turn(told))
        return self._host.known[peer]

    async def providers(self, key: bytes) -> dict[bytes, list[str]]:
        """Up to 20 peers that say they have what a key names, with addresses of some. Raises StreamError."""
        return await self._once(GET_PROVIDERS, key, self._providers)

    async def _providers(self, key: bytes) -> dict[bytes, list[str]]:
        told: dict[bytes, list[list[str]]] = {}  # by each who tells

        def take(answer: Answer) -> bool:
            for each in answer.providers:
                told.setdefault(each.peer, []).append(each.addresses)
            return len(told) >= NEAREST

        await self._walk(GET_PROVIDERS, key, take)
        found = {peer: in_turn(lists) for peer, lists in list(told.items())[:NEAREST]}
        for peer, addresses in found.items():
            if addresses:
                self._host.learn(peer, addresses)
        return found

    async def provide(self, key: bytes, provider: Host) -> int:
        """Tell the peers nearest to a key that a host of ours has what it names, and again each 22 h. Returns how many heard
        it. Raises StreamError."""
        if not provider.addresses:
            raise StreamError("it has no address that peers could be told", 3)
        query = await self._walk(FIND_NODE, key, lambda answer: False)
        message = encode_question(ADD_PROVIDER, key, provider.id, provider.addresses)
        for peer in query.nearest():
            provider.learn(peer, self._host.known.get(peer, []))
        told = await asyncio.gather(*(self._ask(provider, peer, message) for peer in query.nearest()))
        count = sum(answer is not None for answer in told)
        if count and len(self._provided) < PROVIDED_MOST:
            self._provided[provider, key] = time.monotonic() + AGAIN_S
        self.counts["provided"] += 1
        return count

    async def provide_again(self) -> None:
        """Tell again what is due, of hosts that still listen."""
        for (provider, key), due in list(self._provided.items()):
            if not provider.addresses:
                del self._provided[provider, key]
            elif due <= time.monotonic():
                self._provided[provider, key] = time.monotonic() + AGAIN_S
                await self.provide(key, provider)

    async def _once(self, kind: int, key: bytes, lookup: Callable[[bytes], Coroutine[Any, Any, Any]]) -> Any:
        task = self._lookups.get((kind, key))
        if task is None:
            if sum(not each.done() for each in self._lookups.values()) >= LOOKUPS:
                raise StreamError("too many lookups", 3)
            if len(self._lookups) >= ANSWERS:
                del self._lookups[next(what for what, each in self._lookups.items() if each.done())]
            task = self._lookups[kind, key] = asyncio.create_task(lookup(key))
            task.add_done_callback(partial(self._done, (kind, key)))
        return await asyncio.shield(task)

    def _done(self, what: tuple[int, bytes], task: asyncio.Task) -> None:
        is_found = not task.cancelled() and task.exception() is None and task.result()
        asyncio.get_running_loop().call_later(KEPT_S if is_found else 0, self._lookups.pop, what, None)

    async def _walk(self, kind: int, key: bytes, take: Callable[[Answer], bool]) -> Query:
        """Ask ever nearer peers, until none is nearer or `take` has enough."""
        self.counts["lookups"] += 1
        query = Query(key, self._host.id, self._seeds())
        message = encode_question(kind, key)
        running: dict[asyncio.Task, bytes] = {}
        try:
            async with asyncio.timeout(WALK_S):
                while True:
                    for peer in query.to_ask():
                        if query.heard[peer]:
                            self._host.learn(peer, query.heard[peer])
                        running[asyncio.create_task(self._ask(self._host, peer, message))] = peer
                    if not running:
                        break
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        peer, answer = running.pop(task), task.result()
                        if answer is None:
                            query.failed(peer)
                            continue
                        query.answered(peer, answer.closer)
                        if take(answer):
                            return query
        except TimeoutError:
            pass
        finally:
            for task in running:
                task.cancel()
        return query

    def _seeds(self) -> list[Found]:
        peers = dict.fromkeys([*self._servers, *(each.peer_id for each in self._host.connections)])
        return [Found(peer, self._host.known.get(peer, [])) for peer in peers]

    async def _ask(self, host: Host, peer: bytes, message: bytes) -> Answer | None:
        """What a peer answers; an empty Answer where it says nothing and ends; None for no good answer."""
        self.counts["asked"] += 1
        stream = None
        try:
            async with self._places, asyncio.timeout(ASK_S):
                connection = await host.reach(peer)
                stream = await connection.open_stream(self._name)
                await stream.write(message)
                stream.close()
                frames, found = Frames(ANSWER_MOST), []
                while not found and (data := await stream.read(CHUNK)):
                    found = frames.add(data)
                    if found is None:
                        return None
                answer = decode_answer(found[0]) if found else Answer([], [])
        except (StreamError, TimeoutError):
            self.counts["silent"] += 1
            self._servers.pop(peer, None)
            return None
        finally:
            if stream:
                stream.reset()
        if answer:
            self._servers.pop(peer, None)
            self._servers[peer] = None
            if len(self._servers) > SERVERS:
                del self._servers[next(iter(self._servers))]
            _believe(answer, connection.ip)
        return answer


def _believe(answer: Answer, ip: bytes) -> None:
    """Forget private addresses, and names, which may stand for such, in what somebody told who has a public one: nobody out
    there shall have us dial our own network."""
    if is_of_the_internet(str(ipaddress.ip_address(ip))):
        for found in (*answer.closer, *answer.providers):
            found.addresses[:] = [each for each in found.addresses if _is_public(each)]


def _is_public(text: str) -> bool:
    return text.startswith("/ip") and not address_of(text)[0].is_private
