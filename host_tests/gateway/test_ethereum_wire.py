"""RLP, records, discv4 and RLPx of the Ethereum family without a network. Real nodes: host_tests/interop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from picoswarm_gateway.families.ethereum import discovery, messages, rlp
from picoswarm_gateway.families.ethereum.discovery import Discovery, own_node
from picoswarm_gateway.families.ethereum.discv4 import (
    FIND,
    LONGEST,
    NEIGHBORS_EACH,
    PING,
    PONG,
    VERSION,
    endpoint,
    expires,
    pack,
    unpack,
)
from picoswarm_gateway.families.ethereum.follower import Follower
from picoswarm_gateway.families.ethereum.kademlia import BUCKET_NET, FAILS, SIZE, TABLE_NET, Table
from picoswarm_gateway.families.ethereum.keys import keccak256, public_bytes
from picoswarm_gateway.families.ethereum.messages import Header, Hello, Status
from picoswarm_gateway.families.ethereum.record import Node, make_record, read_enode, read_enr, read_record
from picoswarm_gateway.families.ethereum.rlp import Malformed
from picoswarm_gateway.families.ethereum.rlpx import Rlpx

HOST = "127.0.0.1"
PATIENCE_S = 60.0
EIP778 = (  # the example record of EIP-778
    "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJ"
    "c2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
)
EIP778_ID = "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7"


def key(n: int) -> PrivateKey:
    return PrivateKey(n.to_bytes(32, "big"))


def node(n: int, ip: str = HOST, port: int = 30303) -> Node:
    return Node(public_bytes(key(n).public_key), ip, port, port)


# RLP


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (b"dog", "83646f67"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        (b"", "80"),
        ([], "c0"),
        (b"\x0f", "0f"),
        (b"\x04\x00", "820400"),
        ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
        (b"x" * 55, "b7" + "78" * 55),
        (b"x" * 56, "b838" + "78" * 56),
    ],
    ids=lambda value: str(value)[:12],
)
def test_the_published_examples_are_encoded_and_read(item, text):
    assert rlp.encode(item).hex() == text and rlp.decode(bytes.fromhex(text)) == item


@pytest.mark.parametrize("text", ["", "8100", "83646f", "b800", "b83700", "bf0000000000000001", "c883646f", "f800", "80ff"])
def test_another_encoding_than_the_one_is_refused(text):
    with pytest.raises(Malformed):
        rlp.decode(bytes.fromhex(text))


def test_lists_too_deep_are_refused():
    item: list = []
    for _ in range(50):
        item = [item]
    with pytest.raises(Malformed, match="deep"):
        rlp.decode(rlp.encode(item))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_item_or_malformed(data):
    with suppress(Malformed):
        assert rlp.encode(rlp.decode(data)) == data


# Records


def test_the_example_of_eip_778_is_read():
    record = read_enr(EIP778)
    assert record.sequence == 1 and record.node.ip == HOST and record.node.udp == 30303
    assert record.node.id.hex() == EIP778_ID and record.url == EIP778


def test_a_record_of_ours_is_read_and_any_changed_byte_is_refused():
    record = make_record(key(5), 7, node(5))
    assert read_record(record.raw).node == node(5)
    for i in range(len(record.raw)):
        changed = bytearray(record.raw)
        changed[i] ^= 1
        with pytest.raises(Malformed):
            read_record(bytes(changed))


def test_enode_urls_come_back():
    assert read_enode(node(3).enode) == node(3)
    other = Node(node(3).key, "::1", 30301, 30303)
    assert read_enode(other.enode) == other
    for bad in ("enode://00@127.0.0.1:1", f"enode://{'ff' * 64}@127.0.0.1:1", node(3).enode.replace(HOST, "somewhere")):
        with pytest.raises(Malformed):
            read_enode(bad)


# discv4


def test_a_packet_tells_its_sender_and_a_changed_one_is_refused():
    packet = pack(key(1), PING, [VERSION, endpoint(node(1)), endpoint(node(2)), expires(), 1])
    assert unpack(packet)[:2] == (node(1).key, PING)
    turned = packet[:40] + bytes([packet[40] ^ 1]) + packet[41:]
    for changed in (packet[:-1], turned, packet + bytes(LONGEST), b"", packet[:97]):
        with pytest.raises(Malformed):
            unpack(changed)


class Ear(asyncio.DatagramProtocol):
    """A socket that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data, _address):
        self.heard.append(data)


def test_who_did_not_prove_its_address_gets_no_neighbors_and_no_record():
    async def story():
        ours = Discovery(key(1), own_node(key(1), HOST, 0))
        await ours.start()
        loop = asyncio.get_running_loop()
        socket, ear = await loop.create_datagram_endpoint(Ear, (HOST, 0))
        where = (HOST, ours.node.udp)
        socket.sendto(pack(key(2), FIND, [node(3).key, expires()]), where)
        socket.sendto(pack(key(2), 5, [expires()]), where)
        while ours.counts["unproven"] < 2:
            await asyncio.sleep(0.01)
        socket.sendto(pack(key(2), PING, [VERSION, endpoint(node(2)), endpoint(ours.node), expires() - 100, 1]), where)
        while not ours.counts["expired"]:
            await asyncio.sleep(0.01)
        assert not ear.heard
        ping = pack(key(2), PING, [VERSION, endpoint(node(2)), endpoint(ours.node), expires(), 1])
        socket.sendto(ping, where)
        while len(ear.heard) < 2:
            await asyncio.sleep(0.01)
        pong, back = (unpack(each) for each in ear.heard)
        assert (pong[1], back[1]) == (PONG, PING) and pong[2][1] == ping[:32]
        ours.stop()
        socket.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_nodes_find_each_other_and_a_crawl_finds_all(monkeypatch):
    monkeypatch.setattr(discovery, "ANSWER_S", 5.0)  # loopback loses nothing, and a loaded machine is late

    async def story():
        nodes = []
        for n in range(1, NEIGHBORS_EACH):  # whoever knows more tells of them in two packets
            one = Discovery(key(n), own_node(key(n), HOST, 0), [nodes[0].node] if nodes else [])
            await one.start()
            nodes.append(one)
            if len(nodes) > 1:
                await one.join()
        crawler = Discovery(key(99), own_node(key(99), HOST, 0), [nodes[3].node])
        await crawler.start()
        found: dict = {}
        for _ in range(5):  # a loaded machine loses answers
            found |= await crawler.crawl(30)
            if len(found) == len(nodes):
                break
        assert set(found) == {one.node.key for one in nodes}
        record = None
        while record is None:
            record = await crawler.ask_record(nodes[5].node)
        assert record.node == nodes[5].node
        for one in (*nodes, crawler):
            one.stop()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


# The table


def test_a_full_bucket_keeps_whom_it_knows_and_a_replacement_follows_who_goes():
    table = Table(node(1).id)
    far = [each for each in (node(n) for n in range(2, 200)) if table._at(each.id) == 16]
    for each in far[:SIZE]:
        assert table.add(each, 1.0)
    assert not table.add(far[SIZE], 2.0) and len(table) == SIZE
    for _ in range(FAILS):
        table.failed(far[0].id, 3.0)
    assert table.get(far[0].id) is None and table.get(far[SIZE].id) is not None


def test_one_network_has_two_nodes_in_a_bucket_and_ten_in_the_table():
    table = Table(node(1).id)
    added = [table.add(node(n, f"8.8.8.{n % 250}"), 1.0) for n in range(2, 300)]
    assert sum(added) == len(table) <= TABLE_NET
    per_bucket: dict[int, int] = {}
    for entry in table:
        per_bucket[table._at(entry.id)] = per_bucket.get(table._at(entry.id), 0) + 1
    assert max(per_bucket.values()) <= BUCKET_NET


def test_the_closest_are_those_that_a_sort_of_all_finds():
    table = Table(node(1).id)
    for n in range(2, 100):
        table.add(node(n), 1.0)
    goal = keccak256(b"goal")
    ids = sorted(int.from_bytes(entry.id, "big") ^ int.from_bytes(goal, "big") for entry in table)[:SIZE]
    assert [int.from_bytes(each.id, "big") ^ int.from_bytes(goal, "big") for each in table.closest(goal)] == ids


# RLPx


def connected() -> tuple[Rlpx, Rlpx]:
    one = Rlpx(key(1), node(2).key)
    other = Rlpx(key(2))
    other.receive(bytes(one.out))
    one.receive(bytes(other.out))
    one.out.clear()
    other.out.clear()
    return one, other


def test_both_agree_and_frames_arrive_in_any_pieces():
    one, other = connected()
    assert one.is_ready and other.is_ready and other.remote == node(1).key
    for size in (1, 16, 17, 5000):
        one.send(bytes(size))
    data = bytes(one.out)
    frames = [frame for i in range(0, len(data), 7) for frame in other.receive(data[i : i + 7])]
    assert [len(frame) for frame in frames] == [1, 16, 17, 5000]


@pytest.mark.parametrize("where", [0, 20, 33, -1])
def test_a_changed_frame_ends_the_connection(where):
    one, other = connected()
    one.send(b"hello")
    one.out[where] ^= 1
    with pytest.raises(Malformed):
        other.receive(bytes(one.out))


def test_a_handshake_for_another_key_garbage_and_a_huge_one_are_refused():
    for data in (bytes(Rlpx(key(1), node(3).key).out), b"\x01\x00" + bytes(256), b"\xff\xff" + bytes(100)):
        with pytest.raises(Malformed):
            Rlpx(key(2)).receive(data)


# Messages


def test_hello_and_status_come_back():
    hello = Hello("picoswarm", [("eth", 68), ("eth", 69), ("snap", 1)], 0, node(1).key)
    assert Hello.decode(hello.encode()) == hello and hello.version() == 69
    for version in (68, 69):
        status = Status(version, 1337, bytes(32), (b"abcd", 0), b"h" * 32, 7 if version == 69 else 0)
        assert Status.decode(status.encode(), version) == status


def test_a_goodbye_is_understood_compressed_plain_and_bare():
    for body in (rlp.encode([4]), rlp.encode(4)):
        assert messages.reason_of(messages.unpack(messages.pack(1, body), True)[1]) == 4
        assert messages.reason_of(messages.unpack(b"\1" + body, True)[1]) == 4


def test_a_message_that_unpacks_to_too_much_is_refused_before_it_is_unpacked():
    bomb = b"\x02" + bytes.fromhex("80808010") + bytes(20)  # says 32 MiB
    with pytest.raises(Malformed, match="too long"):
        messages.unpack(bomb, True)


@given(st.binary(max_size=300))
def test_any_message_is_understood_or_malformed(data):
    readers = (Hello.decode, messages.answer, messages.transaction_item, lambda each: Status.decode(each, 68))
    for read in (*readers, lambda each: messages.unpack(each, True), messages.reason_of):
        with suppress(Malformed):
            read(data)


# The head


def header(number: int, parent: bytes, salt: int = 0) -> list:
    roots = [bytes(32)] * 3
    return [parent, b"", b"", *roots, b"", 0, rlp.number(number), 0, 0, rlp.number(number + 1), salt, b"", b""]


class Told:
    """A peer with a chain."""

    def __init__(self, chain: list[list]) -> None:
        self.chain = chain
        self.number = len(chain) - 1
        self.head = keccak256(rlp.encode(chain[-1]))

    async def ask(self, _kind, what):
        return [rlp.decode(rlp.encode(each)) for each in self.chain[what[0] : what[0] + what[1]]]


def chain_of(count: int, base: list[list] = (), salt: int = 0) -> list[list]:
    chain = list(base)
    while len(chain) < count:
        parent = keccak256(rlp.encode(chain[-1])) if chain else bytes(32)
        chain.append(header(len(chain), parent, salt))
    return chain


def test_the_head_follows_the_peer_and_changes_to_its_branch():
    async def story():
        seen: list[tuple[int, int]] = []
        follower = Follower(lambda head, since: seen.append((head.number, since)))
        first = chain_of(10)
        peer = Told(first)
        await follower.ask(peer)
        peer.chain = chain_of(20, first)
        while await follower.ask(peer):
            pass
        assert follower.head.number == 19
        peer.chain = chain_of(25, first[:10], salt=1)
        while await follower.ask(peer):
            pass
        assert (
            follower.head.number == 24
            and follower.headers[12].hash == Header.read(rlp.decode(rlp.encode(peer.chain[12]))).hash
        )
        assert follower.counts["changed"] == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_headers_that_are_no_chain_are_refused():
    async def story():
        follower = Follower(lambda head, since: None)
        chain = chain_of(10)
        await follower.ask(Told(chain[:5]))
        with pytest.raises(Malformed):
            await follower.ask(Told([*chain[:7], chain[8], chain[9]]))

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


# What is too much


def test_a_message_of_very_many_items_is_refused_before_they_are_all_read():
    with pytest.raises(Malformed, match="too many items"):
        rlp.decode(rlp.encode([b"\1"] * (rlp.ITEMS + 1)))


def test_who_is_not_known_yet_may_not_announce_a_long_frame():
    one = Rlpx(key(1), public_bytes(key(2).public_key))
    other = Rlpx(key(2))
    other.longest = 4096
    other.receive(bytes(one.out))
    one.receive(bytes(other.out))
    one.out.clear()
    one.send(bytes(5000))
    with pytest.raises(Malformed, match="too long"):
        other.receive(bytes(one.out[:32]))


def test_a_message_that_unpacks_to_more_than_was_asked_for_is_refused():
    frame = messages.pack(messages.BODIES, bytes(messages.LONGEST + 1))
    assert messages.unpack(frame, True, messages.ANSWER_MAX)
    with pytest.raises(Malformed, match="too long"):
        messages.unpack(frame, True)


@pytest.mark.parametrize("more", [{"tcp": [b"\1"]}, {"udp": b"\1\2\3"}, {"ip6": [b"\1"] * 16}])
def test_a_record_with_an_address_that_cannot_be_is_refused(more):
    names = {name.encode(): value for name, value in more.items()}
    pairs = {b"id": b"v4", b"secp256k1": key(5).public_key.format(), **names}
    content = [b"\1", *(each for name in sorted(pairs) for each in (name, pairs[name]))]
    signature = key(5).sign_recoverable(keccak256(rlp.encode(content)), hasher=None)[:64]
    with pytest.raises(Malformed):
        read_record(rlp.encode([signature, *content]))


def test_a_name_cannot_write_into_the_log_or_the_terminal():
    hello = Hello("evil\x1b[2J\nline", [("eth", 68)], 0, node(1).key)
    assert Hello.decode(hello.encode()).client == "evil?[2J?line"


def test_a_flood_of_packets_is_not_looked_at():
    async def story():
        ours = Discovery(key(1), own_node(key(1), HOST, 0))
        for _ in range(5000):
            ours.datagram_received(b"x" * 200, (HOST, 1))
        assert ours.counts["flooded"] >= 1000 and ours.counts["dropped"] < 4500

    asyncio.run(story())
