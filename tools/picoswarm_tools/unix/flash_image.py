# A file system as a Pico has it in its flash: flash_image.py FOLDER IMAGE BYTES
# IMAGE becomes a LittleFS of so many bytes with the files below FOLDER.
import os
import sys

import vfs

_BLOCK = 4096
_PROGRAM = 256  # bytes that are written at once


class Flash:
    def __init__(self, size):
        self.bytes = bytearray(b"\xff" * size)

    def readblocks(self, n, buf, offset=0):
        at = n * _BLOCK + offset
        buf[:] = memoryview(self.bytes)[at : at + len(buf)]

    def writeblocks(self, n, buf, offset=0):
        at = n * _BLOCK + offset
        memoryview(self.bytes)[at : at + len(buf)] = buf

    def ioctl(self, op, n):
        if op == 4:
            return len(self.bytes) // _BLOCK
        if op == 5:
            return _BLOCK
        if op == 6:
            self.bytes[n * _BLOCK : (n + 1) * _BLOCK] = b"\xff" * _BLOCK
        return 0


def copy(source, target):
    for entry in os.ilistdir(source):
        name = entry[0]
        if entry[1] == 0x4000:
            if name not in (".", ".."):
                os.mkdir(target + "/" + name)
                copy(source + "/" + name, target + "/" + name)
        else:
            with open(source + "/" + name, "rb") as file, open(target + "/" + name, "wb") as made:
                made.write(file.read())


folder, image, size = sys.argv[1:]
flash = Flash(int(size))
vfs.VfsLfs2.mkfs(flash, progsize=_PROGRAM)
vfs.mount(vfs.VfsLfs2(flash, progsize=_PROGRAM), "/flash")
copy(folder, "/flash")
vfs.umount("/flash")
with open(image, "wb") as file:
    file.write(flash.bytes)
