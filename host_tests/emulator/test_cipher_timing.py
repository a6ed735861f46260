"""The machine code of the ciphers takes the same instructions for every key and text of one size: no branch hangs on a
secret. Counted on the emulated Cortex-M0+, where equal instructions are equal cycles: it has no cache, its multiplier
takes one cycle on the RP2040, and what an address could cost (flash, bus contention) does not depend on the data here,
since no secret is an index.
"""

from counting import counts

MODULES = ("__init__", "compat", "errors", "cipher_viper", "aead_viper", "sha512_viper")

PROGRAM = """
from picoswarm.aead_viper import _differ, _mac
from picoswarm.cipher_viper import Hmac, stream
from picoswarm.cipher_viper import _compress as compress_256
from picoswarm.sha512_viper import _compress as compress_512

state, work, nonce, ad, text = bytearray(64), bytearray(184), bytearray(12), bytearray(20), bytearray(232)
hash_work, states, other = bytearray(1344), bytearray(64), bytearray(32)
mac = Hmac(b"")
VERIFY, WRITE, BARE = 0, 1, 3  # modes of _mac

# Without arguments and native: a call then takes no memory, the search for which would be counted.
@micropython.native
def key_stream():
    stream(1, 0, state, work, nonce, 0, text, 200)

@micropython.native
def verify():
    _mac(20, 0, work, ad, text, 200, VERIFY)

@micropython.native
def write():
    _mac(20, 0, work, ad, text, 200, WRITE)

@micropython.native
def poly1305():
    _mac(200, 0, work, text, ad, 0, BARE)

@micropython.native
def differ():
    _differ(other, key, 32)

@micropython.native
def sign():
    mac.sign(text, 0, 200, 200)

@micropython.native
def check():
    mac.check(text, 0, 200, 200)

@micropython.native
def rekey():
    mac.rekey(key, 0, 32)

@micropython.native
def sha256_block():
    compress_256(0, 0, hash_work, states)

@micropython.native
def sha512_block():
    compress_512(0, 0, hash_work)

for _ in range(2):
    for name in taken:  # of the first round, after which the firmware finds each name where it found it last
        taken[name].clear()
    for key in patterns(32):
        note("differ", differ)
        note("hmac key", rekey)
        for message in patterns(216):
            state[16:48] = key
            text[:216] = message
            note("stream", key_stream)
            work[:32] = key
            note("tag refused", verify)
            note("tag written", write)
            note("tag accepted", verify)
            text[200] ^= 1
            note("tag refused", verify)
            text[215] ^= 128
            note("tag refused", verify)
            note("poly1305", poly1305)
            note("hmac written", sign)
            note("hmac accepted", check)
            text[200] ^= 1
            note("hmac refused early", check)
            text[231] ^= 128
            note("hmac refused late", check)
for words in patterns(1344):
    hash_work[:] = words
    states[:] = words[:64]
    note("sha256", sha256_block)
    note("sha512", sha512_block)
"""


def test_machine_code_of_the_ciphers_takes_the_same_instructions_for_every_key_and_text():
    taken = counts(MODULES, PROGRAM)
    assert len(taken) == 13
    assert {name: counts for name, counts in taken.items() if len(counts) != 1} == {}
    # A comparison that stopped at the first difference would save some three hundred; the interpreter around it may take a
    # few more or less after another statement.
    early, late = taken["hmac refused early"][0], taken["hmac refused late"][0]
    assert abs(early - late) <= 32
