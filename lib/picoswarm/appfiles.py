"""The files of an application on flash: one folder, written chunk by chunk, read back in pieces. Every method may raise
OSError. Loaded where updates are.

Beside the files of the application the folder has `.update`: header and list of its update (manifest.py).
"""

import os

from .compat import const

_NOTE = ".update"
_SYNC = const(16)  # chunks between two orders to the flash: each rewrites a block of it


def free_bytes(root):
    """Bytes that are free on the file system, less what its own tables may need; a large number where nobody knows."""
    if not hasattr(os, "statvfs"):
        return 0x3FFFFFFF
    size, _, _, free = os.statvfs(root or "/")[:4]
    return min(0x3FFF, max(0, free - 4)) * min(size, 0xFFFF)


class AppFiles:
    """The folder `name` behind `root`, which is nothing, or ends with "/"."""

    def __init__(self, root, name):
        self.path = root + name
        self._file = self._name = None
        self._unsynced = 0

    def clear(self):
        """Remove the folder with all that is in it, the note first: what is left without it is nothing."""
        self.close()
        try:
            os.remove(self.path + "/" + _NOTE)
        except OSError:
            pass
        self._remove(self.path)

    def _remove(self, path):
        try:
            names = os.listdir(path)
        except OSError:
            return  # there is none
        for name in names:
            name = path + "/" + name
            if os.stat(name)[0] & 0x4000:
                self._remove(name)
            else:
                os.remove(name)
        os.rmdir(path)

    def begin(self, text):
        """An empty folder for the update with this header."""
        self.clear()
        os.mkdir(self.path)
        self.write(_NOTE, 0, text)

    def note(self, at, n):
        """At most `n` bytes of header and list; b"" where there are none."""
        return self.read(_NOTE, at, n) if self.size(_NOTE) > at else b""

    def add_note(self, at, data):
        """More of header and list."""
        self.write(_NOTE, at, data)

    def size(self, name):
        """Bytes of a file, -1 where there is none."""
        if name == self._name:
            self.sync()
        try:
            return os.stat(self.path + "/" + name)[6]
        except OSError:
            return -1

    def read(self, name, at, n):
        """At most `n` bytes of a file from a place on."""
        if name == self._name:
            self.sync()
        with open(self.path + "/" + name, "rb") as file:
            file.seek(at)
            return file.read(n)

    def write(self, name, at, data):
        """Write into a file from a place on; 0 makes it anew. It stays open until another one is written, or `close`."""
        if name != self._name or at == 0:
            self.close()
            path = self.path
            for part in name.split("/")[:-1]:
                path += "/" + part
                try:
                    os.mkdir(path)
                except OSError as error:
                    if error.errno != 17:
                        raise
            self._file = open(self.path + "/" + name, "r+b" if at else "wb")
            self._name = name
        self._file.seek(at)
        if self._file.write(data) != len(data):
            raise OSError(28, "")  # no space; the unix port tells it so
        self._unsynced += 1
        if self._unsynced >= _SYNC:
            self.sync()

    def sync(self):
        """What was written is on the flash when this returns."""
        if self._file and self._unsynced:
            self._file.flush()
        self._unsynced = 0

    def close(self):
        """The same, and no file is open."""
        if self._file:
            file = self._file
            self._file = self._name = None
            self._unsynced = 0
            file.close()

    def remove(self, name):
        """Remove one file, if there is one."""
        self.close()
        if self.size(name) >= 0:
            os.remove(self.path + "/" + name)
