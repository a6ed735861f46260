"""The machine code of X25519 and of the Ed25519 signature takes the same instructions for every key and point: no branch
hangs on a secret. Counted on the emulated Cortex-M0+, where equal instructions are equal cycles: it has no cache, its
multiplier takes one cycle on the RP2040, and no address depends on a secret (a table is read as a whole).
"""

from counting import counts, run

MODULES = ("__init__", "compat", "errors", "cipher_viper", "field_viper", "curve_viper")
MODULES += ("sha512", "sha512_viper", "ed25519base_viper", "ed25519sign_viper")

PROGRAM = """
from picoswarm import curve_viper, ed25519base_viper, ed25519sign_viper, field_viper

u = bytes(range(32))
other = sha256(u).digest()
workspace, point = bytearray(80 * 11), bytearray(80 * 19)
entry = memoryview(point)[320:]
out, result, ell = bytearray(32), bytearray(32), ed25519base_viper.ORDER
limbs, wide, column = bytearray(256), bytearray(64), 0
digits, table = bytearray(32), bytearray(1920)
unpack, pack, repeat = field_viper.unpack, field_viper.pack, field_viper.repeat
bit, sum_of_column = curve_viper._BIT, ed25519sign_viper._COLUMN
comb_digits, pick = ed25519sign_viper._comb_digits, ed25519sign_viper._pick
multiply_add, modulo_l = ed25519base_viper._multiply_add, ed25519base_viper._modulo_l

# Without arguments and native: a call then takes no memory, the search for which would be counted.
@micropython.native
def unpacking():
    unpack(workspace, place)

@micropython.native
def ladder():
    repeat(bit, workspace, bits, 255, 10)

@micropython.native
def packing():
    pack(out, workspace)

@micropython.native
def powers():
    repeat(b"^AB *BAC;", workspace, bits, 9, 9)

@micropython.native
def making_digits():
    comb_digits(digits, scalar, ell)

@micropython.native
def picking():
    pick(entry, column, table, digits)

@micropython.native
def addition():
    repeat(sum_of_column, point, digits, 1, 1)

@micropython.native
def product():
    multiply_add(limbs, 0, 32, other, pattern, wide)

@micropython.native
def remainder():
    modulo_l(limbs, 0, result, ell)

for pattern in patterns(32):
    bits = bytearray(pattern)
    bits[31] &= 127
    for place in (pattern, other):
        unpack(workspace, pattern)
        note("unpack", unpacking)
        for slot in range(1, 5):
            unpack(memoryview(workspace)[80 * slot :], sha256(place + bytes((slot,))).digest())
        # Ten bits of the ladder from any state, as a slice of the job does.
        note("ladder", ladder)
        note("pack", packing)
    note("powers", powers)

for pattern in patterns(32):
    scalar = bytearray(pattern)
    scalar[31] &= 127
    note("digits", making_digits)
    comb_digits(digits, scalar, ell)
    for column in (0, 1, 20, 63):
        note("column %d" % column, picking)
    note("addition", addition)
    wide[:] = pattern + sha256(pattern).digest()
    note("product", product)
    multiply_add(limbs, 0, 32, other, pattern, wide)
    note("remainder", remainder)
"""

# Whole jobs, the Python around the machine code included, step by step.
JOBS = """
import json
from hashlib import sha256
from instructions import count
from picoswarm.curve_viper import X25519

def steps(*arguments):
    job = X25519(*arguments)
    return [count(job.step) for _ in range(10)]

keys = [bytes(32), bytes(32), b"\\xff" * 32] + [sha256(bytes((i,))).digest() for i in range(19)]
any_point = [steps(key, point) for key, point in zip(keys, keys[1:])]
base_point = [steps(key) for key in keys]
# The first of each differs: the firmware remembers where it found the last names.
print(json.dumps([any_point[1:], base_point[1:]]))
"""


def test_machine_code_of_the_curve_takes_the_same_instructions_for_every_key_and_point():
    taken = counts(MODULES, PROGRAM)
    assert len(taken) == 12
    assert {name: counts for name, counts in taken.items() if len(counts) != 1} == {}


def test_an_agreement_takes_the_same_instructions_for_every_key_and_point():
    for jobs in run(MODULES, JOBS):
        assert len(jobs) >= 20
        *ladder, inversion = zip(*jobs, strict=True)
        assert len(ladder) == 9
        assert [len(set(step)) for step in ladder] == [1] * 9, ladder
        # The last step takes memory, and how long the search for it lasts depends on what this test keeps in the heap: its
        # machine code is counted above ("powers", "pack").
        assert max(inversion) - min(inversion) < min(inversion) // 100, inversion
