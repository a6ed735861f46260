"""What a board keeps, written over and over while the power goes: the node key at the first boot, then the address book.

A line of JSON for each step: {"id", "book"} once the key is there, with the number of the last book that is whole; {"wrote"}
after each book; {"done"}.
"""

import json

from picoswarm.keys import LoadOrCreate, gather
from picoswarm.slots import BOOK
from picoswarm.store import Store

BYTES = 700  # of a book with some fifteen nodes in it


def book(number):
    return (b"%d," % number) * (BYTES // len(b"%d," % number))


def run(count):
    """Make or load the key, then write `count` further books."""
    store = Store("swarm")
    job = LoadOrCreate(store, gather(store))
    while job.step():
        pass
    last = store.read(BOOK)
    number = int(last.split(b",")[0]) if last else 0
    print(json.dumps({"id": job.result.id.hex(), "book": number, "is_whole": not last or last == book(number)}))
    for i in range(number + 1, number + 1 + count):
        store.write(BOOK, book(i), i * 1800)
        print(json.dumps({"wrote": i}))
    print(json.dumps({"done": True}))
