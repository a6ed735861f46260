"""An Ethereum network, seen through a gateway (docs/protocol.md 7.13). Loaded when the user does.

    gateway = await node.gateway("ethereum")
    chain = Ethereum(gateway)
    head = await chain.head()                    # number, hash, time, base_fee
    digest = await chain.submit(raw)             # a transaction that was signed elsewhere
    number, index = await chain.mined(digest)
    async for head in chain.follow(): ...

All of it is the gateway's word, and its peers': since the merge a header proves nothing without a beacon light client.
"""

from collections import namedtuple

from .compat import const
from .failures import RequestError

_REFUSED = const(2)
_PIECE = const(384)  # bytes of an answer, within the 400 that any board takes
_NODE = const(72)

Head = namedtuple("Head", ("number", "hash", "time", "base_fee"))  # fee in wei for a unit of gas; None where it is not told
EthNode = namedtuple("EthNode", ("key", "ip", "udp", "tcp"))


class Ethereum:
    """See the module. Its methods raise a RequestError."""

    def __init__(self, gateway):
        self._gateway = gateway

    async def head(self):
        """The newest Head."""
        return _head(await self._gateway.request("tip"))

    def follow(self):
        """Heads as the gateway hears of them, for `async for`. `close` ends it."""
        return _Following(self._gateway.subscribe("heads"))

    async def header(self, number):
        """A header as it is encoded (RLP), about 600 bytes, of the newest 1,024. Its hash is Keccak-256 of it."""
        raw = b""
        while True:
            ask = number.to_bytes(8, "big") + len(raw).to_bytes(2, "big") + _PIECE.to_bytes(2, "big")
            answer = await self._gateway.request("header", ask)
            raw += answer[2:]
            if len(answer) <= 2 or len(raw) >= int.from_bytes(answer[:2], "big"):
                return raw

    async def submit(self, raw):
        """Hand over a signed transaction; its hash, 32 bytes. That a peer was sent it does not say that it likes it."""
        return await self._gateway.request("submit", raw)

    async def mined(self, digest, tries=36):
        """(number of the block, index in it) of a transaction that was submitted. Raises a RequestError of status 2, "not
        yet mined", after `tries` times 5 s."""
        while True:
            try:
                answer = await self._gateway.request("mined", digest)
                return int.from_bytes(answer[:8], "big"), int.from_bytes(answer[8:12], "big")
            except RequestError as error:
                tries -= 1
                if not tries or error.status != _REFUSED or not str(error).endswith("not yet mined"):
                    raise

    async def near(self, key, count=5):
        """EthNodes near a public key (64 bytes), as the gateway finds them by discv4; at most 5 fit into an answer of
        400."""
        answer = await self._gateway.request("near", bytes((count,)) + key)
        found = []
        for i in range(0, len(answer) - _NODE + 1, _NODE):
            ip = "%d.%d.%d.%d" % tuple(answer[i : i + 4])
            ports = int.from_bytes(answer[i + 4 : i + 8], "big")
            found.append(EthNode(answer[i + 8 : i + _NODE], ip, ports >> 16, ports & 0xFFFF))
        return found


def _head(answer):
    fee = int.from_bytes(answer[48:64], "big") if len(answer) >= 64 else None
    return Head(int.from_bytes(answer[:8], "big"), answer[8:40], int.from_bytes(answer[40:48], "big"), fee)


class _Following:
    """See Ethereum.follow."""

    def __init__(self, told):
        self._told = told
        self.close = told.close

    def __aiter__(self):
        return self

    async def __anext__(self):
        return _head((await self._told.__anext__()).payload)
