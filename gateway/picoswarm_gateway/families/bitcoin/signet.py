"""The solution of a signet's block (BIP325): what makes its coinbase satisfy the network's challenge. Pure.

Challenges of the usual forms are understood: OP_TRUE; a key, a hash of one, or m of n keys; by themselves, behind a P2SH, or
in a witness of version 0. Signatures are of the whole (SIGHASH_ALL), as all that are in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

from Crypto.Hash import RIPEMD160
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256K1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from .blocks import Transaction, merkle_root
from .networks import double_sha256
from .wire import Malformed, Reader, size, text

MARK = b"\xec\xc7\xda\xa2"  # before the solution, in the output that commits to the witnesses
COMMITS = b"\x6a\x24\xaa\x21\xa9\xed"
TRUE, RETURN, EQUAL, EQUALVERIFY, DUP, HASH160, CHECKSIG, CHECKMULTISIG = 0x51, 0x6A, 0x87, 0x88, 0x76, 0xA9, 0xAC, 0xAE
ALL = b"\1"

Digest = Callable[[bytes], bytes]  # what is signed, by the script that is being satisfied


def hash160(data: bytes) -> bytes:
    """The hash of keys and scripts, 20 bytes."""
    return RIPEMD160.new(sha256(data).digest()).digest()


def operations(script: bytes) -> Iterator[tuple[int, bytes]]:
    """(code, what it pushes) of a script, up to where it breaks off."""
    r = Reader(script)
    while r.left:
        code = r.number(1)
        try:
            count = code if code < 0x4C else r.number(1 << code - 0x4C) if code <= 0x4E else 0
            yield code, r.take(count)
        except Malformed:
            return


def push(data: bytes) -> bytes:
    """The shortest operation that pushes bytes by their count."""
    count = len(data)
    if count < 0x4C:
        return bytes((count,)) + data
    n = 0 if count < 0x100 else 1 if count < 0x10000 else 2
    return bytes((0x4C + n,)) + count.to_bytes(1 << n, "little") + data


def is_signed(header: bytes, transactions: list[Transaction], challenge: bytes) -> bool:
    """Whether a block satisfies the challenge. `transactions`: all of it, whose Merkle root was checked."""
    try:
        coinbase, solution = _without_solution(transactions[0].raw)
        unlocking, witness = _parts(solution)
    except Malformed:
        return False
    root, _ = merkle_root([double_sha256(coinbase), *(each.txid for each in transactions[1:])])
    told = header[:36] + root + header[68:72]
    to_spend = _transaction(bytes(32) + b"\xff" * 4, b"\0" + push(told), challenge)
    return _satisfies(challenge, unlocking, witness, double_sha256(to_spend) + bytes(4))


def _without_solution(raw: bytes) -> tuple[bytes, bytes]:
    """(the coinbase as it is hashed, with the solution cut out; the solution). Raises Malformed where it commits to no
    witnesses."""
    r = Reader(raw)
    head = r.take(4)
    if raw[4:6] == b"\0\1":
        r.take(2)
    begin = r.at
    r.items(1, 41, lambda: (r.take(36), r.text(10_000), r.take(4)))
    head += raw[begin : r.at]
    outputs = r.items(100_000, 9, lambda: (r.take(8), r.text(1_000_000)))
    at = max((i for i, (_, script) in enumerate(outputs) if script[:6] == COMMITS and len(script) >= 38), default=None)
    if at is None:
        raise Malformed("no commitment to witnesses")
    script, solution = _cut(outputs[at][1])
    outputs[at] = outputs[at][0], script
    return head + size(len(outputs)) + b"".join(amount + text(script) for amount, script in outputs) + raw[-4:], solution


def _cut(script: bytes) -> tuple[bytes, bytes]:
    """(the script without the solution, the solution; empty: none)."""
    rest, solution = b"", b""
    for code, data in operations(script):
        if not solution and data.startswith(MARK) and len(data) > len(MARK):
            data, solution = MARK, data[len(MARK) :]
        rest += push(data) if data else bytes((code,))
    return (rest, solution) if solution else (script, b"")


def _parts(solution: bytes) -> tuple[bytes, list[bytes]]:
    """(script that unlocks, witness) of a solution."""
    if not solution:
        return b"", []
    r = Reader(solution)
    script = r.text(10_000)
    witness = r.items(1000, 1, lambda: r.text(10_000))
    r.end()
    return script, witness


def _transaction(point: bytes, unlocking: bytes, locking: bytes) -> bytes:
    """One of the two transactions of BIP325: of an input, to an output."""
    return bytes(4) + b"\1" + point + text(unlocking) + bytes(4) + b"\1" + bytes(8) + text(locking) + bytes(4)


def _satisfies(challenge: bytes, unlocking: bytes, witness: list[bytes], point: bytes) -> bool:
    def legacy(script: bytes) -> bytes:
        return double_sha256(_transaction(point, script, bytes((RETURN,))) + ALL + bytes(3))

    def segregated(script: bytes) -> bytes:  # BIP143
        output = bytes(8) + text(bytes((RETURN,)))
        body = bytes(4) + double_sha256(point) + double_sha256(bytes(4)) + point + text(script) + bytes(8) + bytes(4)
        return double_sha256(body + double_sha256(output) + bytes(4) + ALL + bytes(3))

    items = [(code, data) for code, data in operations(unlocking)]
    if any(code > 0x4E for code, _ in items) or b"".join(push(data) for _, data in items) != unlocking:
        return False
    stack = [data for _, data in items]
    script = challenge
    if len(script) == 23 and script[:2] == bytes((HASH160, 20)) and script[22] == EQUAL:  # P2SH
        if not stack or hash160(stack[-1]) != script[2:22]:
            return False
        script = stack.pop()
    if script[:2] == b"\0\x14" and len(script) == 22:  # P2WPKH
        return not stack and _opens(bytes((DUP, HASH160)) + script[1:] + bytes((EQUALVERIFY, CHECKSIG)), witness, segregated)
    if script[:2] == b"\0\x20" and len(script) == 34:  # P2WSH
        if stack or not witness or sha256(witness[-1]).digest() != script[2:]:
            return False
        return _opens(witness[-1], witness[:-1], segregated)
    return not witness and (script == bytes((TRUE,)) or _opens(script, stack, legacy))


def _opens(script: bytes, stack: list[bytes], digest: Digest) -> bool:
    """Whether items satisfy a script of one of the usual forms."""
    parts = list(operations(script))
    codes = [code for code, _ in parts]
    if script == bytes((TRUE,)):
        return not stack
    signed = digest(script)
    if len(codes) == 2 and codes[1] == CHECKSIG:
        return len(stack) == 1 and _verifies(parts[0][1], stack[0], signed)
    if codes == [DUP, HASH160, 20, EQUALVERIFY, CHECKSIG]:
        return len(stack) == 2 and hash160(stack[1]) == parts[2][1] and _verifies(stack[1], stack[0], signed)
    if len(codes) < 4 or codes[-1] != CHECKMULTISIG or codes[-2] != 0x50 + len(codes) - 3:
        return False
    keys, wanted = [data for _, data in parts[1:-2]], codes[0] - 0x50
    if not 1 <= wanted <= len(keys) or len(stack) != wanted + 1 or stack[0]:
        return False
    left = iter(keys)  # signatures come in the order of their keys
    return all(any(_verifies(key, signature, signed) for key in left) for signature in stack[1:])


def _verifies(key: bytes, signature: bytes, digest: bytes) -> bool:
    if signature[-1:] != ALL:
        return False
    try:
        public = EllipticCurvePublicKey.from_encoded_point(SECP256K1(), key)
        public.verify(signature[:-1], digest, ECDSA(Prehashed(SHA256())))
    except (ValueError, InvalidSignature):
        return False
    return True
