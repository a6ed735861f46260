"""Rows of CometBFT: what it costs a board to verify the commit of a block of four validators, and a proof of a value."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .. import mpy, qemu, runtimes
from ..report import Row
from .kernel import METHOD

PROGRAM = """
import gc, json
from instructions import start, stop
from comet_blocks import BLOCK_5
from picoswarm.commits import Commit, read_header
from picoswarm.crypto import run
from picoswarm.ed25519 import Verify

def check(data):
    n = int.from_bytes(data[:2], "big")
    header = read_header(data[2 : 2 + n])
    at = 2 + n
    round = int.from_bytes(data[at : at + 4], "big")
    n = data[at + 4]
    block = data[at + 5 : at + 5 + n]
    at += 5 + n
    n = int.from_bytes(data[at : at + 2], "big")
    at += 2
    validators = []
    for _ in range(n):
        validators.append((data[at : at + 32], int.from_bytes(data[at + 32 : at + 40], "big")))
        at += 40
    commit = Commit(header, round, block, validators)
    assert commit.refusal() is None
    for i in range(n):
        vote = commit.vote(i, data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
        if vote and run(Verify(*vote)):
            commit.count(i)
            if commit.is_enough():
                return i + 1

check(BLOCK_5)  # what is made once
gc.collect()
before = gc.mem_alloc()
gc.disable()
begin, end, run_it = start, stop, check
begin()
votes = run_it(BLOCK_5)
cost = end()
made = gc.mem_alloc() - before
gc.enable()
print(json.dumps([cost, votes, made]))
"""


PROOF = """
import gc, json
from instructions import start, stop
from picoswarm.protobuf import varint
from picoswarm.proofs import root

def field(number, value):
    return bytes((number << 3 | 2,)) + varint(len(value)) + value

inner = b"\\x08" + varint(1000) + b"\\x10" + varint(500) + field(3, bytes(32))
for i in range(10):
    inner += field(4, bytes((i,)) * 32)
proof = field(1, field(1, b"simple:v") + field(2, b"meter") + field(3, field(2, inner)))
assert len(root(proof, (b"meter",), b"101")) == 32
gc.collect()
before = gc.mem_alloc()
gc.disable()
begin, end, run_it = start, stop, root
begin()
run_it(proof, (b"meter",), b"101")
cost = end()
made = gc.mem_alloc() - before
print(json.dumps([cost, len(proof), made]))
"""


def measure() -> Iterator[Row]:
    blocks = runtimes.ROOT / "host_tests" / "unit" / "comet_blocks.py"
    if not blocks.is_file():
        raise runtimes.Missing("recorded blocks are in a checkout of the project: work there")
    program = mpy.translate(PROGRAM, qemu.arch("m0"), 3, form=mpy.APART)
    files = {**qemu.library_files("m0", level=3, form=mpy.APART), "comet_blocks.py": blocks.read_bytes()}
    cost, votes, made = json.loads(qemu.run("m0", files, program, timeout_s=300))
    method = f"{METHOD}; a recorded block of four validators of CometBFT 0.38.25, {votes} signatures until they are enough"
    what = "a board verifies a header and the commit for it"
    yield Row("cometbft.board.commit_instructions", what, cost, "instructions", method=method)
    yield Row("cometbft.board.commit_heap", "all that it takes from the heap meanwhile", made, "bytes", method=method)
    files = qemu.library_files("m0", level=3, form=mpy.APART)
    program = mpy.translate(PROOF, qemu.arch("m0"), 3, form=mpy.APART)
    cost, size, made = json.loads(qemu.run("m0", files, program, timeout_s=300))
    method = f"{METHOD}; a way of ten hashes, as in a state of 1,000 values: {size} bytes"
    what = "a board follows a proof from a value to the hash of the state"
    yield Row("cometbft.board.proof_instructions", what, cost, "instructions", method=method)
    yield Row("cometbft.board.proof_heap", "all that it takes from the heap meanwhile", made, "bytes", method=method)
