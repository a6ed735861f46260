"""The first boot: a key is made once, from a healthy source, and stored before it is used."""

from errno import EIO
from os import urandom

from flash_in_memory import MemoryFiles
from picoswarm.crypto import run
from picoswarm.errors import EntropyError, StoreError
from picoswarm.keys import LoadOrCreate, gather, load_identity
from picoswarm.slots import IDENTITY, SEED
from picoswarm.store import Store
from support import raises


def boot(files, source=urandom):
    store = Store("", files)
    return run(LoadOrCreate(store, gather(store, source), source))


def test_the_first_boot_makes_a_key_and_the_next_ones_keep_it():
    files = MemoryFiles()
    assert load_identity(Store("", files)) is None
    first = boot(files)
    image = dict(files.files)
    assert boot(files).encode() == first.encode()
    assert files.files == image
    assert load_identity(Store("", files)).id == first.id


def test_cloned_flash_image_gets_new_identity():
    image = MemoryFiles()
    Store("", image).write(SEED, bytes(range(32)))
    assert len({boot(MemoryFiles(image.files)).id for _ in range(3)}) == 3


def test_low_entropy_refused():
    for source in (lambda n: bytes(n), lambda n: b"\xff" * n, lambda n: bytes([i & 255 for i in range(n)])):
        files = MemoryFiles()
        raises(EntropyError, boot, files, source)
        assert files.files == {}, "nothing is stored"


def test_a_seed_of_the_host_does_not_make_up_for_a_failed_source():
    files = MemoryFiles()
    store = Store("", files)
    store.write(SEED, urandom(32))
    raises(EntropyError, boot, files, lambda n: bytes(n))
    assert store.read(IDENTITY) is None


def test_a_key_that_cannot_be_stored_is_not_used():
    files = MemoryFiles()
    files.fault = EIO
    raises(StoreError, boot, files)


def test_a_key_that_could_not_be_stored_is_stored_at_the_next_step():
    files = MemoryFiles()
    files.fault = EIO
    store = Store("", files)
    job = LoadOrCreate(store, gather(store))
    raises(StoreError, run, job)
    files.fault = 0
    assert run(job).id == load_identity(store).id
