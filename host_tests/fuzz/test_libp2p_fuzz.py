"""Whatever a libp2p peer sends, no decoder and no engine raises; what it holds stays bounded."""

from __future__ import annotations

import os
import random

from picoswarm.identify import decode_identify, encode_identify
from picoswarm.multiaddr import decode_address, encode_address, parse_address
from picoswarm.multistream import Select, line
from picoswarm.p2psetup import P2pSetup
from picoswarm.peerid import parse_peer
from picoswarm.peerkey import is_peer_id
from picoswarm.protobuf import decode_fields, encode_fields
from picoswarm.yamux import Yamux
from picoswarm_gateway.families.libp2p.dht import content_key
from picoswarm_gateway.families.libp2p.kad import decode_answer
from picoswarm_gateway.families.libp2p.messages import Frames, Message, Rpc, decode_rpc

COUNT = 20_000 if os.environ.get("PICOSWARM_LONG") == "1" else 1500
INLINE = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
ADDRESS = f"/ip4/10.0.0.7/tcp/4001/p2p/{INLINE}"


def mutants(draw: random.Random, data: bytes, count: int = COUNT):
    """Bytes with some changed, cut, doubled or put in."""
    for _ in range(count):
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


def test_no_decoder_raises():
    draw = random.Random(1)
    peer = parse_peer(INLINE)
    identify = encode_identify(peer[2:], [encode_address(parse_address(ADDRESS))], ["/a", "/b"], b"", "agent")
    message = Message(peer, b"data", bytes(8), "topic", bytes(64))
    rpc = Rpc([(True, "t")], [message], [("t", [b"id"])], [b"id"], ["t"], [("t", 60)]).encode()
    for data in mutants(draw, identify):
        decode_fields(data)
        decode_identify(data, peer)
    told = encode_fields(((1, peer), (2, encode_address(parse_address(ADDRESS))), (2, b"\x36\2\xff\xff\6\0\1")))
    for data in mutants(draw, encode_fields(((1, 3), (8, told), (9, told)))):
        answer = decode_answer(data)
        assert answer is None or all(is_peer_id(each.peer) for each in answer.closer + answer.providers)
    for data in mutants(draw, ADDRESS.encode()):
        content_key(data.decode("latin-1"))
        content_key("b" + data.decode("latin-1"))
    for data in mutants(draw, encode_address(parse_address(ADDRESS))):
        parts = decode_address(data)
        assert parts is None or decode_address(encode_address(parts)) == parts
    for data in mutants(draw, ADDRESS.encode()):
        parse_address(data.decode("latin-1"))
        parse_peer(data.decode("latin-1"))
    for data in mutants(draw, rpc):
        for each in Frames().add(data) or ():
            found = decode_rpc(each)
            assert found is None or all(each.is_good() in (True, False) for each in found.publish)


def test_no_engine_raises():
    draw = random.Random(2)
    lines = line(b"/multistream/1.0.0") + line(b"/a") + line(b"/b")
    frames = b"".join(
        bytes((0, kind, 0, flags, 0, 0, 0, number, 0, 0, 0, size)) + bytes(size)
        for kind, flags, number, size in ((0, 1, 1, 5), (1, 0, 1, 0), (0, 4, 1, 3), (1, 9, 3, 0), (0, 1, 5, 9))
    )
    for data in mutants(draw, lines):
        Select((b"/a", b"/c")).receive(data)
        Select((), lambda name: name == b"/b").receive(data)
    for data in mutants(draw, frames):
        mux = Yamux(False, 0)
        mux.receive(data, 0, len(data))
        assert mux.held <= len(data) and mux.queued < 65536
    good = line(b"/multistream/1.0.0") + line(b"/noise") + b"\0\x20" + bytes(range(32)) + b"\1\0" + bytes(256)
    for data in mutants(draw, good, COUNT // 10):
        setup = P2pSetup(_Identity, os.urandom, False)
        for at in range(0, len(data), 500):
            part = data[at : at + min(500, setup.room())]
            setup.buf[setup.fill : setup.fill + len(part)] = part
            setup.receive(len(part))
            while setup.work():
                pass
        assert setup.stage != 2


class _Identity:
    static_private = b"\x40" * 32
    static_public = b"\x40" * 32
    public_key = b"\x08\x01\x12\x20" + bytes(32)
    signature = bytes(64)
