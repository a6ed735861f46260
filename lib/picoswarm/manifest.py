"""What an update of the application says of itself (docs/protocol.md 7.11). Loaded where updates are. Pure.

    header  0  1  1: this layout                       list  1  files, 1-64
            1  4  version, 1 to 2**30 - 1                    .. for each: length n 1 | name n | size 4 | SHA-256 32
            5  2  bytes of the list                          .. for each chunk of each file: SHA-256[0:16]
            7  2  chunks
            9  32 SHA-256 of the list
            41 1  n, 1-96
            42 n  names of boards, with spaces between
            .. 64 signature by the update key

A chunk has 256 bytes, the last of a file what is left. So a header proves the list, and the list each chunk as it comes.
"""

from .compat import const, sha256
from .errors import Malformed

CHUNK = 256  # bytes
ID = 8  # bytes, by which an update is asked for
LIST_MAX = 16384
BOARDS_MAX = 96
FILES_MAX = 64
NAME_MAX = 64
SIGNATURE = 64
VERSIONS = 0x40000000

_HASH = const(16)
_BOARDS = const(42)
_DEPTH = const(4)
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."


class Header:
    """What the signed header says. Raises Malformed for bytes that are none."""

    served = None  # see serving.py

    def __init__(self, text):
        n = len(text)
        end = n > _BOARDS and _BOARDS + text[_BOARDS - 1]
        if end != n - SIGNATURE or text[0] != 1 or not 0 < text[_BOARDS - 1] <= BOARDS_MAX:
            raise Malformed("update: header")
        self.text = text = bytes(text)
        self.version = int.from_bytes(text[1:5], "big")
        self.listed = int.from_bytes(text[5:7], "big")  # of the list
        self.chunks = int.from_bytes(text[7:9], "big")
        self.digest = text[9:41]
        self.boards = text[_BOARDS:end]
        self.signature = text[end:]
        self.signed = sha256(text[:end]).digest()
        self.id = self.signed[:ID]
        if not 0 < self.version < VERSIONS or not self.chunks * _HASH < self.listed <= LIST_MAX:
            raise Malformed("update: numbers")

    def signed_text(self):
        """What the update key signs."""
        return b"picoswarm update v1" + self.signed

    def is_for(self, boards):
        """Whether one of the names in `boards`, bytes with spaces between, is meant."""
        wanted = boards.split()
        for name in self.boards.split():
            if name == b"*" or name in wanted:
                return True
        return False

    def hash_of(self, number):
        """Where in the list the hash of a chunk stands."""
        return self.listed - _HASH * (self.chunks - number)


def is_name(name):
    """Whether bytes may name a file of an application: letters, digits and `_-.`, at most four parts with `/` between, none
    empty or with a dot in front. So no name leads out of its folder."""
    parts = name.split(b"/")
    for part in parts:
        if not part or part[0] == 0x2E:
            return False
        for letter in part:
            if letter not in _LETTERS:
                return False
    return len(name) <= NAME_MAX and len(parts) <= _DEPTH


def is_chunk(data, expected):
    """Whether `data` is the chunk of a hash."""
    return sha256(data).digest()[:_HASH] == expected


def entries(header, read):
    """(name, size, SHA-256, number of its first chunk) of each file, in order of names. `read(at, n)` gives bytes of the
    list. Raises Malformed for a list that is none, at the latest at its end."""
    at = 1
    first = 0
    before = b""
    for _ in range(_count(read)):
        n = read(at, 1)
        n = n[0] if n else 0
        entry = read(at + 1, n + 36)
        name = entry[:n]
        if len(entry) < n + 36 or not is_name(name) or name <= before:
            raise Malformed("update: name")
        size = int.from_bytes(entry[n : n + 4], "big")
        if size > CHUNK * (header.chunks - first):
            raise Malformed("update: size")
        yield str(name, "utf-8"), size, entry[n + 4 :], first
        first += (size + CHUNK - 1) // CHUNK
        at += 37 + n
        before = name
    if first != header.chunks or at != header.hash_of(0):
        raise Malformed("update: list")


def _count(read):
    count = read(0, 1)
    if not count or not 0 < count[0] <= FILES_MAX:
        raise Malformed("update: files")
    return count[0]
