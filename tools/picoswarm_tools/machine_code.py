"""The machine code in an .mpy file, by the format that MicroPython's py/persistentcode.c reads (version 6)."""

from __future__ import annotations

from collections.abc import Iterator

VERSION = 6
BYTECODE, PYTHON, VIPER, ASSEMBLER = range(4)  # kinds of code
NO_DATA = range(5)  # objects that are all in their kind; below TUPLE
TUPLE = 10
TEXTS = (5, 6)  # str and bytes, which end with a 0
HAS_RODATA, HAS_BSS, HAS_RELOCATIONS = 0x20, 0x40, 0x10


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4  # what stands before is for the loader

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """Seven bits a byte, the first ones first; the highest bit says that more follow."""
        value = 0
        while (byte := self.byte()) & 0x80:
            value = value << 7 | byte & 0x7F
        return value << 7 | byte

    def skip_name(self) -> None:
        length = self.number()
        if not length & 1:  # otherwise it is one that every firmware has
            self.at += (length >> 1) + 1

    def skip_object(self) -> None:
        kind = self.byte()
        if kind in NO_DATA:
            return
        length = self.number()
        if kind == TUPLE:
            for _ in range(length):
                self.skip_object()
        else:
            self.at += length + (kind in TEXTS)

    def codes(self) -> Iterator[int]:
        """Bytes of each function that is machine code: this one, and those in it."""
        kind_length = self.number()
        kind, has_children, length = kind_length & 3, kind_length & 4, kind_length >> 3
        self.at += length
        if kind != BYTECODE:
            yield length
            flags = self.number()  # of Python code: where its head stands
            if kind == ASSEMBLER:
                self.number()
                self.number()
            if kind == VIPER:
                rodata = self.number() if flags & HAS_RODATA else 0
                if flags & HAS_BSS:
                    self.number()
                self.at += rodata
                if flags & HAS_RELOCATIONS:
                    self._skip_relocations()
        if has_children:
            for _ in range(self.number()):
                yield from self.codes()

    def _skip_relocations(self) -> None:
        while (step := self.byte()) != 0xFF:
            if step & 1:
                self.number()
            if step >> 1 <= 5 and step >> 1 & 1:
                self.number()


def code_sizes(mpy_file: bytes) -> list[int]:
    """Bytes of each function of an .mpy that is machine code, in its order; none for one of bytecode alone. Raises
    ValueError for another format, and for a file that ends elsewhere."""
    if mpy_file[:2] != bytes((ord("M"), VERSION)):
        raise ValueError(f"no .mpy file of version {VERSION}")
    reader = Reader(mpy_file)
    try:
        names, objects = reader.number(), reader.number()
        for _ in range(names):
            reader.skip_name()
        for _ in range(objects):
            reader.skip_object()
        sizes = list(reader.codes())
    except IndexError:
        raise ValueError("the .mpy file ends too early") from None
    if reader.at != len(mpy_file):
        raise ValueError(f"the .mpy file goes on after byte {reader.at}")
    return sizes
