"""The family `libp2p`: the gateway is a peer of libp2p networks, and boards are through it (docs/libp2p.md).

verbs      publish, subscribe: topics of pubsub; peers: who is connected; lend: a board wants to be reached;
           find, providers, provide: what the DHT knows
/libp2p/1  a stream of the mesh by which a board has one to a libp2p peer
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from picoswarm.failures import StreamError
from picoswarm.identity import Kept
from picoswarm.keys import load_identity
from picoswarm.peerid import parse_peer, peer_text
from picoswarm.peerkey import encode_key
from picoswarm.store import Store

from .. import Family, Refused, Unreachable
from ..leases import Leases
from .boards import Boards, splice
from .dht import Dht, content_key
from .dialing import address_of, in_turn
from .host import Host
from .messages import Message
from .pubsub import PubSub
from .table import Libp2pTable, endpoint

if TYPE_CHECKING:
    from ...gateway import Gateway
    from ...loops import Loops

HEAD = 6  # of what a board publishes: flags 1 | message id 4 | length of the topic 1
REPEAT = 4
RECENT = 4096  # publications of boards that are known again
EXPIRE_S = 10.0  # between two looks at what boards let end
LOOK_S = 1.0  # until a connection that ended is noticed
TO_ASK_S = 5.0
BOARD_QUESTIONS = 8  # of one board at a time; it asks again before the first has its answer
ANSWER_MOST = 400  # bytes, of what a board takes at least
STREAM = "/libp2p/1"


class Libp2pFamily(Family):
    """See the module."""

    name = "libp2p"

    def __init__(self, table: Libp2pTable) -> None:
        super().__init__()
        self.verbs = {
            **{"publish": self.submit, "subscribe": self.follow, "peers": self._tell_peers, "lend": self._lend},
            **{"find": self._find, "providers": self._providers, "provide": self._provide},
        }
        self.counts: Counter[str] = Counter(published=0, delivered=0, streams=0, refused=0)
        self._table = table
        self._recent: dict[tuple[bytes, bytes], None] = {}
        self._open: Counter[bytes] = Counter()  # streams of boards
        self._asking: Counter[bytes] = Counter()  # questions of boards to the DHT

    async def start(self, gateway: Gateway) -> None:
        """See Family."""
        self._gateway = gateway
        self._log = gateway.log.bind(family=self.name)
        table = self._table
        identity = await asyncio.to_thread(load_identity, Store(str(gateway.folder)))
        keys = Kept()
        keys.id, keys.static_private = identity.id, identity.static_private
        keys.static_public, keys.public_key = identity.static_public, encode_key(identity.id)
        self.host = Host(keys, str(gateway.folder), table.low, table.high, table.streams)
        self.pubsub = PubSub(self.host, identity.seed, self._on_message, table.router == "gossipsub")
        self.boards = Boards(gateway.node.open_stream, identity.static_private, table.boards)
        self.leases = Leases(gateway.node.request, table.board_messages, table.board_topics, self._on_unused)
        self.dht = Dht(self.host, table.dht) if table.dht else None
        if table.listen:
            ip, port = endpoint(table.listen)
            await self.host.listen(port, bytes(map(int, ip.split("."))), table.announce)
        self.pubsub.start()
        for topic in table.topics:
            self.pubsub.subscribe(topic)
        gateway.node.handle(STREAM, self._serve)
        self.always = list(table.peers)
        for text in table.peers:
            self.host.protected[address_of(text)[1]] = 1
        self._loops = self._begin(gateway.loops)

    async def stop(self) -> None:
        """See Family."""
        await self._gateway.loops.end(self._loops)
        self.pubsub.stop()
        await self.leases.stop()
        for board in list(self.boards.hosts):
            await self.boards.end(board)
        await self.host.stop()

    def state(self) -> dict[str, Any]:
        """See Family."""
        is_wanted = bool(self._table.peers)
        return {
            "state": "up" if self.host.connections or not is_wanted else "starting",
            "id": self.host.peer_id,
            "addresses": self.host.address_texts(),
            "peers": [connection.peer for connection in self.host.connections],
            "topics": {topic: len(members) for topic, members in self.pubsub.router.mesh.items()},
            "boards": {host.peer_id: host.address_texts() for host in self.boards.hosts.values()},
            "leases": len(self.leases),
            "dht": dict(self.dht.counts) if self.dht else {},
            "counts": {**self.counts, **self.host.counts, **self.pubsub.router.counts, **self.leases.counts},
        }

    # The four parts

    async def discover(self) -> list[str]:
        """See Family."""
        return list(self._table.peers)

    async def dial(self, address: str) -> None:
        """See Family."""
        try:
            connection = await self.host.dial(address)
        except StreamError as error:
            self._log.info("peer not reached", peer=address, trouble=str(error))
            raise Unreachable(str(error)) from None
        while connection.is_open:
            await asyncio.sleep(LOOK_S)

    async def submit(self, board: bytes, what: bytes) -> bytes:
        """The verb publish: `flags 1 | message id 4 | length of the topic 1 | topic | payload`, as with MQTT. Raises
        Refused."""
        if len(what) < HEAD + 1 or len(what) < HEAD + what[5]:
            raise Refused("malformed")
        topic = _text(what[HEAD : HEAD + what[5]])
        number = (board, what[1:5])
        if what[0] & REPEAT and number in self._recent:
            return b""
        self._recent[number] = None
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        self.counts["published"] += 1
        self.pubsub.publish(topic, what[HEAD + what[5] :])
        self.leases.spread(partial(_same, topic), topic, what[HEAD + what[5] :], False)
        return b""

    async def follow(self, board: bytes, what: bytes) -> bytes:
        """The verb subscribe: `number 1 | topic`, an empty one ends it. Raises Refused."""
        if not what:
            raise Refused("malformed")
        if len(what) == 1:
            self.leases.end(board, what[0])
            return b""
        topic = _text(what[1:])
        if self.leases.take(board, what[0], topic) is None:
            raise Refused("as many topics as a board may have")
        self.pubsub.subscribe(topic)
        return b""

    def _on_unused(self, topic: str) -> None:
        if topic not in self._table.topics:
            self.pubsub.unsubscribe(topic)

    def _on_message(self, message: Message) -> None:
        self.counts["delivered"] += 1
        self.leases.spread(partial(_same, message.topic), message.topic, message.data, False)

    async def _tell_peers(self, _board: bytes, _what: bytes) -> bytes:
        """The verb peers: ids of connected peers, as texts with spaces between them, as many as fit."""
        return " ".join(connection.peer for connection in self.host.connections[:6]).encode()

    async def _lend(self, board: bytes, what: bytes) -> bytes:
        """The verb lend: nothing, for the key 32 that is to be signed; or signature 64 | protocols, with newlines between
        them, for the addresses where peers reach the board."""
        if not self._table.boards:
            raise Refused("this gateway does not let boards be reached")
        if not what:
            return self.boards.static_public(board)
        names = [name for name in _text(what[64:]).split("\n") if name]
        addresses = await self.boards.take(board, what[:64], names)
        if addresses is None:
            raise Refused("no good signature, or no place")
        return "\n".join(addresses).encode()

    # What boards ask of the DHT

    async def _find(self, board: bytes, what: bytes) -> bytes:
        """The verb find: a peer id, as text; its multiaddresses, with newlines between them, as many as fit. Raises
        Refused."""
        peer = parse_peer(_text(what))
        if peer is None:
            raise Refused("not a peer id")
        return _lines({peer: await self._asked(board, lambda dht: dht.find(peer))})

    async def _providers(self, board: bytes, what: bytes) -> bytes:
        """The verb providers: a CID; multiaddresses of peers that have what it names. Raises Refused."""
        key = _key(what)
        return _lines(await self._asked(board, lambda dht: dht.providers(key)))

    async def _provide(self, board: bytes, what: bytes) -> bytes:
        """The verb provide: a CID of what this board serves; how many peers were told, 1 byte. Raises Refused."""
        key, host = _key(what), self.boards.hosts.get(board)
        if host is None:
            raise Refused("nobody could reach this board: lend first")
        return bytes((await self._asked(board, lambda dht: dht.provide(key, host)),))

    async def look_up(self, what: str) -> dict[str, Any]:
        """For who runs the gateway: where a peer is, or who has what a CID names, as multiaddresses. Raises Refused."""
        if self.dht is None:
            raise Refused("this gateway asks no DHT")
        peer, key = parse_peer(what), content_key(what)
        if peer is None and key is None:
            raise Refused("neither a peer id nor a CID")
        try:
            found = {peer: await self.dht.find(peer)} if peer else await self.dht.providers(key)
        except StreamError as error:
            raise Refused(str(error)) from None
        rows = [{"peer": peer_text(each), "addresses": addresses} for each, addresses in found.items()]
        return {"kind": "peer" if peer else "content", "found": [row for row in rows if row["addresses"] or not peer]}

    async def _asked(self, board: bytes, ask: Callable[[Dht], Awaitable[Any]]) -> Any:
        if self.dht is None:
            raise Refused("this gateway asks no DHT")
        if self._asking[board] >= BOARD_QUESTIONS:
            raise Refused("too many questions at a time")
        self._asking[board] += 1
        try:
            return await ask(self.dht)
        except StreamError as error:
            raise Refused(str(error)[:64]) from None
        finally:
            self._asking[board] -= 1

    # Streams of boards

    async def _serve(self, stream: Any) -> None:
        """A board wants a stream: `length 1 | peer id or multiaddress | length 1 | protocol`. It gets 0, or 1 and a text."""
        board = stream.peer
        if self._open[board] >= self._table.board_streams:
            self.counts["refused"] += 1
            return stream.reset(1)
        self._open[board] += 1
        try:
            async with asyncio.timeout(TO_ASK_S):
                target = _text(await _field(stream))
                name = _text(await _field(stream))
            self.counts["streams"] += 1
            other = await self._reach(target, name)
            await stream.write(b"\0")
            await splice(stream, other)
        except (StreamError, Refused) as error:
            self.counts["refused"] += 1
            await stream.write(b"\1" + str(error).encode()[:200])
        except TimeoutError:
            stream.reset(19)
        finally:
            self._open[board] -= 1

    async def _reach(self, target: str, name: str) -> Any:
        peer = parse_peer(target)
        if peer is None:
            found = address_of(target)
            if found is None:
                raise Refused("neither a peer id nor an address")
            return await (await self.host.dial(target)).open_stream(name)
        if self.dht and not self.host.known.get(peer):
            await self.dht.find(peer)
        return await self.host.open_stream(peer, name)

    # Loops

    def _begin(self, loops: Loops) -> list[asyncio.Task[None]]:
        """What is told again takes long, and holds up no lease."""
        runs = {"libp2p: leases": self._expire, "libp2p: provided": self._provide_again}
        return [loops.begin(name, run) for name, run in runs.items()]

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_S)
            self.leases.expire()
            await self.boards.expire()

    async def _provide_again(self) -> None:
        while self.dht:
            await asyncio.sleep(EXPIRE_S)
            await self.dht.provide_again()


def _same(topic: str, other: str) -> bool:
    return topic == other


def _lines(peers: dict[bytes, list[str]]) -> bytes:
    """Multiaddresses with newlines between them, as many as a board takes; of each peer the first ones first."""
    lines, size = [], 0
    rows = [[f"{address}/p2p/{peer_text(peer)}" for address in addresses] for peer, addresses in peers.items()]
    for each in in_turn(rows):
        if size + len(each) < ANSWER_MOST:
            lines.append(each)
            size += len(each) + 1
    return "\n".join(lines).encode()


def _key(what: bytes) -> bytes:
    key = content_key(_text(what))
    if key is None:
        raise Refused("not a CID")
    return key


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Refused("not a text") from None
    if not text or len(data) > 255:
        raise Refused("nothing, or too long")
    return text


async def _field(stream: Any) -> bytes:
    """`length 1 | bytes` of a stream. Raises Refused."""
    size, data = -1, b""
    while len(data) != size:
        part = await stream.read(1 if size < 0 else size - len(data))
        if not part:
            raise Refused("it ended")
        if size < 0:
            size = part[0]
        else:
            data += part
    return data
