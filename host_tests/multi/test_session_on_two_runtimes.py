"""A session between CPython with the `cryptography` package and MicroPython with machine code, each in either role."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from handshake_peer import read_record, session
from picoswarm.sealed import Sealed
from picoswarm_tools import mpy, runtimes
from sessions import A, B, initiator, responder

HERE = Path(__file__).resolve().parent
UNIT = HERE.parent / "unit"
HEAP_KB = 80
WALL_S = 60


@pytest.mark.parametrize("board_is", ["initiator", "responder"])
def test_a_host_and_a_board_set_up_a_session_and_read_each_other(board_is, tmp_path):
    library = mpy.compile_library("x86")
    mpy.compile_beside([HERE / "handshake_peer.py", UNIT / "sessions.py", UNIT / "support.py"], tmp_path, "x86")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WALL_S)
        program = f"import handshake_peer; handshake_peer.main('{server.getsockname()[1]}', {board_is!r})"
        board = subprocess.Popen(
            [str(runtimes.find("micropython")), "-X", f"heapsize={HEAP_KB}k", "-c", program],
            env={**os.environ, "MICROPYPATH": f"{library}:{tmp_path}:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            sock = server.accept()[0]
            sock.settimeout(WALL_S)
            with sock:
                side = responder(B) if board_is == "initiator" else initiator(A, dialed=B.id)
                rest = session(sock, side)
                sealer, opener = Sealed(side.send_key), Sealed(side.receive_key)
                for text in (b"stressed", b"", bytes(range(256)) * 3):
                    buf = bytearray(2) + text + bytes(16)
                    sock.sendall(buf[: sealer.seal(buf, 0, 2 + len(text))])
                    record, rest = read_record(sock, rest)
                    buf = bytearray(record)
                    assert bytes(buf[2 : opener.open(buf, 0, len(buf))]) == text[::-1]
            told = board.communicate(timeout=WALL_S)[0]
        finally:
            board.kill()
            board.wait()
    assert board.returncode == 0, told
    assert told.strip() == (A if board_is == "responder" else B).id.hex()
    assert side.peer_id == (A if board_is == "initiator" else B).id
