"""Bitcoin for a board (docs/bitcoin.md): what gateways say of the chain is checked here, and two of them are asked.

    btc = await node.gateway("bitcoin")
    async for event in btc.follow("main", height, header): ...
    sent = await btc.submit(raw)
    async for event in sent: ...
    async for payment in btc.watch(script): ...

Loaded when somebody asks for the family.
"""

from asyncio import TimeoutError, wait_for
from binascii import hexlify
from collections import namedtuple

from .compat import const, sha256, sleep_ms, ticks_diff, ticks_ms
from .errors import LocalError, Malformed
from .failures import RequestError
from .headers import Headers

_ASK_MS = const(7000)
_SHUN_MS = const(3600000)  # a gateway that lied is not asked for so long
_PART = const(320)  # bytes of a transaction in a request
_TAKEN = const(2)  # states of a transaction, see the gateway's sends.py
_SEEN = const(3)
_MINED = const(4)
_BEHIND = const(2)  # looks at a gateway that is behind the other, before that is told
_LIGHT = const(-1)  # in the place of its height: it follows a branch with less work

# `height` of its block, `amount` in satoshi.
Payment = namedtuple("Payment", ("txid", "amount", "height"))


class Bitcoin:
    """The family, for one board. `chain`: its Headers, once it follows. `poll_ms`: so often gateways are asked,
    whatever they tell. `gateway`: the Gateway below."""

    poll_ms = 30000

    def __init__(self, gateway, node):
        self.gateway = gateway
        self.chain = None
        self.shunned = {}  # gateways that lied, since when
        self._node = node
        self._events = []
        self._behind = {}  # by gateway: looks at which it was behind
        self._unknown = {}  # gateways that know no block of ours
        self._tip = None
        self._is_asking = False

    def follow(self, network, height, header, ring=64):
        """Follow the chain from a block that the user trusts: "main", "testnet4", "signet" or "regtest"; its
        height, a multiple of 2,016 but on regtest; its header, 80 bytes. An async iterator of

            ("block", height, hash, time)                a new best block; those below it came with it
            ("reorganised", lost, height, hash)          so many blocks of ours are none any more
            ("beyond", gateway)                          it has no block of our ring: the reorganisation is deeper
            ("lied", gateway, what)                      what it said cannot be; it is not asked for an hour
            ("behind", gateway, blocks)                  it keeps back blocks that another gateway has
            ("lighter", gateway)                         it stays on a branch with less work than ours

        with ids of gateways. Raises LocalError."""
        self.chain = Headers(network, height, header, ring)
        return self

    def __aiter__(self):
        return self

    async def __anext__(self):
        while True:
            await self.look()
            if self._events:
                return self._events.pop(0)
            if self._tip is None:
                self._tip = self.gateway.subscribe("tip")
            await _wait(self._tip, self.poll_ms)

    def _able(self):
        """Gateways to ask, in their order."""
        for id32 in list(self.shunned):
            if not 0 <= ticks_diff(ticks_ms(), self.shunned[id32]) < _SHUN_MS:
                del self.shunned[id32]
        return [id32 for id32 in self.gateway.gateways() if id32 not in self.shunned]

    def _lied(self, id32, what):
        self.shunned[id32] = ticks_ms()
        self._events.append(("lied", id32, what))

    async def look(self):
        """Ask two gateways what is new, where there are two. Raises LocalError without a chain."""
        if self.chain is None:
            raise LocalError("follow the chain first")
        while self._is_asking:
            await sleep_ms(20)
        self._is_asking = True
        try:
            tips = {}
            for id32 in self._able():
                tip = await self._catch_up(id32)
                if tip is not None:
                    tips[id32] = tip
                    if len(tips) == 2:
                        break
            for id32 in tips:
                missing = self.chain.height - tips[id32]
                if missing <= 0:
                    self._behind.pop(id32, None)
                    continue
                looks = self._behind.get(id32, 0) + 1
                self._behind[id32] = looks
                if looks == _BEHIND:
                    self._events.append(("lighter", id32) if tips[id32] == _LIGHT else ("behind", id32, missing))
        finally:
            self._is_asking = False

    async def _catch_up(self, id32):
        """Take what a gateway has. Returns the height of its tip, or None where it says nothing of use."""
        chain = self.chain
        last = -1
        while True:
            try:
                answer = await self._node.request(id32, "bitcoin/headers", chain.points(), _ASK_MS)
            except RequestError as error:
                if str(error) == "no common block" and id32 not in self._unknown:
                    self._unknown[id32] = True
                    self._events.append(("beyond", id32))
                return None
            wrong = chain.take(answer)
            self._events += chain.events
            chain.events.clear()
            if wrong == "too little work":
                return _LIGHT
            if wrong:
                self._lied(id32, wrong)
                return None
            self._unknown.pop(id32, None)
            tip = int.from_bytes(answer[4:8], "big")
            if chain.reached >= tip or chain.reached <= last:
                return tip
            last = chain.reached

    # Transactions

    async def submit(self, raw, timeout_ms=30000):
        """Hand over a signed transaction, bytes. Returns a Sent, which tells what becomes of it. Raises Malformed
        for what is no transaction, and a RequestError."""
        from .transactions import txid

        sent = Sent(self, raw, txid(raw))
        await sent.hand_over(timeout_ms)
        return sent

    async def prove(self, txid32, timeout_ms=30000):
        """The height of the block that a transaction is in, proven by its Merkle branch; None where no gateway has
        a proof that holds, or the block is not in the ring. A gateway with a wrong proof has lied."""
        branch = b""
        while True:
            try:
                answer = await self.gateway.request("proof", txid32 + bytes((len(branch) // 32,)), timeout_ms)
            except RequestError:
                return None
            height = int.from_bytes(answer[:4], "big")
            branch += answer[9:]
            if len(answer) < 9 or len(branch) >= 32 * answer[8] or len(answer) == 9:
                break
        if self.chain is None or height > self.chain.height:
            await self.look()
        if self.chain.hash(height) is None:
            return None
        if self.chain.proves(txid32, height, int.from_bytes(answer[4:8], "big"), branch):
            return height
        self._lied(self.gateway.home, "wrong branch")
        return None

    def watch(self, script):
        """Payments to a script (bytes, at most 120), as an async iterator of Payments, from the next block on. Each
        is proven. What a gateway keeps back nobody can know: ask several."""
        return Payments(self, script)

    async def fetch(self, txid32, timeout_ms=30000):
        """A transaction that a gateway told of. Raises a RequestError, and Malformed where it is another one."""
        from .transactions import txid

        raw = b""
        while True:
            answer = await self.gateway.request("tx", txid32 + len(raw).to_bytes(3, "big"), timeout_ms)
            raw += answer[3:]
            if len(answer) <= 3 or len(raw) >= int.from_bytes(answer[:3], "big"):
                break
        if txid(raw) != txid32:
            raise Malformed
        return raw


async def _wait(subscription, ms):
    """The next message, or None after so long."""
    try:
        return await wait_for(subscription.__anext__(), ms / 1000)
    except TimeoutError:
        return None


class Sent:
    """A transaction that was handed over: an async iterator of

        ("taken",)         a node of the network fetched it
        ("seen", peers)    so many peers of the gateway have it among those that wait for a block: what a gateway says
        ("mined", height)  it is in this block, proven
        ("unmined",)       that block is none any more: it waits again

    It does not end by itself: a block may always be lost."""

    def __init__(self, bitcoin, raw, txid32):
        self.raw = raw
        self.txid = txid32
        self.height = None  # of its block
        self._bitcoin = bitcoin
        self._news = None
        self._told = None
        self._hash = None  # of its block

    async def hand_over(self, timeout_ms):
        """Give it to a gateway, in parts."""
        raw = self.raw
        head = sha256(raw).digest()[:8] + len(raw).to_bytes(3, "big")
        at = 0
        gateway = self._bitcoin.gateway
        while at < len(raw):
            part = head + at.to_bytes(3, "big") + raw[at : at + _PART]
            answer = await gateway.request("submit", part, timeout_ms)
            at = int.from_bytes(answer[:3], "big")

    def __aiter__(self):
        return self

    async def __anext__(self):
        bitcoin = self._bitcoin
        if self._news is None:
            self._news = bitcoin.gateway.subscribe("tx/" + hexlify(self.txid).decode())
        while True:
            event = await self._look()
            if event and event != self._told:
                self._told = event
                return event
            await _wait(self._news, bitcoin.poll_ms // 4)

    async def _look(self):
        bitcoin = self._bitcoin
        if self.height is not None:
            await bitcoin.look()
            if bitcoin.chain.hash(self.height) in (self._hash, None):
                return None  # it is there still, or buried deeper than the ring
            self.height = None
            return ("unmined",)
        try:
            state = await bitcoin.gateway.request("status", self.txid, _ASK_MS)
            if not state[0]:
                await self.hand_over(_ASK_MS)  # another gateway, which knows nothing of it
        except RequestError:
            return None
        if state[0] == _MINED:
            height = await bitcoin.prove(self.txid, _ASK_MS)
            if height is None:
                return None
            self.height = height
            self._hash = bitcoin.chain.hash(height)
            return ("mined", height)
        if state[0] == _SEEN:
            return ("seen", state[1])
        return ("taken",) if state[0] == _TAKEN else None


class Payments:
    """See `Bitcoin.watch`. `close` ends it."""

    def __init__(self, bitcoin, script):
        self.script = script
        self._bitcoin = bitcoin
        self._news = bitcoin.gateway.subscribe("pay/" + hexlify(script).decode())

    def close(self):
        """Watch no more."""
        self._news.close()

    def __aiter__(self):
        return self

    async def __anext__(self):
        from .transactions import paid

        while True:
            message = await self._news.__anext__()
            txid32 = bytes(message.payload[:32])
            try:
                amount = paid(await self._bitcoin.fetch(txid32), self.script)
            except (RequestError, Malformed):
                continue
            height = await self._bitcoin.prove(txid32)
            if height is not None and amount:
                return Payment(txid32, amount, height)
