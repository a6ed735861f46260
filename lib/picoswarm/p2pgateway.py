"""Libp2p peers, reached and being reached through a gateway (docs/libp2p.md; docs/protocol.md 7.15). Loaded when the
user does.

    gateway = await node.gateway("libp2p")
    await gateway.publish("sensors", b"21.5")        # to a pubsub topic, signed by the gateway
    async for message in gateway.subscribe("sensors"): ...
    peers = Peers(node, gateway)
    stream = await peers.open_stream("12D3Koo...", "/echo/1.0.0")
    addresses = await peers.find("12D3Koo...")       # as the DHT tells; providers(cid), provide(cid)
    addresses = await peers.serve("/echo/1.0.0")     # node.handle("/echo/1.0.0", ...) gets the streams of peers
"""

from asyncio import create_task

from .compat import const, sleep_ms
from .failures import RequestError, StreamError

_RENEW_MS = const(240000)
_AGAIN_MS = const(5000)
_ANSWER_MS = const(30000)
_SEED = b"noise-libp2p-static-key:"
_TUNNEL = "/libp2p/1"


class Peers:
    """See the module. `node`: the one that `gateway` is of."""

    def __init__(self, node, gateway):
        self.addresses = []  # where peers reach this node, as multiaddresses
        self._node = node
        self._gateway = gateway
        self._names = None

    async def open_stream(self, peer, protocol):
        """A Stream to a libp2p peer: its id, or a multiaddress with it. Raises StreamError with what the gateway says, and a
        RequestError where there is no gateway."""
        gateway = self._gateway
        if gateway.home is None:
            await gateway.request("peers")
        stream = await self._node.open_stream(gateway.home, _TUNNEL)
        target = peer.encode()
        name = protocol.encode()
        await stream.write(bytes((len(target),)) + target + bytes((len(name),)) + name)
        answer = await stream.read(1)
        if answer == b"\0":
            return stream
        text = b""
        while True:
            part = await stream.read(64)
            if not part:
                break
            text += part
        stream.reset()
        raise StreamError(str(text, "utf-8") or "refused", 26)

    async def find(self, peer):
        """Multiaddresses of a peer id, as the DHT of the gateway's network tells; none where nobody knows. Raises a
        RequestError."""
        return await self._ask("find", peer)

    async def providers(self, cid):
        """Multiaddresses of peers that have what a CID ("bafk...") names. Raises a RequestError."""
        return await self._ask("providers", cid)

    async def provide(self, cid):
        """Let peers find this node as one that has what a CID names; it is to `serve` first. Raises a RequestError."""
        await self._gateway.request("provide", cid.encode())

    async def _ask(self, verb, text):
        answer = await self._gateway.request(verb, text.encode())
        return str(answer, "utf-8").split("\n") if answer else []

    async def serve(self, *protocols):
        """Let libp2p peers open streams of these protocols to this node, under its own peer id, as long as it runs. The node
        signs a key of the gateway's for that, which takes a board a second: that gateway can speak for it to libp2p peers.
        Returns the multiaddresses, texts. Raises a RequestError, and StoreError where the seed cannot be read."""
        is_first = self._names is None
        self._names = protocols
        await self._lend()
        if is_first:
            create_task(self._keep())
        return self.addresses

    async def _lend(self):
        gateway = self._gateway
        key = await gateway.request("lend", b"", _ANSWER_MS)
        home = gateway.home
        from .saves import load_seed

        seed = load_seed(self._node._folder)
        from .ed25519 import Sign

        job = Sign(seed, self._node.id, _SEED + key)
        while job.step():
            await sleep_ms(0)
        names = "\n".join(self._names).encode()
        answer = await self._node.request(home, "libp2p/lend", job.result + names, _ANSWER_MS)
        self.addresses = str(answer, "utf-8").split("\n")
        return home

    async def _keep(self):
        """The gateway forgets it after a quarter of an hour."""
        home = self._gateway.home
        left = _RENEW_MS
        while self._node.id and self._node.sessions() is not None:
            await sleep_ms(_AGAIN_MS)
            left -= _AGAIN_MS
            if left > 0 and self._gateway.home == home:
                continue
            try:
                home = await self._lend()
                left = _RENEW_MS
            except (RequestError, OSError):
                left = _AGAIN_MS
