"""Keys outlive a wiped or corrupt file system where the chip has a place beside it: the NVS of an ESP32."""

import sys
from errno import EIO

from flash_in_memory import MemoryFiles
from picoswarm.appslots import APP, UPDATE_KEY, AppState
from picoswarm.errors import StoreError
from picoswarm.slots import IDENTITY, NETWORK, NODES
from picoswarm.store import Store
from support import raises


class Nvs:
    """`esp32.NVS` as its documentation has it: blobs by name, on the medium after `commit`."""

    kept = {}
    writes = 0
    fails = False

    def __init__(self, space):
        self._changes = dict(self.kept.get(space, {}))
        self._space = space

    def get_blob(self, key, buf):
        assert len(key) <= 15
        if key not in self._changes:
            raise OSError(-4354)
        buf[: len(self._changes[key])] = self._changes[key]
        return len(self._changes[key])

    def set_blob(self, key, value):
        if Nvs.fails:
            raise OSError(-4357)
        self._changes[key] = bytes(value)

    def erase_key(self, key):
        del self._changes[key]

    def commit(self):
        Nvs.writes += 1
        self.kept[self._space] = dict(self._changes)


class Esp32:
    NVS = Nvs


sys.modules["esp32"] = Esp32

from picoswarm.vault import Vault  # noqa: E402


def board():
    """(files, a function that boots: gives a Store)."""
    Nvs.kept = {}
    Nvs.writes = 0
    Nvs.fails = False
    files = MemoryFiles()
    return files, lambda: Store("swarm", files, Vault())


def test_keys_come_back_after_the_file_system_was_wiped():
    files, boot = board()
    boot().write(IDENTITY, b"who I am")
    boot().write(NETWORK, b"with whom")
    files.files.clear()
    store = boot()
    assert store.read(IDENTITY) == b"who I am" and store.read(NETWORK) == b"with whom"
    assert store.write(IDENTITY, b"who I am"), "the files are made again"
    assert sorted(files.files) == ["swarm/identity.0", "swarm/identity.1"]


def test_keys_come_back_where_both_files_are_damaged():
    files, boot = board()
    boot().write(IDENTITY, b"who I am")
    for path in files.files:
        files.files[path] = files.files[path][:-1] + b"?"
    assert boot().read(IDENTITY) == b"who I am"


def test_what_stands_in_the_files_counts_more():
    """A host provisions a board by files: at the next boot the vault follows them."""
    files, boot = board()
    boot().write(NETWORK, b"the old mesh")
    Store("swarm", files).write(NETWORK, b"the new mesh")
    store = boot()
    assert store.read(NETWORK) == b"the new mesh"
    store.write(NETWORK, b"the new mesh")  # as keys.py does at each boot
    files.files.clear()
    assert boot().read(NETWORK) == b"the new mesh"


def test_only_keys_are_kept_there_and_only_where_they_change():
    files, boot = board()
    store = boot()
    store.write(NODES, b"neighbours")
    assert Nvs.writes == 0
    for _ in range(5):
        boot().write(IDENTITY, b"who I am")
    assert Nvs.writes == 1
    files.files.clear()
    assert boot().read(NODES) is None


def test_which_application_runs_is_forgotten_with_the_folder_that_it_is_in():
    files, boot = board()
    boot().write(UPDATE_KEY, bytes(32))
    state = AppState()
    state.switch(7)
    boot().write(APP, state.encode())
    files.files.clear()
    assert boot().read(UPDATE_KEY) == bytes(32) and AppState.read(boot()).slot == 0


def test_a_file_system_that_takes_no_writes_still_gives_the_board_its_keys_at_the_next_boot():
    files, boot = board()
    files.fault = EIO
    raises(StoreError, boot().write, IDENTITY, b"who I am")
    assert boot().read(IDENTITY) == b"who I am"


def test_a_vault_that_fails_is_done_without():
    files, boot = board()
    Nvs.fails = True
    assert boot().write(IDENTITY, b"who I am")
    assert boot().read(IDENTITY) == b"who I am" and not Nvs.kept


def test_a_damaged_copy_in_the_vault_is_no_key():
    files, boot = board()
    boot().write(IDENTITY, b"who I am")
    files.files.clear()
    space = Nvs.kept["picoswarm"]
    space["identity"] = space["identity"][:-1] + b"?"
    assert boot().read(IDENTITY) is None


def test_a_factory_reset_forgets_both():
    files, boot = board()
    boot().write(IDENTITY, b"who I am")
    boot().remove(IDENTITY)
    assert boot().read(IDENTITY) is None and not files.files and not Nvs.kept["picoswarm"]
