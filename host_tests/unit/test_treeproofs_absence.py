"""Proofs of ICS-23 that a key is not there: those that its test data publish, made by the Go libraries of both trees, and
what is none."""

from binascii import unhexlify

from picoswarm.compat import sha256
from picoswarm.proofs import is_absence, is_known, keys_of, root
from picoswarm.protobuf import decode_fields, encode_fields, varint
from picoswarm.treeproofs import root_of

RUNTIMES = ("cpython", "micropython")

IAVL_LEFT = (
    b"ics23:iavl",
    unhexlify(
        b"1292040a04000000011a89040a143037716d4953765447687855656b624d69764e76121e76616c75655f666f725f3037716d49537654"
        b"47687855656b624d69764e761a0b0801180120012a03000202222b08011204020402201a212070816e5f4a9adfba29e8b997562fc558"
        b"234eec332473833ffb79334d8aea18d9222b08011204040802201a21201e2cc6227a41e0ecee802602fbcc52affb1e43aafdebed7fb3"
        b"e7a7d15550a600222b08011204060c02201a2120dcc5eb2e6d821b74b61352dda635efb261ad714a85065fff80df2306c8d71f7d222b"
        b"08011204081202201a2120133c8766e74d14fb335b5012041d861586905e0b2bd7951313d34dc0907fd65e222b080112040c3802201a"
        b"21209f1ca33c91f5d5c6b99dbfd742576f5f1b83fb01d29976b03126c0a895cac245222b080112040e7202201a21209c70775d39253c"
        b"1acfb26a850ef71330675773a2995cb5c6577ecb5fa127fedb222c08011205128e0202201a21204683caa58226dae3cd2645a027ea77"
        b"6437ec684a25dccce06458b52f93206ab4222c0801120514e80402201a212065858d65c8d6bcb67196333f91863e93f4363fe214638c"
        b"576afa8995a288b5c7222c0801120516800902201a2120ee7c4502ea7f283583e3e9c4cae4ee75c35e30b56f10aa235cec940c90b6a5"
        b"45222c0801120518da0c02201a2120452eb300e7ca64587be02ba982b9b1d9e936804e805b1c1b61f97b349e79d478"
    ),
    unhexlify(b"00000001"),
    unhexlify(b"455153ed2bcdd96de87a7105119f4025ca720555f364af7d5e48aae048cf054e"),
)
IAVL_MIDDLE = (
    b"ics23:iavl",
    unhexlify(
        b"12eb070a146a4741645a757077494e714a3534507a4764ffff12d0030a146a4741645a757077494e714a3534507a47644872121e7661"
        b"6c75655f666f725f6a4741645a757077494e714a3534507a476448721a0b0801180120012a030002022229080112250406022091215e"
        b"d62d8407853f476e122569bbf96ae3ab0f06b446d7198277d2a832cbb720222908011225060a02202aaddc8b32ce91d382c332b50071"
        b"be9cc7f91d0728d5e9cd573ce974caca7d3a20222b08011204081a02201a2120500dad435aa1a3d3636b5dddbe4f3a22116d9ce33f3b"
        b"3282d0b7d21a003d423c2229080112250a2c0220fef90250d29f80a9a95af8af3c1f4658f3de65188b87047c32d4979500621b192022"
        b"2b080112040e7202201a21206b589b1f3500370ed450b13f6db71d3273f510a4651191e2bb98124ebec85e24222a0801122610c40102"
        b"2004ba8413104cc5a48201fb14f400c2d9e6899abd2702018335f4d9f454724e0220222a0801122612da02022003f3510245d88dd86e"
        b"2957aa3fc96fe61ff1719b802facf5ed340966be42f33920222c0801120514ca0402201a2120c44e20433b25fd83ec6757083ecf6ebd"
        b"4796268ed0732056ab6a3d160e97483f222a0801122616e60a02205e14fc09624f31aaece0f062b5e16feb32cb4bf913ae6062852f27"
        b"9057090896201aff030a146a4f3559356a324544354d6e446c4871446b7775121e76616c75655f666f725f6a4f3559356a324544354d"
        b"6e446c4871446b77751a0b0801180120012a03000202222b08011204020402201a21209c89f42397ba12d9a97026547dbf686696fcd9"
        b"0cca3843835de6ea7ab38ef2c1222b08011204040802201a2120d5f0ef78af12da2be87f3590c9425e810e3f23d0451ef91b3114028f"
        b"9c25e07e222b08011204061002201a2120abb1ef0ab102e07aa96aa8f8a4050636cfe5e253e0e0e77dfe9c0675d6b55ce52229080112"
        b"25081a022022511d952d965f2739b5b9dcfa6d964d0b77e13b8ac489d13372b73f87ef8ce7202229080112250a2c0220fef90250d29f"
        b"80a9a95af8af3c1f4658f3de65188b87047c32d4979500621b1920222b080112040e7202201a21206b589b1f3500370ed450b13f6db7"
        b"1d3273f510a4651191e2bb98124ebec85e24222a0801122610c401022004ba8413104cc5a48201fb14f400c2d9e6899abd2702018335"
        b"f4d9f454724e0220222a0801122612da02022003f3510245d88dd86e2957aa3fc96fe61ff1719b802facf5ed340966be42f33920222c"
        b"0801120514ca0402201a2120c44e20433b25fd83ec6757083ecf6ebd4796268ed0732056ab6a3d160e97483f222a0801122616e60a02"
        b"205e14fc09624f31aaece0f062b5e16feb32cb4bf913ae6062852f27905709089620"
    ),
    unhexlify(b"6a4741645a757077494e714a3534507a4764ffff"),
    unhexlify(b"b707740dc2f75381c4c8e97a743f5a9848ff38a471018fef2851d59aae059dfa"),
)
IAVL_RIGHT = (
    b"ics23:iavl",
    unhexlify(
        b"12d6040a04ffffffff12cd040a147a7a7149637259446f70766e7a71504a79755a6f121e76616c75655f666f725f7a7a714963725944"
        b"6f70766e7a71504a79755a6f1a0b0801180120012a030002022229080112250204022081435c94d234d22341c3d1e9da371bcce7aff2"
        b"ee1aa92023fe14f0822051b895202229080112250406022012872bc098a6ab4554579cab54703137b9bbb964cc83b059f3fbca6dc8de"
        b"bab820222908011225060c02209cea7e3eb06f35a6595d4f61e8ca235ed0c514c47c8a4dd0b3a4246f8bb6b353202229080112250816"
        b"0220030a6304850f9a70d96f7f721ffc35f773a77b2a5a022366b4a0aa16b57772c0202229080112250a3002208dbdcf1558ab10c2a9"
        b"4c976cd3cf1146b4118b8dff3ea5a369d59b484504315b202229080112250c5402201dd8bff9bab4fc6e7bfca6d609148d17be744154"
        b"9ef8ea0393b4ea03b987a46420222a080112260ea6010220bee209c60e2c628598372fd228cf940ca640d74e345f36ab46839b7b46b6"
        b"668420222a080112261086020220e401a0196934b3bee3cd7b63d15e1b52a51efdc4255cfb4fc82cb819180c3c9520222a0801122612"
        b"de03022064f43952d0d4b6b6b0d41cf44afa12e521dcfbb5beb3a228f803762779c5e71520222a080112261496070220400ea7940c9c"
        b"639f83478cdb68c8a01743a34447c3dccaf8ee02cfc5a37025c020222a0801122618900f0220b78678d923540c0be0d2603450d719f5"
        b"9f5e400464dd4b140e557eb755d8557220222a080112261afe170220334749245dda3385a8368b09db0cb878cb077a97519983a98342"
        b"ea30e893850120"
    ),
    unhexlify(b"ffffffff"),
    unhexlify(b"18c8722ce7e9f7a487110ff501ffcb745be5ecb3c9615fe53cfca8b29bdbe549"),
)
SIMPLE_LEFT = (
    b"ics23:simple",
    unhexlify(
        b"12e4030a04010101011adb030a143032615465366472483456706f4f583245507137121e76616c75655f666f725f3032615465366472"
        b"483456706f4f5832455071371a090801180120012a0100222708011201011a20b843481496dc10561056b63ec8f726f3357395b61035"
        b"5b25082f5768b2073e91222708011201011a20d5281fdd872060e89173d4de1100fa6c96f778467df66abb10cf3b1f5821f182222708"
        b"011201011a20eb981020433d929c6275ad772accf2e6aa916db97e31d2f26d0b6b07b444bbef222708011201011a204a40e813132aff"
        b"60b64ba9d109548ab39459ad48a203ab8d3455dd842a7ab1da222708011201011a208f354a84ce1476e0b9cca92e65301a6435b1f242"
        b"c2f53f943b764a4f326a71c7222708011201011a20ac6451617a6406005035dddad36657fde5312cc4d67d69ca1464611847c10cfb22"
        b"2708011201011a2023c1d1dd62002a0e2efcc679196589a4337234dcd209cb449cc3ac10773b60e0222708011201011a203b11c26732"
        b"8ba761ddc630dd5ef7642aeda05f180539fe93c0ca57729705bc46222708011201011a205ff2e1933be704539463c264b157ff2b8d99"
        b"60813bd36c69c5208d57e3b1e07e222708011201011a20c4a79e6c0cbf60fb8e5bf940db4c444b7e442951b69c840db38cf28c8aa008"
        b"be"
    ),
    unhexlify(b"01010101"),
    unhexlify(b"4e2e78d2da505b7d0b00fda55a4b048eed9a23a7f7fc3d801f20ce4851b442aa"),
)
SIMPLE_MIDDLE = (
    b"ics23:simple",
    unhexlify(
        b"12c0070a14544f31483668784a4b667136547a56767649ffff12cf030a14544f31483668784a4b667136547a567676497747121e7661"
        b"6c75655f666f725f544f31483668784a4b667136547a5676764977471a090801180120012a01002225080112210143e19cb5e5dab017"
        b"734caa78a2e2bccbb4797b7dc5a91abeab630c66fa6b162522250801122101b575404a1bb42b0fef8ae7f217af88aec769f7d66b5bc4"
        b"b2913e74d651365473222508011221017c22dc50e866f9a1dce517ea01621161cecd70f4bdcd024b5a392746a1c8dc26222508011221"
        b"01578105344f2c98c323ba0b8ca31e75aaa2b865cc389681e300b14d1c20713796222708011201011a20895c070c14546ecef7f5cb3a"
        b"4bda1fd436a0ff99190f90bd037cbeaf52b2ffc1222708011201011a20f7571fca06ac4387c3eae5469c152427b797abb55fa98727ea"
        b"cbd5c1c91b5fb4222508011221015056e6472f8e5c5c9b8881c5f0e49601e9eca31f3e1766aa69c2dc9c6d9112be222708011201011a"
        b"206c74439556c5edb5aa693af410d3718dbb613d37799f2f4e8ff304a8bfe3351b22250801122101253014334c7b8cd78436979554f7"
        b"890f3dc1c971925ea31b48fc729cd179c701222708011201011a20b81c19ad4b5d8d15f716b91519bf7ad3d6e2289f9061fd2592a843"
        b"1ea97806fe1ad5030a14544f433344683150664f76657538585166635778121e76616c75655f666f725f544f433344683150664f7665"
        b"75385851666357781a090801180120012a0100222708011201011a20415d4cfaed0bfc98ac32acc219a8517bfa1983a15cc742e8b2f8"
        b"60167484bd46222708011201011a2098d853d9cc0ee1d2162527f660f2b90ab55b13e5534f1b7753ec481d7901d3ec22270801120101"
        b"1a20b5113e6000c5411b7cfa6fd09b6752a43de0fcd3951ed3b154d162deb53224a2222708011201011a208ce18cd72cc83511cb8ff7"
        b"06433f2fa4208c85b9f4c8d0ed71a614f24b89ae6c22250801122101c611244fe6b5fda4257615902eb24c14efcd9708c7c875d1ac5e"
        b"867767aa1eab222708011201011a20f7571fca06ac4387c3eae5469c152427b797abb55fa98727eacbd5c1c91b5fb422250801122101"
        b"5056e6472f8e5c5c9b8881c5f0e49601e9eca31f3e1766aa69c2dc9c6d9112be222708011201011a206c74439556c5edb5aa693af410"
        b"d3718dbb613d37799f2f4e8ff304a8bfe3351b22250801122101253014334c7b8cd78436979554f7890f3dc1c971925ea31b48fc729c"
        b"d179c701222708011201011a20b81c19ad4b5d8d15f716b91519bf7ad3d6e2289f9061fd2592a8431ea97806fe"
    ),
    unhexlify(b"544f31483668784a4b667136547a56767649ffff"),
    unhexlify(b"4bf28d948566078c5ebfa86db7471c1541eab834f539037075b9f9e3b1c72cfc"),
)
SIMPLE_RIGHT = (
    b"ics23:simple",
    unhexlify(
        b"12a9030a04ffffffff12a0030a147a774e4d4a456f7932674253586277666e63504a121e76616c75655f666f725f7a774e4d4a456f79"
        b"32674253586277666e63504a1a090801180120012a01002225080112210178a215355c17371583418df95773476b347a853f6eae3176"
        b"77721e0c24e78ad2222508011221015e2cf893e7cd70251eb4debd855c8c9a92f6e0a1fd931cf41e0575846ab174e822250801122101"
        b"414bae883f8133f0201a2791dafeaef3daa24a6631b3f9402de3a4dc658fd035222508011221012e2829beee266a814af4db08046f45"
        b"75b011e5ec9d2d93c1510c3cc7d8219edc22250801122101f8286597078491ae0ef61264c218c6e167e4e03f1de47945d9ba75bb41de"
        b"b81a22250801122101dea6a53098d11ce2138cbcae26b392959f05d7e1e24b9547584571012280f289222508011221010a8e535094d1"
        b"8b2120c38454b445d9accf3f1b255690e6f3d48164ae73b4c775222508011221012cbb518f52ec1f8e26dd36587f29a6890a11c0dd3f"
        b"94e7a28546e695f296d3a722250801122101839d9ddd9dadf41c0ecfc3f7e20f57833b8fb5bcb703bef4f97910bbe5b579b9"
    ),
    unhexlify(b"ffffffff"),
    unhexlify(b"83952b0b17e64c862628bcc1277e7f8847589af794ed5a855339281d395ec04f"),
)
PUBLISHED = (IAVL_LEFT, IAVL_MIDDLE, IAVL_RIGHT, SIMPLE_LEFT, SIMPLE_MIDDLE, SIMPLE_RIGHT)
LEAF = encode_fields([(1, 1), (3, 1), (4, 1), (5, b"\0")])


def sized(data):
    return varint(len(data)) + data


def tree(keys):
    """(root, the way up from each leaf as pairs) of a simple tree, by its definition."""
    if len(keys) == 1:
        return sha256(b"\0" + sized(keys[0]) + sized(sha256(b"of " + keys[0]).digest())).digest(), [[]]
    half = 1
    while half * 2 < len(keys):
        half *= 2
    left, left_ways = tree(keys[:half])
    right, right_ways = tree(keys[half:])
    ways = [way + [(b"\1", right)] for way in left_ways] + [way + [(b"\1" + left, b"")] for way in right_ways]
    return sha256(b"\1" + left + right).digest(), ways


def way(key, steps):
    steps = [(4, encode_fields([(1, 1), (2, before), (3, after)])) for before, after in steps]
    return encode_fields([(1, key), (2, b"of " + key), (3, LEAF)] + steps)


def gap(key, left, right):
    return encode_fields([(2, encode_fields([(1, key), (2, left), (3, right)]))])


def keys_and_ways(n):
    """Keys "b", "d", ... of a tree, its root and a proof of each."""
    keys = [bytes((0x62 + 2 * i,)) for i in range(n)]
    top, ways = tree(keys)
    return keys, top, [way(keys[i], ways[i]) for i in range(n)]


def absent(key, left, right, kind=b"ics23:simple"):
    return root_of(kind, gap(key, left, right), key, b"")


def test_the_published_proofs_lead_to_their_roots():
    for kind, data, key, top in PUBLISHED:
        assert root_of(kind, data, key, b"") == top


def test_a_key_that_is_there_is_not_absent():
    for kind, data, _, _ in PUBLISHED:
        for number, neighbor in decode_fields(dict(decode_fields(data))[2]):
            if number in (2, 3):
                there = dict(decode_fields(neighbor))[1]
                assert root_of(kind, data, there, b"") is None


def test_the_proof_is_of_no_other_tree_and_of_no_value():
    for kind, data, key, _ in PUBLISHED:
        other = b"ics23:simple" if kind == b"ics23:iavl" else b"ics23:iavl"
        assert root_of(other, data, key, b"") is None
        assert root_of(kind, data, key, b"x") is None
        assert root_of(kind, data, b"", b"") is None


def test_every_gap_of_a_tree_is_proven_and_no_gap_is_wider_than_its_neighbors():
    for n in (1, 2, 3, 5, 8, 9):
        keys, top, ways = keys_and_ways(n)
        for i in range(n + 1):  # what would stand before the key i
            key = bytes((0x61 + 2 * i,))
            left = ways[i - 1] if i else None
            right = ways[i] if i < n else None
            assert absent(key, left, right) == top
            for j in range(n):  # another neighbor, on either side
                if j != i - 1:
                    assert absent(key, ways[j], right) is None
                if j != i:
                    assert absent(key, left, ways[j]) is None


def test_one_neighbor_is_enough_only_at_the_ends():
    keys, top, ways = keys_and_ways(5)
    assert absent(b"a", None, ways[0]) == top and absent(b"z", ways[4], None) == top
    for i in range(1, 5):
        assert absent(b"a", None, ways[i]) is None
        assert absent(b"z", ways[i - 1], None) is None
    assert absent(b"a", None, None) is None


def test_neighbors_of_two_trees_prove_nothing():
    _, _, ways = keys_and_ways(4)
    _, _, others = keys_and_ways(5)
    assert absent(b"c", ways[0], others[1]) is None
    assert absent(b"c", ways[0], ways[1]) is not None
    _, ways = tree([b"b", b"d"])
    _, others = tree([b"a", b"d"])
    assert absent(b"c", way(b"b", ways[0]), way(b"d", others[1])) is None


def test_neighbors_in_the_wrong_order_and_empty_ones_prove_nothing():
    _, ways = tree([b"d", b"b"])  # no such tree is one of an honest application
    assert absent(b"c", way(b"b", ways[1]), way(b"d", ways[0])) is None
    for neighbor in ([(1, b""), (2, b"x"), (3, LEAF)], [(1, b"a"), (2, b""), (3, LEAF)], [(1, b"a"), (2, b"x")]):
        assert absent(b"c", encode_fields(neighbor), None) is None


def test_no_changed_byte_of_a_published_proof_proves_anything_else():
    for kind, data, key, top in (IAVL_LEFT, SIMPLE_RIGHT):
        for i in range(data.find(key) + len(key), len(data)):  # that it names the key is no part of what it shows
            changed = bytearray(data)
            changed[i] ^= 1
            assert root_of(kind, bytes(changed), key, b"") != top, i


def test_a_store_without_a_key_is_proven_by_two_operations():
    kind, data, key, store = IAVL_MIDDLE
    exists = encode_fields([(1, encode_fields([(1, b"bank"), (2, store), (3, LEAF)]))])
    both = encode_fields(
        [
            (1, encode_fields([(1, kind), (2, key), (3, data)])),
            (1, encode_fields([(1, b"ics23:simple"), (2, b"bank"), (3, exists)])),
        ]
    )
    top = sha256(b"\0\4bank\x20" + sha256(store).digest()).digest()
    assert is_known(both) and is_absence(both, b"") and not is_absence(both, b"x")
    assert root(both, keys_of("/store/bank/key", key), b"") == top
    assert root(both, keys_of("/store/gov/key", key), b"") is None
    assert root(both, keys_of("/store/bank/key", key), b"x") is None
    empty = encode_fields([(1, encode_fields([(1, b"simple:v"), (2, key), (3, b"")]))])
    assert not is_absence(empty, b"") and not is_absence(b"", b"")


def test_any_bytes_are_no_proof():
    for kind, data, key, _ in (IAVL_LEFT, SIMPLE_RIGHT):
        for n in range(0, len(data), 3):
            assert root_of(kind, data[:n], key, b"") is None
        for i in range(32):
            noise = sha256(bytes((i,))).digest() * 2
            assert root_of(kind, noise, key, b"") is None
            assert root_of(kind, encode_fields([(2, noise)]), key, b"") is None
            assert root_of(kind, gap(key, noise, None), key, b"") is None
        assert root_of(kind, encode_fields([(2, 5)]), key, b"") is None
        assert root_of(kind, encode_fields([(2, encode_fields([(2, 5)]))]), key, b"") is None
