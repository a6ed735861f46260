"""The file layer under a Store: what it asks of an operating system, as a board has it. Every method may raise OSError."""

import os

from .compat import const

_ENOENT = const(2)
_EEXIST = const(17)


class Files:
    """Files of a board: there are no other users, and a file system keeps its folders in order itself."""

    def make_folder(self, path):
        """Make a folder that only its owner may enter, unless something of that name is there."""
        try:
            os.stat(path)
        except OSError as error:
            if error.errno != _ENOENT:
                raise
            self._new_folder(path)

    def _new_folder(self, path):
        os.mkdir(path)

    def is_wide(self, path):
        """Whether other users may open a file or folder; False where the file system knows no users."""
        return False

    def read(self, path, limit):
        """At most `limit` bytes from the start of a file, or None when there is no such file."""
        try:
            with open(path, "rb") as file:
                n = file.seek(0, 2)  # a buffer of `limit` bytes may be more than a heap in pieces has
                file.seek(0)
                return file.read(min(n, limit))
        except OSError as error:
            if error.errno == _ENOENT:
                return None
            raise

    def write(self, path, data):
        """Make or replace a file; the bytes are on the medium when this returns."""
        with open(path, "wb") as file:
            file.write(data)
            file.flush()  # the unix port's flush calls fsync; littlefs and FAT sync the file

    def replace(self, old, new):
        """Give the file `old` the name `new`, in place of what had it. In one step, except on FAT: there the file that
        had the name goes first."""
        try:
            os.rename(old, new)
        except OSError as error:
            if error.errno != _EEXIST:
                raise
            os.remove(new)
            os.rename(old, new)

    def remove(self, path):
        """Remove a file if there is one."""
        try:
            os.remove(path)
        except OSError as error:
            if error.errno != _ENOENT:
                raise

    def sync(self, folder):
        """Force the names in a folder to the medium."""
        if hasattr(os, "sync"):  # littlefs and FAT have done it already; the unix port cannot
            os.sync()
