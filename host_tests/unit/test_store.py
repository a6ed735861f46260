"""The store: the last good copy survives whatever the file layer does, and keys stay private."""

import os
from os import urandom

from picoswarm.compat import MICROPYTHON
from picoswarm.errors import StoreError
from picoswarm.slots import IDENTITY, NETWORK, NODES, Kind, encode_slot
from picoswarm.store import Store
from support import Skip, raises

EIO = 5
ENOSPC = 28


class MemoryFiles:
    """A file layer in a dict. `fail_at` counts down with every operation; at 0 that operation raises, once."""

    def __init__(self):
        self.files = {}
        self.wide = set()
        self.fail_at = -1
        self.errno = EIO
        self.operations = 0
        self.garble = False  # what is written comes out with a flipped bit

    def _step(self):
        self.operations += 1
        self.fail_at -= 1
        if self.fail_at == -1:
            raise OSError(self.errno)

    def make_folder(self, path):
        self._step()

    def is_wide(self, path):
        return path in self.wide

    def read(self, path, limit):
        self._step()
        data = self.files.get(path)
        return data if data is None else data[:limit]

    def write(self, path, data):
        self.files[path] = data[: len(data) // 2]  # what a failed write leaves
        self._step()
        self.files[path] = data[:-1] + bytes((data[-1] ^ 1,)) if self.garble else data

    def replace(self, old, new):
        self._step()
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        self._step()
        self.files.pop(path, None)

    def sync(self, folder):
        self._step()


def temporary_folder():
    """A new private folder of the file system, or a Skip where there is none."""
    base = getattr(os, "getenv", lambda name: None)("TMPDIR") or "/tmp"
    try:
        os.stat(base)
    except OSError:
        raise Skip("no file system")
    return base + "/picoswarm-" + urandom(8).hex()


def remove_folder(folder):
    for name in os.listdir(folder):
        os.remove(folder + "/" + name)
    os.rmdir(folder)


def test_what_was_written_is_read_by_the_next_boot():
    folder = temporary_folder()
    try:
        store = Store(folder)
        assert store.read(IDENTITY) is None and store.faults(IDENTITY) == []
        for payload in (b"first", b"second", bytes(range(256))):
            assert store.write(IDENTITY, payload)
            assert Store(folder).read(IDENTITY) == payload
        assert sorted(os.listdir(folder)) == ["identity.0", "identity.1"]
        assert store.read(NETWORK) is None
        store.remove(IDENTITY)
        assert os.listdir(folder) == []
    finally:
        remove_folder(folder)


def test_files_of_keys_are_for_their_owner_only():
    if MICROPYTHON or os.name != "posix":
        raise Skip("no file modes on this runtime")
    folder = temporary_folder()
    try:
        Store(folder).write(IDENTITY, b"secret")
        assert os.stat(folder).st_mode & 0o777 == 0o700
        assert os.stat(folder + "/identity.0").st_mode & 0o777 == 0o600
        os.chmod(folder + "/identity.0", 0o640)
        assert "mode 600" in str(raises(StoreError, Store(folder).read, IDENTITY))
        os.chmod(folder + "/identity.0", 0o600)
        assert Store(folder).read(IDENTITY) == b"secret"
        os.chmod(folder, 0o750)
        assert "mode 700" in str(raises(StoreError, Store, folder))
    finally:
        remove_folder(folder)


def test_a_folder_that_cannot_be_made_is_a_store_error():
    folder = temporary_folder()
    raises(StoreError, Store, folder + "/missing/deeper")


def test_a_slot_that_is_no_file_is_a_fault():
    folder = temporary_folder()
    store = Store(folder)
    os.mkdir(folder + "/identity.0")
    try:
        assert store.read(IDENTITY) is None and len(store.faults(IDENTITY)) == 1
        assert "identity.0" in str(raises(StoreError, store.write, IDENTITY, b"key"))
        assert "identity.0" in str(raises(StoreError, store.remove, IDENTITY))
        assert os.listdir(folder) == ["identity.0"], "no temporary file is left"
    finally:
        os.rmdir(folder + "/identity.0")
        os.rmdir(folder)


def test_a_folder_below_a_file_is_a_store_error():
    folder = temporary_folder()
    try:
        Store(folder).write(IDENTITY, b"key")
        raises(StoreError, Store, folder + "/identity.0/deeper")
    finally:
        remove_folder(folder)


def test_a_key_stands_in_both_slots():
    files = MemoryFiles()
    store = Store("", files)
    store.write(NETWORK, b"key 1")
    for end in "01":
        rest = {name: data for name, data in files.files.items() if not name.endswith(end)}
        assert len(rest) == 1
        other = MemoryFiles()
        other.files = rest
        assert Store("", other).read(NETWORK) == b"key 1"


def test_a_lost_copy_is_made_again():
    files = MemoryFiles()
    store = Store("", files)
    store.write(NETWORK, b"key 1")
    for name in ("/network.0", "/network.1"):
        files.files[name] = b"rot"
        assert len(store.faults(NETWORK)) == 1
        assert store.read(NETWORK) == b"key 1"
        assert store.write(NETWORK, b"key 1")
        assert store.faults(NETWORK) == []
        assert not store.write(NETWORK, b"key 1")


def test_unchanged_payloads_cost_no_write():
    files = MemoryFiles()
    store = Store("", files)
    assert store.write(NETWORK, b"key 1")
    before = dict(files.files)
    assert not store.write(NETWORK, b"key 1")
    assert files.files == before


def test_the_node_database_is_written_half_an_hour_apart():
    store = Store("", MemoryFiles())
    assert store.write(NODES, b"a", 5)  # nothing is stored yet
    assert not store.write(NODES, b"b", 5 + 1799)
    assert store.read(NODES) == b"a"
    assert store.write(NODES, b"b", 5 + 1800)
    assert not store.write(NODES, b"c", 5 + 1801)
    assert not store.write(NODES, b"b", 9999)  # unchanged
    assert store.write(NODES, b"c", 10000)


def test_a_boot_loop_does_not_wear_the_flash():
    files = MemoryFiles()
    Store("", files).write(NODES, b"a", 5)
    for n in range(10):
        assert not Store("", files).write(NODES, bytes((n,)), 60)
    store = Store("", files)
    assert store.write(NODES, b"later", 1800)


def test_a_failed_write_of_the_node_database_waits_its_turn():
    files = MemoryFiles()
    store = Store("", files)
    files.fail_at, files.errno = 2, ENOSPC
    raises(StoreError, store.write, NODES, b"a", 0)
    assert not store.write(NODES, b"a", 10)
    assert store.write(NODES, b"a", 1800)


def test_any_failed_operation_leaves_the_last_good_copy():
    for kind in (NETWORK, Kind(9, "single", copies=1)):
        for errno in (EIO, ENOSPC):
            n = 0
            while True:
                files = MemoryFiles()
                store = Store("", files)
                store.write(kind, b"older payload")
                store.write(kind, b"old payload")
                files.fail_at, files.errno = n, errno
                try:
                    store.write(kind, b"new payload")
                    failed = False
                except StoreError:
                    failed = True
                survived = files.fail_at >= 0
                files.fail_at = -1
                found = Store("", files).read(kind)
                assert found in (b"old payload", b"new payload")
                assert failed or found == b"new payload"
                # And the fault being over, the next write works.
                Store("", files).write(kind, b"next payload")
                assert Store("", files).read(kind) == b"next payload"
                n += 1
                if survived:
                    break
            assert n > 6


def test_a_write_that_reads_back_differently_replaces_nothing():
    files = MemoryFiles()
    store = Store("", files)
    store.write(NETWORK, b"old")
    files.garble = True
    assert "worn" in str(raises(StoreError, store.write, NETWORK, b"new"))
    assert Store("", files).read(NETWORK) == b"old"
    assert sorted(files.files) == ["/network.0", "/network.1"]


def test_every_flipped_bit_of_a_stored_file_is_found():
    files = MemoryFiles()
    store = Store("", files)
    store.write(NETWORK, b"a key of some bytes")
    whole = dict(files.files)
    for name, data in whole.items():
        for i in range(len(data)):
            damaged = bytearray(data)
            damaged[i] ^= 1 << i % 8
            files.files = dict(whole)
            files.files[name] = bytes(damaged)
            assert store.read(NETWORK) == b"a key of some bytes"
            assert len(store.faults(NETWORK)) == 1
    for i in range(len(data)):
        files.files = {}
        for name, data in whole.items():
            damaged = bytearray(data)
            damaged[i] ^= 0x80 >> i % 8
            files.files[name] = bytes(damaged)
        assert store.read(NETWORK) is None and len(store.faults(NETWORK)) == 2


def test_a_slot_of_a_later_layout_does_not_count_and_says_why():
    files = MemoryFiles()
    later = Kind(NETWORK.number, NETWORK.name, version=NETWORK.version + 1)
    Store("", files).write(later, b"from the future")
    store = Store("", files)
    assert store.read(NETWORK) is None
    assert "version 2" in store.faults(NETWORK)[0]


def test_an_endless_file_is_not_taken_into_memory():
    files = MemoryFiles()
    files.files["/network.0"] = encode_slot(NETWORK, 0, b"key") + bytes(4000)
    taken = []
    whole_read = files.read

    def read(path, limit):
        data = whole_read(path, limit)
        taken.append(len(data or b""))
        return data

    files.read = read
    assert Store("", files).read(NETWORK) is None
    assert max(taken) < 2100


def test_a_leftover_temporary_file_does_no_harm():
    files = MemoryFiles()
    files.files["/network.new"] = b"half of a wri"
    store = Store("", files)
    assert store.read(NETWORK) is None and store.faults(NETWORK) == []
    assert store.write(NETWORK, b"key")
    assert "/network.new" not in files.files


def test_the_sequence_wraps():
    files = MemoryFiles()
    files.files["/nodes.0"] = encode_slot(NODES, 0xFFFE, b"old")
    files.files["/nodes.1"] = encode_slot(NODES, 0xFFFF, b"new")
    store = Store("", files)
    assert store.read(NODES) == b"new"
    for i in range(4):
        assert store.write(NODES, bytes((i,)), 1800 * (i + 1))
        assert Store("", files).read(NODES) == bytes((i,))


def test_no_message_shows_what_is_stored():
    files = MemoryFiles()
    store = Store("", files)
    store.write(NETWORK, b"secret-secret")
    files.garble = True
    text = str(raises(StoreError, store.write, NETWORK, b"hidden-hidden")) + repr(store) + str(store)
    files.files["/network.0"] = b"secret-secret"
    text += " ".join(store.faults(NETWORK))
    assert "secret" not in text and "hidden" not in text
