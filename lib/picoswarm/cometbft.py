"""A CometBFT chain, seen through a gateway that need not be trusted (docs/protocol.md 7.12). Loaded when the user does.

    gateway = await node.gateway("cometbft")
    chain = Chain(gateway, "my-chain", validators=[(key32, 10)])     # those of the genesis file; or
    chain = Chain(gateway, "my-chain", height=1200, hash32=known)    # a block that is known from elsewhere
    header = await chain.header()                                    # the newest, verified on this board
    async for header in chain.follow(): ...
    height, code = await chain.submit(b"name=satoshi")               # both as the gateway says
    height, value = await chain.proven("/key", b"name")              # of an application that gives proofs

What is verified: a header's hash, its validators, and the signatures of more than two thirds of them, which are those that
were trusted before or have more than a third of their votes. A signature takes a Pico 0.14 s, in slices.
"""

from .commits import Commit, read_header
from .compat import const, sleep_ms
from .ed25519 import Verify
from .errors import PicoswarmError
from .failures import RequestError

_HEADER_MOST = const(1024)  # bytes
_VALIDATORS_MOST = const(64)
_PIECE = const(384)  # bytes of an answer, within the 400 that any board takes
_HEAD = const(12)
_REFUSED = const(2)
_TRIES = const(36)
_PROOF_MOST = const(6144)  # bytes of a value, and of its proof
_KEPT = const(40)  # height 8, hash 32


class NotVerified(PicoswarmError):
    """What a gateway told cannot be true; the text says why."""


class _Pieces:
    """What the gateway tells in pieces, read from its beginning: a verified block of its, or the answer to the question
    `what`. `size`: of all, once something was taken."""

    def __init__(self, gateway, height, verb="light", what=b""):
        self.height = height
        self.size = 0
        self._verb = verb
        self._what = what
        self._gateway = gateway
        self._buf = bytearray()
        self._at = 0

    async def take(self, n):
        """The next n bytes. Raises NotVerified, a RequestError."""
        buf = self._buf
        while len(buf) < n:
            ask = self.height.to_bytes(8, "big") + self._at.to_bytes(4, "big") + _PIECE.to_bytes(2, "big")
            answer = await self._gateway.request(self._verb, ask + self._what)
            if len(answer) <= _HEAD:
                raise NotVerified("it ends too soon")
            height = int.from_bytes(answer[:8], "big")
            if self.height and height != self.height:
                raise NotVerified("it is of another height")
            self.height = height
            self.size = int.from_bytes(answer[8:12], "big")
            buf += memoryview(answer)[_HEAD:]
            self._at += len(answer) - _HEAD
        part = bytes(memoryview(buf)[:n])
        self._buf = bytearray(memoryview(buf)[n:])
        return part

    async def number(self, n):
        """An integer of n bytes."""
        return int.from_bytes(await self.take(n), "big")


class Chain:
    """See the module. `tip`: the newest verified Header (commits.py), None at first. `trusted_s`: the age of a block from
    which on it is no ground for trust in a newer one."""

    trusted_s = 14 * 86400

    def __init__(self, gateway, name, validators=None, height=0, hash32=None, kept=None):
        """Either validators, a list of (Ed25519 key 32, votes), or a block's height and hash. `kept`: what `keep` gave in an
        earlier run, or None; it counts where it is of a higher block. Raises ValueError."""
        if not validators and not hash32:
            raise ValueError("trust begins with validators or with a block")
        if kept and len(kept) == _KEPT and int.from_bytes(kept[:8], "big") > height:
            height = int.from_bytes(kept[:8], "big")
            hash32 = kept[8:]
        self.tip = None
        self.name = name
        self._gateway = gateway
        self._validators = validators
        self._start = (height, hash32)

    def keep(self):
        """What to save, 40 bytes, so that the next run goes on from the newest verified block; None before there is one."""
        tip = self.tip
        return tip and tip.height.to_bytes(8, "big") + tip.hash

    async def header(self, height=0):
        """The verified Header of a height, 0: of the newest that the gateway has. One that is older than the tip is refused.
        Raises NotVerified, a RequestError."""
        if self.tip is None and self._start[1]:
            await self._verify(self._start[0], self._start[1])
        tip = self.tip
        if tip and height == tip.height:
            return tip
        return await self._verify(height, None)

    async def _verify(self, height, hash32, is_older=False):
        pieces = _Pieces(self._gateway, height)
        n = await pieces.number(2)
        header = read_header(await pieces.take(n)) if n <= _HEADER_MOST else None
        if header is None or header.chain != self.name or header.height != pieces.height:
            raise NotVerified("it is no header of this chain")
        tip = self.tip
        if hash32 and header.hash != hash32:
            raise NotVerified("it is another block than the one that is trusted")
        if tip and header.height <= tip.height:
            if header.hash == tip.hash:
                return tip
            if not is_older:
                raise NotVerified("it is older than what was verified")
            if header.validators_hash != tip.validators_hash:
                raise NotVerified("its validators are not those of now")
        elif tip:
            if header.seconds < tip.seconds:
                raise NotVerified("its time is before that of an earlier block")
            if header.seconds - tip.seconds > self.trusted_s:
                raise NotVerified("what is trusted is too old")
        round = await pieces.number(4)
        block = await pieces.take(await pieces.number(1))
        n = await pieces.number(2)
        if n > _VALIDATORS_MOST:
            raise NotVerified("it has too many validators for a board")
        validators = []
        for _ in range(n):
            validators.append((await pieces.take(32), await pieces.number(8)))
        trusted = None if hash32 or is_older else self._validators
        if tip and header.height == tip.height + 1:
            if header.validators_hash != tip.next_validators_hash:
                raise NotVerified("its validators are not those that were announced")
            trusted = None
        commit = Commit(header, round, block, validators, trusted)
        refusal = commit.refusal()
        if refusal is not None:
            raise NotVerified(refusal)
        await self._count(commit, pieces, n)
        if tip and header.height < tip.height:
            return header
        self.tip = header
        self._validators = validators
        return header

    async def _count(self, commit, pieces, n):
        for i in range(n):
            vote = commit.vote(i, await pieces.take(await pieces.number(1)))
            if vote is None:
                continue
            job = Verify(*vote)
            while job.step():
                await sleep_ms(0)
            if not job.result:
                raise NotVerified("a signature is wrong")
            commit.count(i)
            if commit.is_enough():
                return
        raise NotVerified("too few validators signed it")

    def follow(self):
        """Headers as the gateway verifies them, each verified here; of many at once only the newest. For `async for`: it
        raises NotVerified where a gateway lies, and goes on when it is asked again. `close` ends it."""
        return _Following(self, self._gateway.subscribe("heights"))

    async def submit(self, tx):
        """Hand over a transaction, signed elsewhere: (height, code) once it is in a block, code 0 if the application took
        it, None where the gateway cannot tell; (0, code) where the application wants it in no block. Raises a RequestError:
        2 with "not yet in a block" after about three minutes."""
        from .compat import sha256

        verb = "submit"
        payload = tx
        for left in range(_TRIES, 0, -1):
            try:
                answer = await self._gateway.request(verb, payload)
            except RequestError as error:
                if left == 1 or error.status != _REFUSED or not str(error).endswith("not yet in a block"):
                    raise
                verb = "result"
                payload = sha256(tx).digest()
                continue
            code = int.from_bytes(answer[8:12], "big")
            return int.from_bytes(answer[:8], "big"), None if code == 0xFFFFFFFF else code

    async def query(self, path, data):
        """(height, code, value, proof) of the application's state, as the gateway says; proof: the application's proof
        operations, b"" where it gives none. Raises NotVerified where it is too long, a RequestError."""
        path = path.encode()
        pieces = _Pieces(self._gateway, 0, "query", bytes((len(path),)) + path + data)
        code = await pieces.number(4)
        n = await pieces.number(2)
        left = pieces.size - 6 - n
        if not 0 <= left <= _PROOF_MOST or n > _PROOF_MOST:
            raise NotVerified("it is too long for a board")
        return pieces.height, code, await pieces.take(n), await pieces.take(left)

    async def proven(self, path, data):
        """(height, value) of the application's state, by a proof that was checked here against a verified header; the value
        is None where it was proven that the key is not there. Raises NotVerified, also where the application gives no proof
        that proofs.py knows, and a RequestError."""
        from .proofs import is_absence, keys_of, root

        height, code, value, proof = await self.query(path, data)
        if code or not proof:
            raise NotVerified("it comes without a proof")
        height += 1  # the block with the hash of that state
        if self.tip is None:
            await self.header()
        if self.tip.height < height:
            header = await self.header(height)
        else:
            header = await self._verify(height, None, True)
        if root(proof, keys_of(path, data), value) != header.app_hash:
            raise NotVerified("the proof does not fit")
        return height - 1, None if is_absence(proof, value) else value


class _Following:
    """See Chain.follow."""

    def __init__(self, chain, told):
        self._chain = chain
        self._told = told
        self.close = told.close

    def __aiter__(self):
        return self

    async def __anext__(self):
        chain = self._chain
        while True:
            if chain.tip is not None:
                message = await self._told.__anext__()
                if int.from_bytes(message.payload[:8], "big") <= chain.tip.height:
                    continue
            before = chain.tip
            header = await chain.header()
            if header is not before:
                return header
