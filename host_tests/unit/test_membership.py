"""Network keys: what is derived, how epochs follow each other, which keys are held."""

from picoswarm.aead import equal
from picoswarm.crypto import hkdf
from picoswarm.errors import LocalError, Malformed
from picoswarm.membership import Membership, NetworkKey, is_higher
from support import raises

RUNTIMES = ("cpython", "micropython", "board")

N = bytes(range(32))


def key(epoch, seed=0):
    """A NetworkKey of its own for each (epoch, seed)."""
    return NetworkKey(hkdf(bytes((epoch, seed)), b"test key"), epoch)


def test_keys_are_derived_as_the_protocol_says():
    network_key = NetworkKey(N, 3)
    datagram = hkdf(N, b"picoswarm datagram v1", 64)
    assert network_key.mac.digest(b"message") == _hmac(datagram[:32], bytes((0x10 | network_key.epoch,)) + b"message")
    assert _keystream(network_key.stream) == _keystream_of(datagram[32:])
    assert network_key.label == hkdf(N, b"picoswarm label v1", 8)
    assert network_key.psk == hkdf(N, b"picoswarm session v1", 32)
    assert (network_key.key, network_key.epoch) == (N, 3)


def _hmac(key32, message):
    from picoswarm.crypto import Hmac

    return Hmac(key32).digest(message)


def _keystream(stream):
    buf = bytearray(64)
    stream.xor(bytes(12), 0, 0, buf, 0, 64)
    return buf


def _keystream_of(key32):
    from picoswarm.crypto import ChaCha20

    return _keystream(ChaCha20(key32))


def test_every_derived_key_differs_from_every_other():
    k = NetworkKey(N, 0)
    parts = [k.key, k.psk, k.label, k.mac.digest(b""), bytes(_keystream(k.stream)), k.fingerprint()]
    assert len(set(parts)) == len(parts)


def test_wrong_sizes_epochs_and_blank_keys_are_refused():
    for size in (0, 31, 33, 64):
        raises(LocalError, NetworkKey, bytes(range(size)), 0)
    for epoch in (-1, 16, 255):
        raises(LocalError, NetworkKey, N, epoch)
    for blank in (bytes(32), b"\xff" * 32):
        raises(LocalError, NetworkKey, blank, 0)


def test_the_fingerprint_names_the_key_and_hides_it():
    a, b = key(0), key(1)
    assert a.fingerprint() == NetworkKey(a.key, 9).fingerprint() != b.fingerprint()
    assert len(a.fingerprint()) == 9 and a.fingerprint()[4] == "-"
    assert not equal(a.key[:4], hkdf(a.key, b"picoswarm fingerprint v1", 4))


def test_serial_order_modulo_16():
    for a in range(16):
        assert not is_higher(a, a)
        assert not is_higher(a, (a + 8) % 16) and not is_higher((a + 8) % 16, a)
        for step in range(1, 8):
            assert is_higher((a + step) % 16, a)
            assert not is_higher(a, (a + step) % 16)


def test_a_newer_key_becomes_the_highest_and_the_oldest_goes():
    m = Membership(key(0))
    for step in range(1, 40):  # twice around
        epoch = step % 16
        assert m.add(key(epoch))
        assert (m.highest.epoch, m.lower.epoch) == (epoch, (step - 1) % 16)
        assert m.find((step - 2) % 16) is None
        assert m.find(epoch) is m.highest and m.find((step - 1) % 16) is m.lower


def test_keys_may_come_in_any_order():
    for pair in ((key(15), key(0)), (key(0), key(15))):
        m = Membership(*pair)
        assert (m.highest.epoch, m.lower.epoch) == (0, 15)


def test_an_older_key_is_kept_only_between_the_two():
    m = Membership(key(5), key(2))
    assert not m.add(key(1))
    assert m.add(key(4))
    assert (m.highest.epoch, m.lower.epoch) == (5, 4)
    assert not m.add(key(2))


def test_a_second_key_of_a_held_epoch_is_refused():
    m = Membership(key(5), key(6))
    assert not m.add(key(5)) and not m.add(key(6))
    raises(LocalError, m.add, key(5, seed=1))
    raises(LocalError, m.add, key(6, seed=1))
    assert m.find(5).key == key(5).key and m.find(6).key == key(6).key


def test_an_epoch_without_an_order_is_refused():
    m = Membership(key(5))
    raises(LocalError, m.add, key(13))
    assert m.highest.epoch == 5 and m.lower is None


def test_none_or_three_keys_are_refused():
    raises(LocalError, Membership)
    raises(LocalError, Membership, key(0), key(1), key(2))


def test_the_lower_key_goes_after_a_day_of_uptime():
    m = Membership(key(0))
    assert m.add(key(1), uptime_s=1000)
    assert not m.expire(1000) and not m.expire(1000 + 86399)
    assert m.lower is not None
    assert m.expire(1000 + 86400)
    assert m.lower is None and m.find(0) is None
    assert not m.expire(1000 + 86401)


def test_a_restart_begins_the_day_anew():
    m = Membership.decode(Membership(key(1), key(0)).encode())
    assert not m.expire(86399) and m.expire(86400)


def test_the_lower_key_goes_on_the_operators_word():
    m = Membership(key(1), key(0))
    assert m.drop_lower() and m.lower is None
    assert not m.drop_lower()
    assert m.highest.epoch == 1


def test_a_key_file_comes_back():
    for m in (Membership(key(7)), Membership(key(15), key(0))):
        again = Membership.decode(m.encode())
        assert again.encode() == m.encode()
        assert again.highest.psk == m.highest.psk
        assert (again.lower is None) == (m.lower is None)


def test_a_key_file_of_another_shape_is_malformed():
    one = Membership(key(7)).encode()
    two = Membership(key(8), key(7)).encode()
    swapped = two[33:] + two[:33]
    same = one + one
    apart = Membership(key(15)).encode() + one
    bad = (b"", one[:-1], one + b"\x00", two[:-1], two + one, swapped, same, apart, b"\x10" + one[1:], bytes(33))
    for payload in bad:
        raises(Malformed, Membership.decode, payload)


def test_no_text_shows_a_key():
    m = Membership(key(8), key(7))
    shown = [repr(m), str(m), repr(m.highest), str(m.highest), repr(m.highest.mac), repr(m.highest.stream)]
    shown.append(str(raises(LocalError, m.add, key(8, seed=1))))
    shown.append(str(raises(Malformed, Membership.decode, m.encode()[:-1])))
    text = " ".join(shown)
    for secret in (key(8).key, key(8, seed=1).key, key(8).psk):
        assert repr(secret)[2:-1] not in text and secret.hex()[:8] not in text
