"""Fuzzing what libp2p peers send: names, messages, lines, frames and set-ups on CPython and on 32-bit MicroPython
(libp2p_fuzz.py), and on CPython what only the gateway decodes. Twenty times as many with PICOSWARM_LONG=1.

Fuzzing says something about the branches that it reaches only: so they are counted.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import branches
from picoswarm.multiaddr import encode_address, parse_address
from picoswarm.peerid import parse_peer
from picoswarm.peerkey import is_peer_id
from picoswarm.protobuf import encode_fields
from picoswarm_gateway.families.libp2p.dht import content_key
from picoswarm_gateway.families.libp2p.kad import decode_answer
from picoswarm_gateway.families.libp2p.messages import Frames, Message, Rpc, decode_rpc
from picoswarm_tools import mpy, runtimes
from support import LONG

HERE = Path(__file__).resolve().parent
UNIT = HERE.parent / "unit"
TIMES = 20 if LONG else 1
# Of each, on CPython and on a board.
COUNTS = {"names": (4000, 400), "select": (6000, 1500), "link": (6000, 2000), "set_up": (250, 30)}
HEAP_KB = 160
ENTRANCES = {
    "protobuf.py": ("read_varint", "decode_fields"),
    "identify.py": ("decode_identify",),
    "multiaddr.py": ("decode_address",),
    "multistream.py": ("Select.receive", "Select._take"),
    "yamux.py": tuple(
        "Yamux." + name for name in ("receive", "_arrived", "_begin_frame", "_of_stream", "_end_frame", "_accept")
    ),
    "p2plink.py": tuple("P2pLink." + name for name in ("received", "_negotiate", "_begin", "_echo", "_learn")),
}
INLINE = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
ADDRESS = f"/ip4/10.0.0.7/tcp/4001/p2p/{INLINE}"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE, UNIT, runtimes.ROOT / "lib")))}


def program(what: str, count: int, seed: int) -> str:
    return f"import json, libp2p_fuzz; print(json.dumps(libp2p_fuzz.run({what!r}, {count}, {seed})))"


def check(counts: list) -> None:
    """All that can happen did, or the fuzzing stands before the door."""
    assert all(min(each) > 0 if isinstance(each, list) else each > 0 for each in counts), counts


@pytest.mark.parametrize("what", COUNTS)
def test_what_a_peer_sends_does_no_harm(what):
    command = [sys.executable, "-c", program(what, TIMES * COUNTS[what][0], 1)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check(json.loads(done.stdout))


@pytest.mark.parametrize("what", COUNTS)
def test_what_a_peer_sends_does_no_harm_on_a_board(what, tmp_path):
    library = mpy.compile_library("x86")
    own = [HERE / "libp2p_fuzz.py", HERE / "fuzz_draw.py", UNIT / "test_libp2p_setup.py", UNIT / "support.py"]
    mpy.compile_beside(own, tmp_path, "x86")
    command = ["-c", program(what, TIMES * COUNTS[what][1], 4)]
    done = runtimes.run_micropython(command, HEAP_KB, {"MICROPYPATH": f"{library}:{tmp_path}:.frozen"}, tmp_path, 3000)
    assert done.returncode == 0, done.stdout
    check(json.loads(done.stdout))


@pytest.fixture(scope="module")
def covered(tmp_path_factory) -> dict[str, dict]:
    """coverage's account of each function of the library, by file name."""
    return branches.account(tmp_path_factory.mktemp("coverage"), [str(HERE / "libp2p_fuzz.py"), "4000"], environment())


@pytest.mark.parametrize("file", ENTRANCES)
def test_fuzzing_reaches_the_branches_of_each_entrance(covered, file):
    branches.check(file, covered[file], ENTRANCES[file])


def mutants(draw: random.Random, data: bytes):
    """Bytes with some changed, cut, doubled or put in."""
    for _ in range(1500 * TIMES):
        out = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(out) + 1)
            kind = draw.randrange(4)
            if kind == 0 and at < len(out):
                out[at] = draw.randrange(256)
            elif kind == 1:
                del out[at:]
            elif kind == 2:
                out[at:at] = draw.randbytes(draw.randint(1, 8))
            else:
                out += out[at:]
        yield bytes(out[:65536])


def test_no_decoder_of_the_gateway_raises():
    draw = random.Random(1)
    peer = parse_peer(INLINE)
    message = Message(peer, b"data", bytes(8), "topic", bytes(64))
    rpc = Rpc([(True, "t")], [message], [("t", [b"id"])], [b"id"], ["t"], [("t", 60)]).encode()
    told = encode_fields(((1, peer), (2, encode_address(parse_address(ADDRESS))), (2, b"\x36\2\xff\xff\6\0\1")))
    for data in mutants(draw, encode_fields(((1, 3), (8, told), (9, told)))):
        answer = decode_answer(data)
        assert answer is None or all(is_peer_id(each.peer) for each in answer.closer + answer.providers)
    for data in mutants(draw, ADDRESS.encode()):
        content_key(data.decode("latin-1"))
        content_key("b" + data.decode("latin-1"))
    for data in mutants(draw, rpc):
        for each in Frames().add(data) or ():
            found = decode_rpc(each)
            assert found is None or all(each.is_good() in (True, False) for each in found.publish)
