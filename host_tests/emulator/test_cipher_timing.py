"""The machine code of the ciphers takes the same instructions for every key and text of one size: no branch hangs on a
secret. Counted on the emulated Cortex-M0+, where equal instructions are equal cycles: it has no cache, its multiplier
takes one cycle on the RP2040, and what an address could cost (flash, bus contention) does not depend on the data here,
since no secret is an index.
"""

import json

from picoswarm_tools import mpy, qemu

MODULES = ("__init__", "compat", "errors", "cipher_viper", "sha512_viper")

PROGRAM = """
import json
from hashlib import sha256
from instructions import count
from picoswarm.cipher_viper import _differ, _mac, _stream
from picoswarm.sha512_viper import _compress

def patterns(n):
    yield bytes(n)
    yield b"\\xff" * n
    for i in range(14):
        part = sha256(bytes((i,))).digest()
        yield (part * (n // 32 + 1))[:n]

state, work, nonce, ad, text = bytearray(64), bytearray(184), bytearray(12), bytearray(20), bytearray(216)
hash_work, other = bytearray(1344), bytearray(32)
taken = {}
VERIFY, WRITE, BARE = 0, 1, 3  # modes of _mac

def note(name, function, *args):
    if name not in taken:
        taken[name] = set()
        function(*args)  # a first call differs: the firmware remembers where it found a name
    taken[name].add(count(function, *args))

for key in patterns(32):
    for message in patterns(216):
        state[16:48] = key
        text[:] = message
        note("stream", _stream, 1, 0, state, work, nonce, 0, text, 200)
        work[:32] = key
        note("tag refused", _mac, 20, 0, work, ad, text, 200, VERIFY)
        note("tag written", _mac, 20, 0, work, ad, text, 200, WRITE)
        note("tag accepted", _mac, 20, 0, work, ad, text, 200, VERIFY)
        text[200] ^= 1
        note("tag refused", _mac, 20, 0, work, ad, text, 200, VERIFY)
        text[215] ^= 128
        note("tag refused", _mac, 20, 0, work, ad, text, 200, VERIFY)
        note("poly1305", _mac, 200, 0, work, text, ad, 0, BARE)
    note("differ", _differ, other, key, 32)
for words in patterns(1344):
    hash_work[:] = words
    note("sha512", _compress, 0, 0, hash_work)
print(json.dumps({name: sorted(counts) for name, counts in taken.items()}))
"""


def test_machine_code_of_the_ciphers_takes_the_same_instructions_for_every_key_and_text():
    files = {}
    for name in MODULES:
        source = (mpy.LIBRARY / f"{name}.py").read_bytes()
        files[f"picoswarm/{name}.mpy"] = mpy.compile_source(source, f"{name}.py", "armv6m", 3)
    taken = json.loads(qemu.run("m0", files, PROGRAM, 120))
    assert len(taken) == 7
    assert {name: counts for name, counts in taken.items() if len(counts) != 1} == {}
