"""Which application a board runs: one of two folders, or the user's own `/app.py` (docs/updates.md). Pure.

What the store keeps of it (kind APP), 15 bytes:

    0   1  folder that runs: 0 the user's own, 1 /app_a, 2 /app_b
    1   1  trial: 0 confirmed, else 1 more than it was started since the switch
    2   4  its version, 0 for the user's own
    6   4  floor: the highest version that was ever switched to; only higher ones are taken
    10  1  folder that ran before
    11  4  its version

The switch is one write of this record, which the store makes whole or not at all.
"""

from .compat import const
from .errors import Malformed
from .slots import Kind

UPDATE_KEY = Kind(8, "updkey")  # public half of the update key, 32 bytes
APP = Kind(9, "app", is_key=False)  # goes with the folders of which it tells

FOLDERS = ("", "app_a", "app_b")
TRIES = 3  # starts without a word that all is well

_SIZE = const(15)


class AppState:
    """The record. Raises Malformed for bytes that are none."""

    def __init__(self, payload=None):
        payload = payload or bytes(_SIZE)
        if len(payload) != _SIZE or payload[0] > 2 or payload[1] > TRIES + 1 or payload[10] > 2:
            raise Malformed("app: record")
        self.slot = payload[0]
        self.trial = payload[1]
        self.version = int.from_bytes(payload[2:6], "big")
        self.floor = int.from_bytes(payload[6:10], "big")
        self.before = payload[10]
        self.version_before = int.from_bytes(payload[11:], "big")

    @staticmethod
    def read(store):
        """The record of a Store, or that of the user's own application where none can be read."""
        try:
            return AppState(store.read(APP))
        except Malformed:
            return AppState()  # of another version of the library

    def encode(self):
        """The record as bytes."""
        out = bytes((self.slot, self.trial)) + self.version.to_bytes(4, "big") + self.floor.to_bytes(4, "big")
        return out + bytes((self.before,)) + self.version_before.to_bytes(4, "big")

    def spare(self):
        """The folder that an update may be written to, 1 or 2; 0 while both are wanted."""
        return 0 if self.trial else 2 if self.slot == 1 else 1

    def switch(self, version):
        """The spare folder holds a whole application: it is the one to start."""
        slot = self.spare()
        self.before = self.slot
        self.version_before = self.version
        self.slot = slot
        self.version = self.floor = version
        self.trial = 1

    def start(self):
        """The board is about to start its application. Once that was tried TRIES times in vain, the one before is back.
        True: the record changed, and must be written before the start."""
        if not self.trial:
            return False
        if self.trial > TRIES:
            self.slot = self.before
            self.version = self.version_before
            self.trial = 0
        else:
            self.trial += 1
        return True

    def confirm(self):
        """All is well with the application that runs. True: the record changed."""
        was = self.trial
        self.trial = 0
        return was > 0
