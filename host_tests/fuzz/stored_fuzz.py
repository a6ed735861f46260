"""Mutants of what a node reads from its flash: slot files and node databases. Each is decoded or refused as Malformed; what
is decoded encodes to the same bytes. The same file runs on CPython and on MicroPython."""

from binascii import crc32

from fuzz_draw import Random, mutate
from picoswarm.errors import Malformed
from picoswarm.nodedb import decode_nodes
from picoswarm.slots import NODES, decode_slot, encode_slot

_IPV4 = b"\0" + bytes(range(32)) + b"\x0a\0\0\x01\x0f\xa0\0\0"
_IPV6 = b"\1" + bytes(range(32)) + b"\x20\x01" + bytes(14) + b"\x0f\xa0\0\0"
PAYLOADS = (b"\0", b"\1" + _IPV4, b"\3" + _IPV4 + _IPV6 + _IPV4, b"\2" + _IPV6 + _IPV6, b"")


def _nodes(payload):
    """Decode a payload; returns whether it was one."""
    try:
        nodes = decode_nodes(payload)
    except Malformed:
        return False
    size = 1
    for id32, ip, port in nodes:
        assert len(id32) == 32 and len(ip) in (4, 16) and 0 <= port < 65536
        size += 37 + len(ip)
    assert size == len(payload) and payload[0] == len(nodes)
    return True


def _slot(data):
    try:
        sequence, payload = decode_slot(NODES, data)
    except Malformed:
        return False
    assert encode_slot(NODES, sequence, payload) == bytes(data)
    return True


def run(count, seed=1):
    """Decode `count` mutants of each. Returns how many of the slots and of the databases were whole."""
    draw = Random(seed)
    whole = [0, 0]
    for i in range(count):
        payload = PAYLOADS[i % len(PAYLOADS)]
        mutant = bytes(mutate(payload, draw)) if payload else payload
        whole[1] += _nodes(mutant)
        data = mutate(encode_slot(NODES, i & 0xFFFF, payload), draw)
        if i & 1 and len(data) >= 16:  # damage that the checksum covers: what stands in the header is then believed
            data[12:16] = (crc32(data[16:], crc32(data[:12])) & 0xFFFFFFFF).to_bytes(4, "big")
        whole[0] += _slot(bytes(data))
    return whole
