"""What a board keeps, written over and over while the power goes. `run(part, count)` is one boot; `part`:

    book     the node key at the first boot, then the address book
    update   an application that comes by an update: fetched from itself, checked, switched to, started, confirmed
    deploy   the files of a deployment: staged, checked and landed by the programs that `picoswarm deploy` runs there

A line of JSON for each step: {"id", "number", "is_whole"} once the key is there, with the number of the last book, version
or release; {"wrote"} after each further one; {"done"}.
"""

import json
import os
from binascii import hexlify
from hashlib import sha256

from picoswarm.keys import LoadOrCreate, gather
from picoswarm.slots import BOOK
from picoswarm.store import Store

BYTES = 700  # of a book with some fifteen nodes in it
FILES = {"app.py": 700, "lib/part.py": 300, "notes": 40}  # of an application, by name, in bytes


def text(number, n=BYTES):
    return (b"%d," % number) * (n // len(b"%d," % number))


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_release(root, number):
    """Whether all files of an application below a folder are those of this number."""
    return all([read(root + "/" + name) == text(number, FILES[name]) for name in FILES])


class Books:
    def __init__(self, store):
        self.store = store
        last = store.read(BOOK)
        self.number = int(last.split(b",")[0]) if last else 0
        self.is_whole = not last or last == text(self.number)

    def write(self, number):
        self.store.write(BOOK, text(number), number * 1800)


class Updates:
    def __init__(self, store):
        from apps import current
        from picoswarm.appslots import AppState

        self.store = store
        self.state = AppState.read(store)
        self.number = self.state.version
        self.is_whole = not self.number or is_release(current(store), self.number)

    def write(self, number):
        from apps import confirm, starting
        from picoswarm.appfiles import AppFiles
        from picoswarm.appslots import APP, FOLDERS
        from picoswarm.fetching import Fetch
        from picoswarm.serving import piece

        if self.state.trial:  # the power went before it was confirmed
            confirm(self.store)
            self.state.confirm()
        held = Whole(number)
        files = AppFiles("", FOLDERS[self.state.spare()])
        fetch = Fetch(held.header, files)
        fetch.begin()
        while not fetch.is_complete:
            if not fetch.take(piece(held, fetch.question())):
                raise ValueError("a wrong piece")
        damaged = []
        for _ in fetch.check(damaged):
            pass
        if damaged:
            raise ValueError(f"damaged on flash: {damaged}")
        files.close()
        self.state.switch(number)
        self.store.write(APP, self.state.encode())
        starting(self.store)
        confirm(self.store)


class Whole:
    """An update that is held whole, for picoswarm.serving."""

    def __init__(self, number):
        from picoswarm.manifest import Header

        self.number = number
        entries = hashes = b""
        for name in sorted(FILES):
            data = text(number, FILES[name])
            entries += bytes((len(name),)) + name.encode() + len(data).to_bytes(4, "big") + sha256(data).digest()
            for at in range(0, len(data), 256):
                hashes += sha256(data[at : at + 256]).digest()[:16]
        self.listed = bytes((len(FILES),)) + entries + hashes
        head = b"\1" + number.to_bytes(4, "big") + len(self.listed).to_bytes(2, "big")
        head += (len(hashes) // 16).to_bytes(2, "big") + sha256(self.listed).digest() + b"\1*"
        self.header = Header(head + bytes(64))  # who signed it is no matter of the flash

    def list(self, at, n):
        return self.listed[at : at + n]

    def read(self, name, at, n):
        return text(self.number, FILES[name])[at : at + n]


class Deployments:
    """/deploy.json has the programs of `picoswarm deploy`, as a host sends them."""

    def __init__(self, store):
        from landing import land

        land()  # as boot.py does
        first = read("/app.py")
        self.number = int(first.split(b",")[0]) if first else 0
        self.is_whole = not first or is_release("", self.number)

    def write(self, number):
        with open("/deploy.json") as file:
            folder, prepare, land = json.load(file)
        exec(prepare, {})
        names = list(FILES)
        new = {"list": "".join([f"{i} /{names[i]}\n" for i in range(len(names))]).encode()}
        for i in range(len(names)):
            new[str(i)] = text(number, FILES[names[i]])
        sums = {}
        for name in new:
            with open(folder + "/" + name, "wb") as file:
                file.write(new[name])
            sums[name] = hexlify(sha256(new[name]).digest()).decode()
        exec(land, {"sums": sums})
        if not is_release("", number):
            raise ValueError("it did not land")


def run(part, count):
    """Make or load the key, then write `count` further numbers."""
    store = Store("swarm")
    job = LoadOrCreate(store, gather(store))
    while job.step():
        pass
    kept = {"book": Books, "update": Updates, "deploy": Deployments}[part](store)
    print(json.dumps({"id": job.result.id.hex(), "number": kept.number, "is_whole": kept.is_whole}))
    for number in range(kept.number + 1, kept.number + 1 + count):
        kept.write(number)
        print(json.dumps({"wrote": number}))
    print(json.dumps({"done": True, "free": os.statvfs("/")[3]}))
