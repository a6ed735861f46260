"""Vectors of the handshake patterns that others published, once more on every runtime (host_tests/vectors/noise-xx.json)."""

from noise_vectors import PUBLISHED
from picoswarm.aead import Aead
from picoswarm.noise import Noise
from sessions import Node
from support import unhex

RUNTIMES = ("cpython", "micropython", "qemu")


def test_published_handshakes_are_reproduced_by_both_sides():
    for psk, prologue, static_a, ephemeral_a, static_b, ephemeral_b, *messages in PUBLISHED:
        sides = []
        for private, ephemeral, is_initiator in ((static_a, ephemeral_a, True), (static_b, ephemeral_b, False)):
            sides.append(Noise(Node(unhex(private)), unhex(ephemeral), unhex(prologue), unhex(psk) or None, is_initiator))
        numbers = [0, 0]
        for turn in range(len(messages)):
            is_initiator, payload, wire = messages[turn]
            payload, wire = unhex(payload), unhex(wire)
            writer, reader = sides if is_initiator else sides[::-1]
            buf = bytearray(len(wire))
            if turn < 3:
                for _ in writer.message(buf, 0, 0, payload):
                    pass
                assert writer.end == len(wire) and buf == wire, turn
                for _ in reader.message(buf, 0, len(wire)):
                    pass
                assert buf[reader.at : reader.end] == payload, turn
            else:
                key = writer.keys[:32] if is_initiator else reader.keys[32:]
                buf[: len(payload)] = payload
                nonce = bytes((0, 0, 0, 0, numbers[is_initiator])) + bytes(7)
                Aead(key).seal(nonce, b"", buf, 0, len(payload))
                numbers[is_initiator] += 1
                assert buf == wire, turn
