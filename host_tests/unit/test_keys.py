"""Keys at boot: read from either copy, made whole when one is lost, never replaced where they are damaged."""

from errno import EIO
from os import urandom

from flash_in_memory import MemoryFiles
from picoswarm.crypto import run
from picoswarm.errors import EntropyError, StoreError
from picoswarm.keys import LoadOrCreate, gather, load_identity, load_membership
from picoswarm.membership import Membership, NetworkKey
from picoswarm.saves import save
from picoswarm.slots import IDENTITY, NETWORK
from picoswarm.store import Store
from support import raises, unhex

# Seed, static private key and id of RFC 8032 section 7.1, TEST 1.
IDENTITY_A = unhex(
    "9d61b19deffd5a60ba844af492ec2cc4 4449c5697b326919703bac031cae7f60"
    "307c83864f2833cb427a2ef1c00a013c fdff2768d980c0a3a520f006904de94f"
    "d75a980182b10ab7d54bfed3c964073a 0ee172f3daa62325af021a68f707511a"
)


def boot(files, source=urandom):
    store = Store("", files)
    return run(LoadOrCreate(store, gather(store, source), source))


def booted():
    """The flash of a board that has its keys, and its Identity (RFC 8032 TEST 1)."""
    files = MemoryFiles()
    Store("", files).write(IDENTITY, IDENTITY_A)
    return files, boot(files)


def test_a_failed_source_does_not_keep_a_node_from_its_key():
    files, first = booted()
    assert boot(files, lambda n: bytes(n)).id == first.id


def test_a_pool_whose_source_failed_seeds_request_ids_but_makes_no_key():
    pool = gather(Store("", MemoryFiles()), lambda n: bytes(n))
    assert not pool.ready and len(pool.draw(32)) == 32
    raises(EntropyError, pool.draw_key)
    assert gather(Store("", MemoryFiles())).ready


def test_one_lost_copy_is_made_again():
    files, first = booted()
    for name in ("/identity.0", "/identity.1"):
        files.files[name] = b"rot"
        assert boot(files).id == first.id
        assert Store("", files).faults(IDENTITY) == []


def test_a_flash_that_takes_no_more_writes_still_gives_its_key():
    files, first = booted()
    files.files["/identity.1"] = b"rot"
    files.fault = EIO
    assert boot(files).id == first.id


def test_a_damaged_key_is_never_replaced_by_a_new_one():
    files, _ = booted()
    for name in files.files:
        files.files[name] = files.files[name][:-1]
    damaged = dict(files.files)
    message = str(raises(StoreError, boot, files))
    assert "identity.0" in message and "identity.1" in message
    assert files.files == damaged
    Store("", files).remove(IDENTITY)
    assert load_identity(Store("", files)) is None, "given up by hand: the next boot makes a new one"


def test_a_whole_file_that_holds_no_key_is_an_error():
    for kind, load in ((IDENTITY, load_identity), (NETWORK, load_membership)):
        store = Store("", MemoryFiles())
        store.write(kind, b"something else")
        assert kind.name in str(raises(StoreError, load, store))
        assert store.read(kind) == b"something else"


def test_network_keys_survive_a_boot():
    files = MemoryFiles()
    assert load_membership(Store("", files)) is None
    membership = Membership(NetworkKey(bytes(range(32)), 15), NetworkKey(bytes(range(1, 33)), 0))
    assert save(Store("", files), 0, membership)
    again = load_membership(Store("", files))
    assert (again.highest.epoch, again.lower.epoch) == (0, 15)
    again.drop_lower()
    assert save(Store("", files), 0, again)
    assert load_membership(Store("", files)).lower is None
    for data in files.files.values():
        assert b"\x00" + bytes(range(1, 33)) in data
        assert b"\x0f" + bytes(range(32)) not in data, "the dropped key is in no slot"


def test_no_message_of_a_damaged_key_shows_it():
    files, made = booted()
    for name in files.files:
        files.files[name] = files.files[name] + b"x"
    text = str(raises(StoreError, boot, files))
    for secret in (made.seed, made.static_private):
        assert secret.hex()[:8] not in text and repr(secret)[2:-1] not in text
