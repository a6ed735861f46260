"""Updates for tests: made here a second time, and a flash in memory."""

from picoswarm.compat import sha256
from picoswarm.manifest import Header


def make_list(files, size_of=None):
    """(list, chunks) of files, (name, data) in the order given. `size_of` lies about a size, by name."""
    entries = b""
    hashes = b""
    for name, data in files:
        size = (size_of or {}).get(name, len(data))
        name = name.encode()
        entries += bytes((len(name),)) + name + size.to_bytes(4, "big") + sha256(data).digest()
        for at in range(0, len(data), 256):
            hashes += sha256(data[at : at + 256]).digest()[:16]
    return bytes((len(files),)) + entries + hashes, len(hashes) // 16


def make_header(listed, chunks, version=1, boards=b"*", signature=bytes(64)):
    text = b"\1" + version.to_bytes(4, "big") + len(listed).to_bytes(2, "big") + chunks.to_bytes(2, "big")
    return text + sha256(listed).digest() + bytes((len(boards),)) + boards + signature


class Whole:
    """An update that somebody has whole: what serving.py asks of a holder."""

    def __init__(self, files, version=1, **more):
        listed, chunks = make_list(files, **more)
        self.header = Header(make_header(listed, chunks, version))
        self.files = dict(files)
        self._listed = listed

    def list(self, at, n):
        return self._listed[at : at + n]

    def read(self, name, at, n):
        return self.files[name][at : at + n]


class MemoryFiles:
    """An AppFiles in a dict. `room`: bytes that there are; `left`: writes until the power goes."""

    def __init__(self, room=1 << 20):
        self.files = {}
        self.room = room
        self.left = -1
        self.written = []  # names, in order

    def clear(self):
        self.files = {}

    def begin(self, text):
        self.clear()
        self.write(".update", 0, text)

    def note(self, at, n):
        return self.files.get(".update", b"")[at : at + n]

    def add_note(self, at, data):
        self.write(".update", at, data)

    def size(self, name):
        return len(self.files[name]) if name in self.files else -1

    def read(self, name, at, n):
        return self.files[name][at : at + n]

    def write(self, name, at, data):
        if self.left == 0:
            raise OSError(5)
        self.left -= 1
        old = self.files.get(name, b"") if at else b""
        assert at <= len(old), "a hole"
        new = old[:at] + data + old[at + len(data) :]
        if sum([len(each) for each in self.files.values()]) - len(self.files.get(name, b"")) + len(new) > self.room:
            raise OSError(28)
        self.files[name] = new
        self.written.append(name)

    def sync(self):
        pass

    close = sync

    def remove(self, name):
        self.files.pop(name, None)

    def content(self):
        return {name: data for name, data in self.files.items() if name != ".update"}
