"""The file layer of a computer with other users, and an operating system that writes when it likes. No board loads it."""

import os

from . import files


class Files(files.Files):
    """Files for their owner only: mode 0600, in a folder of mode 0700."""

    def _new_folder(self, path):
        os.mkdir(path, 0o700)

    def is_wide(self, path):
        """Whether group or others have any right to a file or folder."""
        return os.name == "posix" and os.stat(path).st_mode & 0o077 != 0

    def write(self, path, data):
        """Make or replace a file; the bytes are on the medium when this returns."""
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def sync(self, folder):
        """Force the names in a folder to the medium."""
        if os.name != "posix":
            return  # a folder cannot be opened there
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
