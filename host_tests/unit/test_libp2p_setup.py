"""The set-up of a libp2p connection, both sides of it, and the connection behind it."""

from picoswarm.compat import collect
from picoswarm.crypto import run
from picoswarm.ed25519 import Sign
from picoswarm.nodekey import Identity
from picoswarm.p2plink import P2pLink
from picoswarm.p2psetup import P2pSetup, signed_text
from picoswarm.peerkey import encode_key, peer_id
from support import unhex

RUNTIMES = ("cpython", "small")

_FAILED = 3


class _Identity:
    """What a set-up wants of a node."""

    def __init__(self, seed, private, id32):
        node = Identity(seed, private, id32)
        self.static_private = node.static_private
        self.static_public = node.static_public
        self.public_key = encode_key(node.id)
        self.signature = run(Sign(seed, node.id, signed_text(self.static_public)))
        self.peer = peer_id(self.public_key)


# Two nodes of known seeds.
A = _Identity(
    bytes(32),
    unhex("5046adc1dba838867b2bbbfdd0c3423e58b57970b5267a90f57960924a87f156"),
    unhex("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"),
)
B = _Identity(
    unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    unhex("307c83864f2833cb427a2ef1c00a013cfdff2768d980c0a3a520f006904de94f"),
    unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
)


class _Owner:
    def __init__(self):
        self.begun = []
        self.told = 0

    def serves(self, name):
        return name == b"/echo/1.0.0"

    def identity(self):
        from picoswarm.identify import encode_identify

        return encode_identify(B.public_key, [], ["/echo/1.0.0"], b"", "agent")

    def begin(self, stream):
        self.begun.append(stream)

    def news(self):
        self.told += 1


def _sides(dialed=None):
    return (
        P2pSetup(A, lambda n: b"\x11" * n, True, dialed),
        P2pSetup(B, lambda n: b"\x22" * n, False),
    )


def _give(side, data):
    for at in range(0, len(data), 100):
        part = data[at : at + 100]
        side.buf[side.fill : side.fill + len(part)] = part
        side.receive(len(part))
        while side.work():
            pass


def _take(side):
    out = bytes(side.out)
    side.out = b""
    return out


def _play(sides, change=None):
    """Let both sides run. `change(turn, data)` gives what comes instead."""
    for side in sides:
        while side.work():
            pass
    for turn in range(10):
        out = _take(sides[turn & 1])
        if change:
            out = change(turn, out)
        if out:
            _give(sides[turn & 1 ^ 1], out)


def test_both_sides_know_each_other_and_have_the_same_keys():
    sides = _sides(B.peer)
    _play(sides)
    assert sides[0].stage == sides[1].stage == 2, (sides[0].reason, sides[1].reason)
    assert sides[0].peer == B.peer and sides[1].peer == A.peer
    buf = bytearray(2 + 5 + 16)
    buf[2:7] = b"hello"
    sides[0].ciphers[0].seal(buf, 7)
    assert sides[1].ciphers[1].open(buf, 0, len(buf)) == 7 and buf[2:7] == b"hello"


def test_another_peer_than_was_dialed_is_refused():
    sides = _sides(A.peer)
    _play(sides)
    assert sides[0].stage == _FAILED and sides[0].reason == "wrong peer" and sides[1].stage != 2


def test_a_key_that_did_not_sign_is_refused():
    signature = B.signature
    B.signature = A.signature
    sides = _sides()
    _play(sides)
    B.signature = signature
    assert sides[0].stage == _FAILED and sides[0].reason == "forged"


def test_a_kind_of_key_that_cannot_be_checked_is_refused():
    message = B.public_key
    B.public_key = b"\x08\2" + message[2:]
    sides = _sides()
    _play(sides)
    assert sides[0].reason == "unknown kind of key"
    asked = []
    sides = P2pSetup(A, lambda n: b"\x11" * n, True, None, lambda *what: asked.append(what) or True), _sides()[1]
    _play(sides)
    B.public_key = message
    assert sides[0].stage == 2 and asked[0][0] == 2 and asked[0][3] == signed_text(B.static_public)


def test_garbage_at_each_step_ends_it():
    for step in range(5):

        def change(turn, data, step=step):
            return b"\x40" + bytes(range(64)) * 4 if turn == step and data else data

        sides = _sides()
        _play(sides, change)
        assert sides[0].stage != 2 or sides[1].stage != 2
        assert _FAILED in (sides[0].stage, sides[1].stage), step


def _links():
    sides = _sides()
    _play(sides)
    links = [P2pLink(side, _Owner(), 0) for side in sides]
    sides = None
    collect()
    for link in links:
        link.start()
    return links


def _carry(links):
    for turn in range(12):
        source, target = links[turn & 1], links[turn & 1 ^ 1]
        for data in source.out:
            for at in range(0, len(data), 300):
                part = data[at : at + 300]
                target.buf[target.fill : target.fill + len(part)] = part
                target.received(len(part), 0)
        source.out.clear()
        source.queued = 0


def test_streams_find_their_protocol_and_a_refused_one_is_reset():
    links = _links()
    stream = links[0].dial((b"/nope", b"/echo/1.0.0"))
    other = links[0].dial((b"/nope",))
    _carry(links)
    assert stream.protocol == b"/echo/1.0.0" and other.is_reset and other.protocol is None
    (served,) = links[1]._owner.begun
    stream.write(b"hello")
    _carry(links)
    assert served.read(9) == b"hello"


def test_ping_and_identify_are_answered():
    links = _links()
    stream = links[0].dial((b"/ipfs/ping/1.0.0",))
    _carry(links)
    stream.write(bytes(range(32)))
    _carry(links)
    assert stream.read(99) == bytes(range(32))
    links[0].identify()
    _carry(links)
    assert links[0].identified.agent == "agent" and links[0].held == 0
    links[1].push()
    _carry(links)
    assert links[0]._owner.told == 2


def test_a_record_that_was_changed_ends_the_connection():
    links = _links()
    links[0].dial((b"/echo/1.0.0",))
    data = bytearray(links[0].out[0])
    data[5] ^= 1
    links[1].buf[: len(data)] = data
    links[1].received(len(data), 0)
    assert links[1].reason == 1 and not links[1].streams


def test_a_long_record_is_taken_up_to_the_limit():
    links = _links()
    links[1].record = 4096
    links[0].frame = 4000
    stream = links[0].dial((b"/echo/1.0.0",))
    _carry(links)
    stream.write(bytes(4000))
    _carry(links)
    assert len(links[1]._owner.begun[0].data) == 4000 and len(links[1].buf) == 1024
    links[0].frame = 5000
    stream.write(bytes(5000))
    _carry(links)
    assert links[1].reason == 5
