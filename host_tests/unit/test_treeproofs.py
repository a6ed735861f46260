"""Proofs of ICS-23: those that its test data publish, and what is none."""

from binascii import unhexlify

from picoswarm.compat import sha256
from picoswarm.proofs import is_known, keys_of, root
from picoswarm.protobuf import varint
from picoswarm.treeproofs import root_of

RUNTIMES = ("cpython", "micropython")

IAVL_LEFT = (
    b"ics23:iavl",
    unhexlify(
        b"0a89040a143033763434454574647248423556417579715966121e76616c75655f666f725f303376343445457464724842355641757971"
        b"59661a0b0801180120012a03000202222b08011204040602201a2120afca3de8c7aefe1041f185a34e977a976b37d6ce4cce80e5e4545b"
        b"93413eca02222b08011204060c02201a21205e1712938d9dcef396a76bbd7ea844bcc7e72a64d416485ba14e8c679402dfc3222b080112"
        b"04081802201a2120c6a6430436f6e95ab0c90d7c3d32c7e62884a1e28e22da87f9e8c863782b7195222b080112040a2c02201a21201204"
        b"acd0c729844aa19ffa80cfdfcb931f1ea54167babe1872a2fdcdf520962a222b080112040c4402201a2120c21911260b253d74c89d95ec"
        b"7534b7499b98a8b7523857f7f31e6af723245b89222b080112040e6e02201a212045a06e0b8f7391f60a5f716eeef9eb01d8c588bbdbfb"
        b"4e6a67718e92ab3ed12d222c0801120512960202201a21209b77ab64f5b7c290b608533b70612d18a0d55ede4ccb2f9418b56aa17069e9"
        b"66222c0801120514e60302201a2120246dce928b807f040230219a808c049d7a172108db6b1c83c445c66373ea4cd9222c080112051680"
        b"0802201a2120ec794fb7e49d3d3554680ad0df7d1cc3797201fe33fc8288581f7ad32bb995c0222c0801120518b60f02201a21203b0542"
        b"8644520c7bae4be197ecb6de54a03a18a1ebd34836eea31fe593a6b6e0"
    ),
    unhexlify(b"3033763434454574647248423556417579715966"),
    unhexlify(b"76616c75655f666f725f3033763434454574647248423556417579715966"),
    unhexlify(b"77e43ef93047a91fe457f5498bd7afc60b9dddd661d8f1225e5f40a91bda4623"),
)
IAVL_RIGHT = (
    b"ics23:iavl",
    unhexlify(
        b"0acd040a147a77734b56614b6b485847436c795073686b3969121e76616c75655f666f725f7a77734b56614b6b485847436c795073686b"
        b"39691a0b0801180120012a0300020222290801122502040220a80964839e7d4f4ea955249109f96d6b18909a484d5908ef1795d52f1a71"
        b"b9f92022290801122504080220f316e66f51c941ed0d6ec7ef9f3f230353aeac1502e833ee49644a3766062a8520222908011225061002"
        b"20b9657b80ff141a29840b6d66726b81168401ca5c5e47f5506aadd3ba239d97a220222908011225081a0220102c2c767a05dbb21fe67a"
        b"529175934f951f0a8446e72bff5bc8b00d195c6a43202229080112250a3002207368a0f84b7d52725296277d1e372557884dcf9c479894"
        b"dad91e79668acfc65d202229080112250c5202208e823d5949da2f70d695f115d44a26b0a5f4fe9b15261216026442b2dd68943f20222a"
        b"080112260e9e0102203eb03a9dcd754a78ebd23f239699c3d7afef6ecd8ae73ae15967fdbb7242b48320222a0801122610f2010220d646"
        b"02759351774dab3624c47b5833dd85cc5b59a92c199ffd99e0d638ccb21520222a0801122612d603022054299ee0368a22e4f6cb1005b1"
        b"88f8595e4cdec5382f34e316510d685df9fc7b20222a0801122614da0502209b54b6b19b6756a88140298a7b60c0449e013c7762ca26c6"
        b"c7fcda1c7acf8e3b20222a0801122616c20a0220affb7724162f85be6e8735e8498d8467de4beaf0972162b4dc1ca1ecc89e0cc020222a"
        b"0801122618da130220d1dcc3ed25046b94c128ff3c7d31f9c112b679411dbb8cc4acbfc872f873d00620"
    ),
    unhexlify(b"7a77734b56614b6b485847436c795073686b3969"),
    unhexlify(b"76616c75655f666f725f7a77734b56614b6b485847436c795073686b3969"),
    unhexlify(b"3c58f3ce248859b07e2984a4fc95f28ee9ca31729f36d5d248ce806babd27c39"),
)
SIMPLE_MIDDLE = (
    b"ics23:simple",
    unhexlify(
        b"0ad1030a14513334656d766f39447145585735325257523835121e76616c75655f666f725f513334656d766f3944714558573532525752"
        b"38351a090801180120012a010022250801122101e231d775380f2d663651e213cc726660e2ce0a2f2e9ee12cbb7df32294104a8c222708"
        b"011201011a2014af194c63500236e52cc290ab24244fab39a520ece7e20fa93f4c9ff80c6626222508011221017966d2ead34418db2eaa"
        b"04c0dffb9316805e8a0d421d1270c8954c35ee3221382225080112210172339e20a49bb16795a99bd905b47f99c45e5e5a9e6b7fb223dc"
        b"8fe6751e1bda222708011201011a2053dd1ecc25ff906a0ef4db37ee068f3d8ad6d1d49913eefb847a675a681c5ffa222708011201011a"
        b"20de90f9951a19497be7e389e02aa79e26faf77080e740e8743249a17a537f287d22250801122101ad4e53e981afc5a71e34ab0c4ffbcc"
        b"f1b468414d9d0939bd08edbd2461bc944a222708011201011a209b4cf89c3995b9dd66d58ab088846b2c6b59c52c6d10ec1d759ca9e9aa"
        b"5eef5c222508011221013928a078bd66ab3949f5b1846b6d354dbdc1968a416607c7d91555ca26716667222708011201011a20d2d82cf8"
        b"915b9ae6f92c7eae343e37d312ace05e654ce47acdf57d0a5490b873"
    ),
    unhexlify(b"513334656d766f39447145585735325257523835"),
    unhexlify(b"76616c75655f666f725f513334656d766f39447145585735325257523835"),
    unhexlify(b"494b16e3a64a85df143b2881bdd3ec94c3f8e18b343e8ff9c2d61afd05d040c8"),
)
PUBLISHED = (IAVL_LEFT, IAVL_RIGHT, SIMPLE_MIDDLE)


def field(number, value):
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def number(field, value):
    return bytes((field << 3,)) + varint(value)


def leaf(prefix, hash=1, of_key=0, of_value=1, length=1):
    return field(3, number(1, hash) + number(2, of_key) + number(3, of_value) + number(4, length) + field(5, prefix))


def step(before, after=b"", hash=1):
    return field(4, number(1, hash) + field(2, before) + field(3, after))


def proof(*parts):
    return field(1, field(1, b"key") + field(2, b"value") + b"".join(parts))


def hashed(prefix=b"\0"):
    return sha256(prefix + b"\3key\x20" + sha256(b"value").digest()).digest()


def test_the_published_proofs_lead_to_their_roots():
    for kind, data, key, value, top in PUBLISHED:
        assert root_of(kind, data, key, value) == top


def test_no_other_value_no_other_key_and_no_other_tree_is_proven():
    for kind, data, key, value, _ in PUBLISHED:
        other = b"ics23:simple" if kind == b"ics23:iavl" else b"ics23:iavl"
        assert root_of(kind, data, key, value + b"x") is None
        assert root_of(kind, data, key + b"x", value) is None
        assert root_of(kind, data, key, b"") is None and root_of(kind, data, b"", value) is None
        assert root_of(other, data, key, value) is None


def test_no_changed_byte_of_a_published_proof_proves_anything_else():
    kind, data, key, value, top = PUBLISHED[2]
    for i in range(len(data)):
        changed = bytearray(data)
        changed[i] ^= 1
        assert root_of(kind, bytes(changed), key, value) != top, i


def test_a_leaf_that_is_hashed_in_another_way_is_refused():
    assert root_of(b"ics23:simple", proof(leaf(b"\0")), b"key", b"value") == hashed()
    others = (leaf(b"\0", 2), leaf(b"\0", of_key=1), leaf(b"\0", of_value=0), leaf(b"\0", length=0), leaf(b""), leaf(b"\1"))
    for other in others:
        assert root_of(b"ics23:simple", proof(other), b"key", b"value") is None
    version = b"\0\2\4"
    assert root_of(b"ics23:iavl", proof(leaf(version)), b"key", b"value") == hashed(version)
    for other in (b"\0\2", b"\2\2\4", b"\0\4\4", b"\0\1\4", version + b"\0", b"\0\2\x80"):
        assert root_of(b"ics23:iavl", proof(leaf(other)), b"key", b"value") is None


def test_what_stands_around_a_child_is_only_what_a_tree_has_there():
    sibling = bytes(range(32))
    top = sha256(b"\1" + hashed() + sibling).digest()
    assert root_of(b"ics23:simple", proof(leaf(b"\0"), step(b"\1", sibling)), b"key", b"value") == top
    for before, after, hash in (
        (b"\0", sibling, 1),
        (b"", sibling, 1),
        (b"\1", b"", 1),
        (b"\1", sibling[:31], 1),
        (b"\1" + sibling, sibling, 1),
        (b"\1" + sibling + b"x", b"", 1),
        (b"\1", sibling, 0),
    ):
        assert root_of(b"ics23:simple", proof(leaf(b"\0"), step(before, after, hash)), b"key", b"value") is None
    version = b"\0\2\4"
    head = b"\2\4\4"
    for before, after, is_good in (
        (head + b"\x20", b"\x20" + sibling, True),
        (head + b"\x20" + sibling + b"\x20", b"", True),
        (b"\0\4\4\x20", b"\x20" + sibling, False),  # not higher than a leaf
        (head + b"\x20", sibling + b"\x20", False),
        (head, b"\x20" + sibling, False),
        (head + b"\x20" + sibling + b"\x20", b"\x20" + sibling, False),
    ):
        found = root_of(b"ics23:iavl", proof(leaf(version), step(before, after)), b"key", b"value")
        assert (found is not None) == is_good


def test_a_store_of_an_application_is_proven_by_two_operations():
    kind, data, key, value, store = PUBLISHED[0]
    exists = field(1, field(1, b"bank") + field(2, store) + leaf(b"\0"))
    both = field(1, field(1, kind) + field(2, key) + field(3, data))
    both += field(1, field(1, b"ics23:simple") + field(2, b"bank") + field(3, exists))
    top = sha256(b"\0\4bank\x20" + sha256(store).digest()).digest()
    assert is_known(both) and root(both, keys_of("/store/bank/key", key), value) == top
    assert root(both, keys_of("/store/gov/key", key), value) is None
    assert root(both, keys_of("/store/bank/key", key), value + b"x") is None


def test_any_bytes_are_no_proof():
    for kind, data, key, value, top in PUBLISHED[1:]:
        for n in range(0, len(data), 3):
            assert root_of(kind, data[:n], key, value) is None
        for i in range(32):
            noise = sha256(bytes((i,))).digest() * 2
            assert root_of(kind, noise, key, value) is None and root_of(kind, field(1, noise), key, value) is None
        assert root_of(kind, None, key, value) is None and root_of(kind, number(1, 5), key, value) is None
