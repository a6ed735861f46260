"""Fetching an update (docs/protocol.md 7.11): which question comes next, and what becomes of the answer. Pure: files are an
AppFiles, or whatever a test has in its place.

First the list, whole from one peer: only its end shows whether it is right. Then chunk after chunk, from whoever has it,
each proven by the list as it comes. What is on the flash says how far that went: nothing is lost with the power or a link.
"""

from .compat import const, sha256
from .manifest import CHUNK, Header, entries, is_chunk

LIST = 1  # questions, see update.py
GET = 2

_HASH = const(16)


class Fetch:
    """One update on its way to a folder. `number`: chunks that are there, or passed over."""

    def __init__(self, header, files):
        self.header = header
        self.files = files
        self.number = 0
        self.is_listed = False  # the list is whole
        self.is_complete = False
        self._at = 0  # bytes of the list
        self._digest = sha256()
        self._entries = self._entry = None

    @staticmethod
    def noted(files):
        """The Header in a folder. Raises Malformed, OSError."""
        text = files.note(0, 42)
        n = text[41] if len(text) == 42 else 0
        return Header(text + files.note(42, n + 64))

    def begin(self):
        """Go on with what is in the folder, if it is of this update, or begin anew. Raises Malformed, OSError."""
        header = self.header
        size = len(header.text)
        if self.files.note(0, size) == header.text:
            digest = sha256()
            for at in range(0, header.listed, CHUNK):
                digest.update(self._list(at, min(CHUNK, header.listed - at)))
            if digest.digest() == header.digest:
                return self._listed()
        self.files.begin(header.text)

    def restart(self):
        """Another peer is asked from now on: of the list, what came does not count."""
        if not self.is_listed:
            self._at = 0
            self._digest = sha256()

    def missing(self):
        """Bytes that are still to come, about."""
        return CHUNK * (self.header.chunks - self.number) + (0 if self.is_listed else self.header.listed)

    def question(self):
        """The payload of the next question; b"": everything is there."""
        if self.is_complete:
            return b""
        if self.is_listed:
            return bytes((GET,)) + self.header.id + self.number.to_bytes(2, "big")
        return bytes((LIST,)) + self.header.id + self._at.to_bytes(2, "big")

    def take(self, answer):
        """Take the answer to the question. False: it is wrong, whoever gave it lied. Raises Malformed for a list that is
        signed and none all the same, OSError."""
        return self._take_chunk(answer) if self.is_listed else self._take_list(answer)

    def _list(self, at, n):
        return self.files.note(len(self.header.text) + at, n)

    def _take_list(self, answer):
        header = self.header
        if len(answer) != min(CHUNK, header.listed - self._at):
            return False
        self.files.add_note(len(header.text) + self._at, answer)
        self._digest.update(answer)
        self._at += len(answer)
        if self._at < header.listed:
            return True
        digest = self._digest.digest()
        self.restart()
        if digest != header.digest:
            return False
        self._listed()
        return True

    def _listed(self):
        """The list is there. It is read to its end before anything that it names is written."""
        for _ in entries(self.header, self._list):
            pass
        self.files.sync()
        self.is_listed = True
        self._rewind()

    def _rewind(self):
        self.is_complete = False
        self._entries = entries(self.header, self._list)
        self._advance()

    def _advance(self):
        """To the first chunk that is missing."""
        for entry in self._entries:
            name, size, _, first = entry
            have = self.files.size(name)
            if have < 0 and not size:
                self.files.write(name, 0, b"")
            elif have != size:
                self._entry = entry
                self.number = first + (have // CHUNK if 0 < have < size else 0)
                return
        self.files.close()
        self.number = self.header.chunks
        self.is_complete = True

    def _take_chunk(self, answer):
        name, size, _, first = self._entry
        at = CHUNK * (self.number - first)
        if len(answer) != min(CHUNK, size - at) or not is_chunk(answer, self._list(self.header.hash_of(self.number), _HASH)):
            return False
        self.files.write(name, at, answer)
        self.number += 1
        if at + len(answer) == size:
            self.files.close()
            self._advance()
        return True

    def check(self, damaged):
        """Read everything back: a generator that yields after each piece. Names of files that are not what they have to be
        go to the list `damaged`; they are removed, and fetched again. Raises OSError."""
        for name, size, digest, _ in entries(self.header, self._list):
            found = sha256()
            is_there = self.files.size(name) == size
            for at in range(0, size if is_there else 0, CHUNK):
                found.update(self.files.read(name, at, CHUNK))
                yield
            if not is_there or found.digest() != digest:
                damaged.append(name)
                self.files.remove(name)
        if damaged:
            self._rewind()
