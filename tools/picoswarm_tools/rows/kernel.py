"""What the cryptographic kernels cost a Pico: instructions of precompiled armv6m code under qemu, slices included."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .. import mpy, qemu
from ..report import Row

METHOD = "Cortex-M0+ build under qemu-system-arm -icount, library precompiled for armv6m with -O3"

# Average cycles of one instruction of viper code on a Cortex-M0+, and the reference clock in kHz: an RP2040 at the 133 MHz
# that it is specified for. At the 125 MHz that stock firmware sets, spans are 6 % longer.
CYCLES_PER_INSTRUCTION = 1.35
CLOCK_KHZ = 133_000

PROGRAM = """
import json
from instructions import count, count_steps
from picoswarm.aead import Aead
from picoswarm.compat import sha256
from picoswarm.crypto import Hmac, X25519, hkdf, run, u_from_id
from picoswarm.ed25519 import PublicKey, Sign, Verify
from picoswarm.entropy import Pool
from picoswarm.nodekey import Create
from picoswarm.sha512 import sha512

key = bytes(range(1, 33))
peer = run(X25519(bytes(range(7, 39))))
public = run(PublicKey(key))
message = bytes(64)
signature = run(Sign(key, public, message))
assert run(Verify(public, signature, message))  # its module is there now
aead = Aead(key)
nonce = bytes(12)
frame = bytearray(512 + 16)
small = bytearray(64 + 16)
hmac = Hmac(key, 12)
tagged = bytearray(64 + 12)

healthy = b"".join([sha256(bytes((i,))).digest() for i in range(8)])
pool = Pool()
pool.feed(healthy)
run(Create(pool))
healthy = b"".join([sha256(bytes((i, i))).digest() for i in range(8)])

def job(name, make, *args):
    begun = count(make, *args)
    total, longest, steps = count_steps(make(*args))
    print(json.dumps([name, begun + total, max(begun, longest), steps]))

def call(name, function, *args):
    function(*args)
    print(json.dumps([name, count(function, *args), 0, 1]))

job("x25519", X25519, key, peer)
job("x25519_keygen", X25519, key)
job("ed25519_public", PublicKey, key)
job("ed25519_sign", Sign, key, public, message)
job("ed25519_verify", Verify, public, signature, message)
call("u_from_id", u_from_id, public)
call("aead512", aead.seal, nonce, b"", frame, 0, 512)
call("aead64", aead.seal, nonce, b"", small, 0, 64)
call("hmac64", hmac.sign, tagged, 0, 64, 64)
hmac.prefix = b"1"
call("hmac38", hmac.sign, tagged, 0, 37, 64)
call("hmac_key", hmac.rekey, key, 0, 16)
call("hkdf64", hkdf, key, b"picoswarm datagram v1", 64)
call("sha512_block", sha512, message)
call("entropy_feed", pool.feed, healthy)
job("identity", Create, pool)
"""

# name in PROGRAM -> (what, goal or None)
COUNTED = {
    "x25519": ("X25519 of any point", 12_500_000),
    "x25519_keygen": ("X25519 key generation", None),
    "ed25519_public": ("Ed25519 public key", None),
    "ed25519_sign": ("Ed25519 signature of 64 bytes", None),
    "ed25519_verify": ("Ed25519 verification of 64 bytes", 17_000_000),
    "u_from_id": ("map of a node id to its X25519 key", None),
    "aead512": ("ChaCha20-Poly1305 seal of 512 aligned bytes", 230_000),
    "aead64": ("ChaCha20-Poly1305 seal of 64 aligned bytes", None),
    "hmac64": ("HMAC-SHA256 of 64 bytes", None),
    "hmac38": ("HMAC-SHA256 of 38 bytes, the usual datagram", None),
    "hmac_key": ("HMAC-SHA256 made ready for a pair key", None),
    "hkdf64": ("HKDF-SHA256 to 64 bytes", None),
    "sha512_block": ("SHA-512 of 64 bytes", None),
    "entropy_feed": ("health test of 256 source bytes", None),
    "identity": ("a node key at first boot; seeds are drawn until one serves", None),
}


def loop_hold_ms(instructions: int) -> float:
    """Milliseconds for which `instructions` without a turn of the loop hold an RP2040 at 133 MHz."""
    return round(instructions * CYCLES_PER_INSTRUCTION / CLOCK_KHZ, 2)


def measure() -> Iterator[Row]:
    program = mpy.translate(PROGRAM, qemu.arch("m0"), 3, form=mpy.PARTS)
    output = qemu.run("m0", qemu.library_files("m0", 3, mpy.PARTS), program, timeout_s=300)
    longest: dict[str, int] = {}  # the longest span without a turn of the loop, making a job included
    for line in output.splitlines():
        name, total, longest_step, _ = json.loads(line)
        what, goal = COUNTED[name]
        longest[name] = longest_step or total
        yield Row(f"kernel.{name}.instructions", what, total, "instructions", goal, method=METHOD)
    worst = max(longest, key=longest.__getitem__)
    yield Row(
        "kernel.loop_hold_ms",
        f"longest span without a turn of the loop: a step, the making of a job, or a call ({worst})",
        loop_hold_ms(longest[worst]),
        "ms",
        20,
        method=f"{METHOD}; instructions x {CYCLES_PER_INSTRUCTION} / {CLOCK_KHZ:,}",
    )
