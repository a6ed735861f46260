"""What a node keeps: a folder of two-slot files (slots.py) that outlives power cuts and worn flash.

A write makes a whole new file, forces it to the medium, reads it back, and only then renames it onto the slot that is not
the newest valid one. At every instant one slot holds the old payload or the new one whole. Where rename does not replace
(FAT), the older slot is removed first: the newer one is untouched all the while.

On an ESP32 the keys stand in its NVS besides (vault.py), and come back from there where no file counts.

On a host, keys are files of mode 0600 in a folder of mode 0700; anything wider is refused. Every failure is a StoreError
that names the file, never its content.
"""

from .compat import FILES, VAULT
from .errors import Malformed, StoreError
from .slots import HEADER, PAYLOAD_MAX, decode_slot, encode_slot, newest, next_sequence

if FILES == "host":
    from .files_host import Files
else:
    from .files import Files


class Store:
    """The slot files of one folder, which is made if it is missing. `files` is the file layer, `vault` where keys are kept
    besides; tests pass one that fails. Raises StoreError for a folder that others may enter or that cannot be made."""

    def __init__(self, folder, files=None, vault=None):
        self._files = files = files or Files()
        if VAULT and not vault:
            from .vault import Vault

            vault = Vault()
        self._vault = vault
        self._folder = folder
        self._written_s = {}  # kind name -> uptime of this boot's last write; the boot itself counts as one
        try:
            files.make_folder(folder)
        except OSError as error:
            raise StoreError("%s: cannot be made (%r)" % (folder, error))
        self._refuse_wide(folder, "700")

    def _refuse_wide(self, path, mode):
        if self._files.is_wide(path):
            raise StoreError("%s: other users may open it; what a node keeps is for its owner only, mode %s" % (path, mode))

    def _path(self, kind, end):
        return "%s/%s.%s" % (self._folder.rstrip("/"), kind.name, end)

    def _load(self, kind, end):
        """(sequence, payload) of one slot file; None: there is no such file. Raises Malformed, or StoreError."""
        path = self._path(kind, end)
        try:
            data = self._files.read(path, HEADER + PAYLOAD_MAX + 1)
        except OSError as error:
            raise Malformed("cannot be read (%r)" % error)  # a bad cell: the other slot may be whole
        if data is None:
            return None
        self._refuse_wide(path, "600")
        return decode_slot(kind, data)

    def _slots(self, kind):
        """([slot 0, slot 1], faults): each slot is (sequence, payload) or None; faults are reasons, one for each file
        that is there and does not count."""
        slots = [None, None]
        faults = []
        for i in range(2):
            try:
                slots[i] = self._load(kind, i)
            except Malformed as error:
                faults.append("%s.%d: %s" % (kind.name, i, error))
        return slots, faults

    @staticmethod
    def _newest(slots):
        return newest(slots[0] and slots[0][0], slots[1] and slots[1][0])

    def read(self, kind):
        """The newest valid payload of a kind, or None where no file counts. `faults` says whether there was one."""
        slots, _ = self._slots(kind)
        at = self._newest(slots)
        if at is not None:
            return slots[at][1]
        if self._vault and kind.is_key:
            try:
                return decode_slot(kind, self._vault.recall(kind.name) or b"")[1]
            except Malformed:
                pass
        return None

    def faults(self, kind):
        """Why files of this kind were discarded, as a list of texts; empty when all that is there is whole."""
        return self._slots(kind)[1]

    def write(self, kind, payload, uptime_s=0):
        """Make `payload` what `read` gives, on as many slots as the kind asks. True: written. False: nothing was to do,
        or the kind's interval has not passed since its last write in this boot, or since the boot itself where an older
        copy can still be read. Raises StoreError; `read` then gives the old payload or the new one."""
        payload = bytes(payload)
        if self._vault and kind.is_key:
            try:
                self._vault.keep(kind.name, encode_slot(kind, 0, payload))
            except OSError:
                pass  # the files have it
        slots, _ = self._slots(kind)
        at = self._newest(slots)
        same = [slot is not None and slot[1] == payload for slot in slots]
        if at is not None and same[at] and sum(same) >= kind.copies:
            return False
        last_s = self._written_s.get(kind.name, None if at is None else 0)
        if last_s is not None and uptime_s - last_s < kind.interval_s:
            return False
        self._written_s[kind.name] = uptime_s
        # A rewrite of what the newest slot holds fills the other one and stops there.
        writes = 1 if at is not None and same[at] else kind.copies
        sequence = None if at is None else slots[at][0]
        for _ in range(writes):
            at = 0 if at is None else 1 - at
            sequence = next_sequence(sequence)
            self._put(kind, at, encode_slot(kind, sequence, payload))
        return True

    def _put(self, kind, at, data):
        """Replace one slot file by `data`, by way of a file beside it."""
        files = self._files
        path = self._path(kind, at)
        fresh = self._path(kind, "new")
        try:
            files.write(fresh, data)
            if files.read(fresh, len(data) + 1) == data:
                files.replace(fresh, path)
                files.sync(self._folder)
                return
            reason = "reads back differently, the flash may be worn"
        except OSError as error:
            reason = repr(error)
        try:
            files.remove(fresh)  # frees its space; the next write replaces it anyway
        except OSError:
            pass
        raise StoreError("%s: cannot be written (%s)" % (path, reason))

    def remove(self, kind):
        """Remove every file of a kind, as a factory reset does. Raises StoreError."""
        try:
            if self._vault:
                self._vault.forget(kind.name)
            for end in (0, 1, "new"):
                self._files.remove(self._path(kind, end))
            self._files.sync(self._folder)
        except OSError as error:
            raise StoreError("%s: cannot be removed (%r)" % (self._path(kind, end), error))
        self._written_s.pop(kind.name, None)
