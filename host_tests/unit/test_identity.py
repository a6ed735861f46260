"""The node key: which ids exist, how id and static key belong together, and that making one is a job of slices."""

from picoswarm.crypto import X25519, hkdf, run, u_from_id
from picoswarm.errors import EntropyError, LocalError, Malformed
from picoswarm.identity import check_id, is_valid_id, pair_key
from picoswarm.keymap import id_from_u
from picoswarm.nodekey import Create, Identity, is_valid_static, short
from support import raises, unhex

RUNTIMES = ("cpython", "micropython", "board")

# RFC 8032 section 7.1: seeds and public keys of TEST 1, TEST 3 (sign bit 0) and TEST SHA(abc) (sign bit 1).
SEED_A = unhex("9d61b19deffd5a60ba844af492ec2cc4 4449c5697b326919703bac031cae7f60")
ID_A = unhex("d75a980182b10ab7d54bfed3c964073a 0ee172f3daa62325af021a68f707511a")
SEED_B = unhex("c5aa8df43f9f837bedb7442f31dcb7b1 66d38535076f094b85ce3a2e0b4458f7")
ID_B = unhex("fc51cd8e6218a1a38da47ed00230f058 0816ed13ba3303ac5deb911548908025")
SEED_SIGNED = unhex("833fe62409237b9d62ec77587520911e 9a759cec1d19755b7da901b96dca3d42")
ID_SIGNED = unhex("ec172b93ad5e563bf4932c70e1245034 c35467ef2efd4d64ebf819683467e2bf")
# SHA-512(SEED_A)[0:32] clamped: what libsodium's ed25519_sk_to_curve25519 gives.
STATIC_A = unhex("307c83864f2833cb427a2ef1c00a013c fdff2768d980c0a3a520f006904de94f")

P = 2**255 - 19


class Pool:
    """Hands out the seeds it was given, in order; then its source fails."""

    def __init__(self, *seeds):
        self.seeds = list(seeds)

    def draw_key(self, n):
        if not self.seeds:
            raise EntropyError("the source failed")
        seed = self.seeds.pop(0)
        assert len(seed) == n
        return seed


def little(number):
    return number.to_bytes(32, "little")


def known(seed, id32):
    """An Identity whose static key is not derived but any: for what does not need it."""
    return Identity(seed, STATIC_A, id32)


def test_a_seed_gives_the_published_id_and_static_key():
    made = run(Create(Pool(SEED_A)))
    assert made.id == ID_A and made.seed == SEED_A and made.static_private == STATIC_A
    assert made.static_public == run(X25519(made.static_private))


def test_seeds_are_drawn_until_the_sign_bit_is_0():
    pool = Pool(SEED_SIGNED, SEED_B, SEED_A)
    made = run(Create(pool))
    assert made.id == ID_B and pool.seeds == [SEED_A]


def test_creation_stops_with_a_failed_source():
    raises(EntropyError, Create, Pool())
    job = Create(Pool(SEED_SIGNED))
    raises(EntropyError, run, job)
    assert job.result is None


def test_an_id_and_its_static_key_determine_each_other():
    for id32 in (ID_A, ID_B):
        u = u_from_id(id32)
        assert is_valid_id(id32) and is_valid_static(u)
        assert id_from_u(u) == id32


def test_ids_with_a_sign_bit_or_beyond_p_are_refused():
    assert not is_valid_id(ID_SIGNED)
    for number in (0, 2, 2**254, P - 2, P - 1):
        assert is_valid_id(little(number))
        assert not is_valid_id(little(number | 2**255))
    for number in (1, P, P + 1, 2**255 - 1, 2**255, 2**256 - 1):
        assert not is_valid_id(little(number))
    for size in (0, 8, 31, 33):
        assert not is_valid_id(bytes(size))


def test_static_keys_with_the_top_bit_or_beyond_p_are_refused():
    for number in (0, 1, 9, 2**254, P - 2):
        assert is_valid_static(little(number))
        assert not is_valid_static(little(number | 2**255))
    for number in (P - 1, P, P + 1, 2**255 - 1, 2**255, 2**256 - 1):
        assert not is_valid_static(little(number))
    for size in (0, 8, 31, 33):
        assert not is_valid_static(bytes(size))


def test_validity_agrees_with_the_maps():
    numbers = [0, 1, 2, 9, 2**254, P - 2, P - 1, P, P + 1, 2**255 - 1, 2**255 | 5]
    numbers += [int.from_bytes(hkdf(bytes((i,)), b"test id"), "little") for i in range(8)]
    for number in numbers:
        value = little(number)
        assert is_valid_id(value) == (u_from_id(value) is not None)
        assert is_valid_static(value) == (id_from_u(value) is not None)


def test_validity_takes_any_buffer():
    assert is_valid_id(bytearray(ID_A)) and is_valid_id(memoryview(bytearray(ID_A)))
    assert not is_valid_id(memoryview(bytearray(little(1))))
    assert not is_valid_static(memoryview(bytearray(little(P - 1))))


def test_what_a_user_calls_an_id_is_one_or_refused():
    for id32 in (ID_A, bytearray(ID_A), memoryview(ID_A)):
        assert check_id(id32) == ID_A and isinstance(check_id(id32), bytes)
    for no_id in (ID_A[:31], ID_A + b"x", "x" * 32, list(ID_A), None, 5, ""):
        raises(LocalError, check_id, no_id)


def test_a_pair_has_one_key_whichever_end_asks():
    shared = bytes(range(32))
    key = pair_key(shared, ID_A, ID_B)
    assert len(key) == 16 and key == pair_key(shared, ID_B, ID_A)
    assert key == hkdf(shared, b"picoswarm pair v1" + ID_A + ID_B, 16)
    assert ID_A < ID_B
    assert key == pair_key(shared, bytearray(ID_B), memoryview(ID_A))
    assert key != pair_key(shared, ID_A, ID_A) and key != pair_key(bytes(32), ID_A, ID_B)


def test_two_nodes_agree_on_their_pair_key():
    a, b = run(Create(Pool(SEED_A))), run(Create(Pool(SEED_B)))
    at_a = pair_key(run(X25519(a.static_private, b.static_public)), a.id, b.id)
    at_b = pair_key(run(X25519(b.static_private, a.static_public)), b.id, a.id)
    assert at_a == at_b


def test_an_id_is_named_by_its_first_bytes():
    assert short(ID_A) == "d75a9801"


def test_a_key_file_comes_back():
    a = known(SEED_A, ID_A)
    payload = a.encode()
    assert len(payload) == 96
    again = Identity.decode(payload)
    assert again.encode() == payload and again.static_public == a.static_public
    assert (again.id, again.seed, again.static_private) == (ID_A, SEED_A, STATIC_A)


def test_a_key_file_of_another_shape_is_malformed():
    payload = known(SEED_A, ID_A).encode()
    unclamped_low = payload[:32] + b"\x31" + payload[33:]
    unclamped_high = payload[:63] + b"\xcf" + payload[64:]
    signed = payload[:64] + ID_SIGNED
    for bad in (b"", payload[:-1], payload + b"\x00", unclamped_low, unclamped_high, signed, bytes(96)):
        raises(Malformed, Identity.decode, bad)


def test_an_identity_of_wrong_parts_is_refused():
    raises(LocalError, Identity, SEED_A[:-1], STATIC_A, ID_A)
    raises(LocalError, Identity, SEED_A, STATIC_A + b"\x00", ID_A)
    raises(LocalError, Identity, SEED_A, STATIC_A, ID_SIGNED)


def test_no_text_shows_a_secret():
    a = known(SEED_A, ID_A)
    job = Create(Pool(SEED_A))
    shown = [repr(a), str(a), repr(job), str(raises(Malformed, Identity.decode, a.encode()[:-1]))]
    shown.append(str(raises(Malformed, Identity.decode, a.encode()[:64] + ID_SIGNED)))
    text = " ".join(shown)
    for secret in (SEED_A, STATIC_A):
        assert secret.hex()[:8] not in text and repr(secret)[2:-1] not in text
