"""Runs on MicroPython: cuts the power at every block operation of a store on littlefs and on FAT, in a RAM flash.

The flash stops at operation n, cleanly (it did nothing), torn (half of it was done) or garbled (half of it, and noise in
the rest); what had reached it is mounted anew, as after a reboot. The store must then hold the old payload or the new one,
and take the next write. With the damage "error" there is power, but operation n fails, and a full flash is tried too.
Arguments: file system (lfs2, fat), damage (clean, torn, garbled, error), random saves, seed. Prints one line
"cuts <n> old <n> new <n>" or ends with a traceback.
"""

import os
import random
import sys

from picoswarm.errors import StoreError
from picoswarm.slots import Kind
from picoswarm.store import Store

BLOCK = 512
BLOCKS = 80
EIO = 5
ERASED = b"\xff" * BLOCK


class PowerCut(Exception):
    """The power went during an operation of the flash."""


class Flash:
    """A block device of both interfaces, simple (FAT) and extended (littlefs), whose power can be cut. Without power it
    does nothing and says EIO; it does not raise then, because the finaliser of a file left open may still ask it."""

    def __init__(self, image):
        self.image = image
        self.left = -1  # operations until the cut; 0: no power; -1: no cut is planned
        self.damage = "clean"

    def readblocks(self, block, buf, offset=0):
        if self.left == 0:
            return -EIO
        at = block * BLOCK + offset
        buf[:] = self.image[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        return self._change(block * BLOCK + offset, buf)

    def ioctl(self, op, block):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            return self._change(block * BLOCK, ERASED) or 0

    def _change(self, at, data):
        """Program or erase; the operation that the cut falls on is done as `damage` says."""
        if self.left == 0:
            return -EIO
        if self.left == 1 and self.damage == "error":
            self.left = -1
            return -EIO
        if self.left == 1:
            self.left = 0
            if self.damage != "clean":
                half = len(data) // 2
                self.image[at : at + half] = data[:half]
                if self.damage == "garbled":
                    self.image[at + half : at + len(data)] = os.urandom(len(data) - half)
            raise PowerCut
        if self.left > 0:
            self.left -= 1
        self.image[at : at + len(data)] = data


class Board:
    """A board: its flash image, and the flash and file system of the present boot."""

    def __init__(self, file_system, image=None):
        self.image = image or bytearray(BLOCK * BLOCKS)
        self.make = os.VfsFat if file_system == "fat" else os.VfsLfs2
        if image is None:
            self.make.mkfs(Flash(self.image))

    def boot(self, left=-1, damage="clean"):
        """Mount the image and open the store; the power goes at block operation `left` from then on."""
        self.flash = Flash(self.image)
        os.mount(self.make(self.flash), "/flash")
        store = Store("/flash/keys")
        self.flash.left, self.flash.damage = left, damage
        return store

    def off(self):
        """Power off, whatever the file system had in mind."""
        self.flash.left = 0
        os.umount("/flash")


def try_to_save(board, kind, payload, left, damage):
    """Save with the power going at block operation `left`. "saved", "cut", or "full" where the file system had no room."""
    store = board.boot(left, damage)
    outcome = "saved"
    try:
        store.write(kind, payload)
    except PowerCut:
        outcome = "cut"
    except StoreError:
        outcome = "full"
    if board.flash.left == 0:
        outcome = "cut"
    board.off()
    return outcome


def cut_everywhere(file_system, damage, kind, payloads):
    """Save payloads[-1] over the others, cutting at each operation in turn. (cuts, old, new) counts."""
    base = Board(file_system)
    store = base.boot()
    for payload in payloads[:-1]:
        store.write(kind, payload)
    base.off()
    old = payloads[-2] if len(payloads) > 1 else None
    new = payloads[-1]
    counts = [0, 0, 0]
    while True:
        board = Board(file_system, bytearray(base.image))
        outcome = try_to_save(board, kind, new, counts[0] + 1, damage)
        store = board.boot()
        found = store.read(kind)
        if outcome != "cut":
            assert outcome == "saved" and found == new
            board.off()
            return counts
        assert found in (old, new), (file_system, damage, kind.name, counts[0])
        counts[0] += 1
        counts[2 if found == new else 1] += 1
        # The store is not only readable: it goes on.
        assert store.write(kind, b"next") or found == b"next"
        board.off()
        assert board.boot().read(kind) == b"next"
        board.off()


def fail_everywhere(file_system, kind, old, new):
    """Save `new` over `old` with each block operation failing in turn, once. (failures, old, new) counts."""
    counts = [0, 0, 0]
    while True:
        board = Board(file_system)
        board.boot().write(kind, old)
        board.off()
        store = board.boot(counts[0] + 1, "error")
        failed = False
        try:
            store.write(kind, new)
        except StoreError:
            failed = True
        reached = board.flash.left == -1
        board.off()
        store = board.boot()
        found = store.read(kind)
        assert found == new or (failed and found == old), (file_system, "error", counts[0])
        store.write(kind, b"next")
        assert store.read(kind) == b"next"
        board.off()
        if not reached:
            return counts
        counts[0] += 1
        counts[2 if found == new else 1] += 1


def fill(folder):
    """Fill the file system with files of one block; their names."""
    names = []
    try:
        while True:
            names.append(f"{folder}/{len(names)}")
            with open(names[-1], "wb") as file:
                file.write(ERASED)
    except OSError:
        if names[-1].rpartition("/")[2] not in os.listdir(folder):
            names.pop()  # it did not come to be
        return names


def save_on_a_full_flash(file_system, kind, old, new):
    """Save `new` over `old` with more and more room. (refused, old, new) counts."""
    counts = [0, 0, 0]
    for room in range(12):
        board = Board(file_system)
        store = board.boot()
        store.write(kind, old)
        names = fill("/flash")
        for _ in range(room):
            os.remove(names.pop())
        try:
            store.write(kind, new)
            saved = True
        except StoreError:
            saved = False
            counts[0] += 1
        board.off()
        store = board.boot()
        found = store.read(kind)
        assert found == new or (not saved and found == old), (file_system, "full", room)
        counts[2 if found == new else 1] += 1
        for name in names:
            os.remove(name)
        store.write(kind, b"next")
        assert store.read(kind) == b"next"
        board.off()
    return counts


def cut_at_random(file_system, damage, saves):
    """Many saves of three kinds on one flash, each with the power going somewhere or not at all.

    FAT loses a cluster with many a cut, as nothing checks it: once it is full, all payloads must still be there, and the
    test goes on with a new flash.
    """
    kinds = (Kind(1, "identity"), Kind(2, "network"), Kind(3, "nodes", copies=1))
    held = [None, None, None]
    board = Board(file_system)
    counts = [0, 0, 0]
    for n in range(saves):
        i = random.randrange(3)
        payload = bytes((n & 0xFF, n >> 8)) * random.choice((16, 48, 400))
        outcome = try_to_save(board, kinds[i], payload, random.randrange(1, 30), damage)
        store = board.boot()
        for j in range(3):
            found = store.read(kinds[j])
            is_new = j == i and found == payload
            assert is_new or found == held[j], (file_system, damage, n)
            assert is_new or j != i or outcome != "saved"
            held[j] = found
            if j == i and outcome == "cut":
                counts[0] += 1
                counts[2 if is_new else 1] += 1
        board.off()
        if outcome == "full":
            assert file_system == "fat"
            board = Board(file_system)
            held = [None, None, None]
    return counts


def main():
    file_system, damage, saves, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    random.seed(seed)
    total = []
    small, large = b"k" * 96, b"n" * 900
    for copies in (1, 2):
        kind = Kind(1, "identity", copies=copies)
        if damage == "error":
            for old, new in ((small, b"K" * 96), (large, b"N" * 900)):
                total.append(fail_everywhere(file_system, kind, old, new))
            total.append(save_on_a_full_flash(file_system, kind, large, b"N" * 900))
            assert 0 < total[-1][0] < 12, "the flash was never full, or always"
            continue
        for payloads in ((small,), (small, b"K" * 96), (b"a", b"b", small), (large,), (large, b"N" * 900, b"m" * 901)):
            total.append(cut_everywhere(file_system, damage, kind, payloads))
            assert total[-1][0] and total[-1][1], "no cut was made"
    if saves:
        total.append(cut_at_random(file_system, damage, saves))
    cuts, old, new = [sum(counts[i] for counts in total) for i in range(3)]
    print(f"cuts {cuts} old {old} new {new}")


if __name__ == "__main__":
    main()
