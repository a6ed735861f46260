"""The question to the router, as a name server gets it, and what counts as an answer."""

from __future__ import annotations

import socket
import threading

import pytest
from board_process import FIRMWARE
from picoswarm_tools import runtimes

PROGRAM = """
import asyncio
from swarmboard.question import is_answered
print(asyncio.run(is_answered("127.0.0.1", {})))
"""


def answered(how) -> tuple[str, bytes]:
    """(what a board says of it, what it asked) where `how` makes an answer of a question, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        asked: list[bytes] = []

        def serve() -> None:
            question, who = server.recvfrom(512)
            asked.append(question)
            if answer := how(question):
                server.sendto(answer, who)

        thread = threading.Thread(target=serve)
        thread.start()
        code = PROGRAM.format(server.getsockname()[1])
        done = runtimes.run_micropython(["-c", code], 100, {"MICROPYPATH": f"{FIRMWARE / 'lib'}:.frozen"})
        thread.join()
        return done.stdout.strip(), asked[0]


def test_it_is_a_whole_question_of_the_domain_name_system():
    said, asked = answered(lambda question: question[:2] + b"\x81\x80" + question[4:])
    assert said == "True"
    # Recursion desired, one question, no answers: the root, NS, IN (RFC 1035, 4.1).
    assert asked[2:] == bytes.fromhex("0100 0001 0000 0000 0000 00 0002 0001")


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        pytest.param(lambda question: question[:2] + b"\x81\x85" + question[4:], "True", id="refused"),
        pytest.param(
            lambda question: b"\0\0" + question[2:] if question[:2] != b"\0\0" else b"\1\1", "False", id="another id"
        ),
        pytest.param(lambda question: None, "False", id="silence"),
    ],
)
def test_any_answer_to_it_counts_and_nothing_else(how, counts):
    assert answered(how)[0] == counts
