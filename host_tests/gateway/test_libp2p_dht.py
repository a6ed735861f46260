"""Lookups in a DHT: whom they ask, when they end, and what they believe; without a network."""

from __future__ import annotations

import asyncio
import random
from hashlib import sha256
from typing import ClassVar

import pytest
import structlog
import two_hosts
from picoswarm.failures import StreamError
from picoswarm.multiaddr import encode_address, parse_address
from picoswarm.peerkey import encode_key, peer_id
from picoswarm.protobuf import decode_fields, encode_fields
from picoswarm_gateway.families.libp2p import dht, family, host
from picoswarm_gateway.families.libp2p.dht import _believe, content_key
from picoswarm_gateway.families.libp2p.dialing import ADDRESSES
from picoswarm_gateway.families.libp2p.kad import (
    ADD_PROVIDER,
    ADDRESSES_MOST,
    ASKED_MOST,
    AT_ONCE,
    FIND_NODE,
    GET_PROVIDERS,
    HEARD_MOST,
    NEAREST,
    Answer,
    Found,
    Query,
    decode_answer,
    encode_question,
)
from picoswarm_gateway.families.libp2p.table import Libp2pTable
from picoswarm_gateway.loops import Loops
from two_hosts import connected

PUBLIC, PRIVATE = "/ip4/8.8.8.8/tcp/4001", "/ip4/192.168.1.1/tcp/80"


class Network:
    """Peers that know those near to them and some others, as routing tables do."""

    def __init__(self, count: int, silent: float = 0.0) -> None:
        draw = random.Random(count)
        self.draw = draw
        self.peers = [peer_id(encode_key(draw.randbytes(32))) for _ in range(count)]
        places = {peer: int.from_bytes(sha256(peer).digest(), "big") for peer in self.peers}
        self.places = places
        self.tables: dict[bytes, list[bytes]] = {}
        for peer in self.peers:
            buckets: dict[int, list[bytes]] = {}
            for other in draw.sample(self.peers, count):
                bucket = buckets.setdefault((places[peer] ^ places[other]).bit_length(), [])
                if other != peer and len(bucket) < NEAREST:
                    bucket.append(other)
            self.tables[peer] = [other for bucket in buckets.values() for other in bucket]
        self.silent = set(draw.sample(self.peers, int(count * silent)))

    def nearest(self, key: bytes, peers: list[bytes]) -> list[bytes]:
        target = int.from_bytes(sha256(key).digest(), "big")
        return sorted(peers, key=lambda peer: self.places[peer] ^ target)[:NEAREST]

    def run(self, query: Query, key: bytes) -> int:
        """Let a lookup go on to its end, each answer after the next question; returns how many peers it asked."""
        waiting: list[bytes] = []
        asked = 0
        while True:
            new = query.to_ask()
            asked += len(new)
            waiting += new
            assert len(waiting) <= AT_ONCE
            if not waiting:
                return asked
            peer = waiting.pop(self.draw.randrange(len(waiting)))
            if peer in self.silent:
                query.failed(peer)
            else:
                query.answered(peer, [Found(each, []) for each in self.nearest(key, self.tables[peer])])


@pytest.mark.parametrize("silent", [0.0, 0.2])
def test_a_lookup_finds_the_peers_nearest_to_a_key(silent):
    network = Network(600, silent)
    for i in range(10):
        key = b"key %d" % i
        query = Query(key, b"", [Found(peer, []) for peer in network.draw.sample(network.peers, 3)])
        asked = network.run(query, key)
        alive = [peer for peer in network.peers if peer not in network.silent]
        wanted = set(network.nearest(key, alive))
        assert len(wanted & set(query.nearest())) >= NEAREST * (1 - silent)  # answers have silent peers among their 20
        assert asked <= 60


def test_a_lookup_among_liars_ends_and_holds_a_bounded_memory():
    draw = random.Random(1)
    query = Query(b"key", b"", [Found(peer_id(encode_key(bytes(32))), [])])
    asked = 0
    while new := query.to_ask():
        asked += len(new)
        for peer in new:
            query.answered(peer, [Found(peer_id(encode_key(draw.randbytes(32))), []) for _ in range(64)])
    assert asked <= ASKED_MOST and len(query.heard) <= HEARD_MOST


def test_a_lookup_never_asks_its_own_host_nor_a_peer_twice():
    own, other = (peer_id(encode_key(bytes((i,)) * 32)) for i in range(2))
    query = Query(b"key", own, [Found(other, []), Found(own, [])])
    assert query.to_ask() == [other]
    query.answered(other, [Found(other, []), Found(own, [])])
    assert query.to_ask() == [] and query.nearest() == [other]


def test_an_answer_gives_peers_and_those_of_their_addresses_that_tcp_reaches():
    peer = peer_id(encode_key(bytes(32)))
    address = encode_address(parse_address(PUBLIC))
    told = encode_fields([(1, peer), (2, address), (2, address[:-1]), (2, b"\x04\x08\x08\x08\x08\x91\x02\x0f\xa1"), (3, 1)])
    assert decode_answer(encode_fields([(1, 4), (8, told), (9, told), (10, 1)])) == Answer(
        [Found(peer, [PUBLIC])], [Found(peer, [PUBLIC])]
    )
    assert decode_answer(encode_fields([(8, encode_fields([(1, b"no id")]))])) is None


def test_a_provider_is_told_with_its_addresses():
    message = encode_question(ADD_PROVIDER, b"key", b"peer", [b"one", b"two"])
    assert message[0] == len(message) - 1
    *head, (number, provider) = decode_fields(message[1:])
    assert head == [(1, ADD_PROVIDER), (2, b"key")] and number == 9
    assert decode_fields(provider) == [(1, b"peer"), (2, b"one"), (2, b"two")]


def test_a_public_peer_is_not_believed_private_addresses():
    def answer() -> Answer:
        return Answer([Found(b"a", [PUBLIC, PRIVATE, "/dns4/router/tcp/80"])], [Found(b"b", [PRIVATE])])

    told = answer()
    _believe(told, bytes((8, 8, 4, 4)))
    assert told == Answer([Found(b"a", [PUBLIC])], [Found(b"b", [])])
    told = answer()
    _believe(told, bytes((192, 168, 1, 7)))
    assert told == answer()


@pytest.mark.parametrize(
    "address", ["/ip4/100.64.0.1/tcp/80", "/ip6/64:ff9b::c0a8:101/tcp/80", "/ip6/2002:c0a8:101::/tcp/80"]
)
def test_a_public_peer_is_not_believed_an_address_that_leads_into_a_private_network(address):
    told = Answer([Found(b"a", [PUBLIC, address])], [])
    _believe(told, bytes((8, 8, 4, 4)))
    assert told.closer == [Found(b"a", [PUBLIC])]
    told = Answer([Found(b"a", [address])], [])
    _believe(told, bytes((100, 64, 0, 7)))  # who tells is in such a network itself
    assert told.closer == [Found(b"a", [address])]


PEER = peer_id(encode_key(b"\7" * 32))


def lies(liar: int) -> list[str]:
    """As many addresses as an answer may have of one peer."""
    return [f"/ip4/9.9.{liar}.{i}/tcp/4001" for i in range(ADDRESSES_MOST)]


def test_liars_cannot_push_out_where_a_peer_was_reached():
    async def story(one, other):
        await connected(one, other)
        (address,) = one.host.known[other.host.id]
        for liar in range(20):
            one.host.learn(other.host.id, lies(liar))
        assert one.host.known[other.host.id][0] == address and len(one.host.known[other.host.id]) == ADDRESSES

    two_hosts.run(story)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("kind", ["find", "providers"])
def test_an_address_that_one_tells_is_kept_where_two_lie_about_it(monkeypatch, kind, place):
    """Whoever answers first."""
    right = "/ip4/8.8.8.8/tcp/4001"

    class Host:
        known: ClassVar[dict] = {}
        _proven: ClassVar[dict] = {}
        learn = host.Host.learn

        def connection(self, peer):
            return None

    async def walk(_self, _kind, _key, take):
        told = [lies(1), lies(2)]
        told.insert(place, [right])
        for addresses in told:
            found = [Found(PEER, addresses)]
            if take(Answer(found, []) if kind == "find" else Answer([], found)):
                break

    async def story():
        monkeypatch.setattr(dht.Dht, "_walk", walk)
        ours = dht.Dht(Host(), "/ipfs/kad/1.0.0")
        found = await (ours.find(PEER) if kind == "find" else ours.providers(PEER))
        assert right in (found if kind == "find" else found[PEER])[:3]
        assert right in Host.known[PEER]
        for task in ours._lookups.values():
            task.cancel()

    asyncio.run(story())


def test_the_key_of_a_cid_is_its_multihash():
    digest = sha256(b"").digest()
    raw = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"  # the empty block
    assert content_key(raw) == b"\x12\x20" + digest
    assert content_key("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")[:2] == b"\x12\x20"  # an empty folder
    for wrong in ("", "b", "bafk", "bbbb", "Qm", "k51", "b" + "a" * 400, "bäö"):
        assert content_key(wrong) is None


def test_answers_that_are_kept_keep_nobody_from_asking(monkeypatch):
    monkeypatch.setattr(dht, "ANSWERS", 3 * dht.LOOKUPS)

    async def story():
        ours = dht.Dht(None, "/ipfs/kad/1.0.0")

        async def found(key):
            return [key]

        for i in range(4 * dht.LOOKUPS):
            assert await ours._once(FIND_NODE, bytes((i,)), found)
        assert len(ours._lookups) == 3 * dht.LOOKUPS

        async def endless(_key):
            await asyncio.Event().wait()

        under_way = [asyncio.create_task(ours._once(GET_PROVIDERS, bytes((i,)), endless)) for i in range(dht.LOOKUPS)]
        await asyncio.sleep(0)
        with pytest.raises(StreamError, match="too many"):
            await ours._once(FIND_NODE, b"one more", found)
        for task in (*under_way, *ours._lookups.values()):
            task.cancel()

    asyncio.run(story())


def test_leases_end_in_time_while_providers_are_told_slowly(monkeypatch):
    monkeypatch.setattr(family, "EXPIRE_S", 0.001)

    async def story():
        looked = asyncio.Event()
        looks = []

        class Leases:
            def expire(self):
                looks.append(1)
                if len(looks) == 3:
                    looked.set()

        class Slow:
            async def expire(self):
                pass

            async def provide_again(self):
                await asyncio.Event().wait()

        ours = family.Libp2pFamily(Libp2pTable())
        ours.leases, ours.boards, ours.dht = Leases(), Slow(), Slow()
        loops = Loops(structlog.get_logger())
        tasks = ours._begin(loops)
        await asyncio.wait_for(looked.wait(), 30)
        await loops.end(tasks)

    asyncio.run(story())
