"""Runs on the emulated board first: mounts the pack, whose files lie in RAM, and imports the main program."""

import io
import sys

import uctypes
import vfs

# Address and size of each file, by path; qemu.py puts them in.
FILES = {}


class _File(io.IOBase):
    def __init__(self, at, size):
        self._data, self._at = memoryview(uctypes.bytearray_at(at, size)), 0

    def readinto(self, buf):
        part = self._data[self._at : self._at + len(buf)]
        buf[: len(part)] = part
        self._at += len(part)
        return len(part)

    def ioctl(self, request, argument):
        return 0


class _Pack:
    def mount(self, readonly, mkfs):
        pass

    def stat(self, path):
        path = path.strip("/")
        if path in FILES:
            return (0x8000, 0, 0, 0, 0, 0, FILES[path][1], 0, 0, 0)
        for name in FILES:
            if name.startswith(path + "/"):
                return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(2)

    def open(self, path, mode):
        if path.strip("/") not in FILES:
            raise OSError(2)
        return _File(*FILES[path.strip("/")])


vfs.mount(_Pack(), "/pack")
sys.path[:] = ["/pack"]
import _main  # noqa: E402, F401
