"""The machine code of X25519 and of the Ed25519 signature takes the same instructions for every key and point: no branch
hangs on a secret. Counted on the emulated Cortex-M0+, where equal instructions are equal cycles: it has no cache, its
multiplier takes one cycle on the RP2040, and no address depends on a secret (a table is read as a whole).
"""

import json

from picoswarm_tools import mpy, qemu

MODULES = ("__init__", "compat", "errors", "field_viper", "curve_viper", "sha512", "sha512_viper", "ed25519_viper")

PROGRAM = """
import json
from hashlib import sha256
from instructions import count
from picoswarm import curve_viper, ed25519_viper, field_viper

def patterns(n):
    yield bytes(n)
    yield b"\\xff" * n
    yield b"\\x55" * n
    for i in range(17):
        part = sha256(bytes((i,))).digest()
        yield (part * (n // 32 + 1))[:n]

taken = {}

def note(name, function, *args):
    if name not in taken:
        taken[name] = set()
    count(function, *args)  # a first call differs: the firmware remembers where it found the last names
    taken[name].add(count(function, *args))

u = bytes(range(32))
other = sha256(u).digest()
workspace, point = bytearray(80 * 11), bytearray(80 * 19)
out, result = bytearray(32), bytearray(32)
for pattern in patterns(32):
    bits = bytearray(pattern)
    bits[31] &= 127
    for place in (pattern, other):
        field_viper.unpack(workspace, pattern)
        note("unpack", field_viper.unpack, workspace, place)
        for slot in range(1, 5):
            field_viper.unpack(memoryview(workspace)[80 * slot :], sha256(place + bytes((slot,))).digest())
        # Ten bits of the ladder from any state, as a slice of the job does.
        note("ladder", field_viper.repeat, curve_viper._ANY, workspace, bits, 255, 10)
        note("ladder of the base point", field_viper.repeat, curve_viper._BASE, workspace, bits, 130, 10)
        note("pack", field_viper.pack, out, workspace)
    note("powers", field_viper.repeat, b".^AB ..*BAC.;", workspace, bits, 9, 9)

digits, table = bytearray(32), bytearray(1920)
for pattern in patterns(32):
    scalar = bytearray(pattern)
    scalar[31] &= 127
    note("digits", ed25519_viper._comb_digits, digits, scalar, ed25519_viper._L)
    ed25519_viper._comb_digits(digits, scalar, ed25519_viper._L)
    for column in (0, 1, 20, 63):
        note("column %d" % column, ed25519_viper._pick, memoryview(point)[320:], column, table, digits)
    note("addition", field_viper.repeat, ed25519_viper._COLUMN, point, digits, 1, 1)
    limbs = bytearray(256)
    wide = pattern + sha256(pattern).digest()
    note("product", ed25519_viper._multiply_add, limbs, 0, 32, other, pattern, wide)
    note("remainder", ed25519_viper._modulo_l, limbs, 0, result, ed25519_viper._L)
print(json.dumps({name: sorted(counts) for name, counts in taken.items()}))
"""

# Whole jobs, the Python around the machine code included, step by step.
JOBS = """
import json
from hashlib import sha256
from instructions import count
from picoswarm.curve_viper import X25519

def steps(*arguments):
    job = X25519(*arguments)
    return [count(job.step) for _ in range(11)]

keys = [bytes(32), bytes(32), b"\\xff" * 32] + [sha256(bytes((i,))).digest() for i in range(19)]
any_point = [steps(key, point) for key, point in zip(keys, keys[1:])]
base_point = [steps(key) for key in keys]
# The first of each differs: the firmware remembers where it found the last names.
print(json.dumps([any_point[1:], base_point[1:]]))
"""


def run(program):
    files = {}
    for name in MODULES:
        source = (mpy.LIBRARY / f"{name}.py").read_bytes()
        files[f"picoswarm/{name}.mpy"] = mpy.compile_source(source, f"{name}.py", "armv6m", 3)
    return json.loads(qemu.run("m0", files, program, 120))


def test_machine_code_of_the_curve_takes_the_same_instructions_for_every_key_and_point():
    taken = run(PROGRAM)
    assert len(taken) == 13
    assert {name: counts for name, counts in taken.items() if len(counts) != 1} == {}


def test_an_agreement_takes_the_same_instructions_for_every_key_and_point():
    for jobs in run(JOBS):
        assert len(jobs) >= 20
        *ladder, inversion = zip(*jobs, strict=True)
        assert len(ladder) == 10
        assert [len(set(step)) for step in ladder] == [1] * 10, ladder
        # The last step takes memory, and how long the search for it lasts depends on what this test keeps in the heap: its
        # machine code is counted above ("powers", "pack").
        assert max(inversion) - min(inversion) < min(inversion) // 100, inversion
