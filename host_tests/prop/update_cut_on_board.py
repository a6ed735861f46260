"""Runs on MicroPython: cuts the power at block operations of littlefs while a board fetches an update, switches to it, tries
it and confirms it. After each cut the board boots: it must find the old application whole, or the new one, never neither,
and finish what was begun.

Arguments: damage (clean, torn, garbled), how many cuts (0: at every operation), seed. Prints "cuts <n> old <n> new <n>".
"""

import os
import random
import sys

import apps
from picoswarm.appfiles import AppFiles
from picoswarm.appslots import APP, AppState
from picoswarm.errors import Malformed, StoreError
from picoswarm.fetching import Fetch
from picoswarm.serving import piece
from picoswarm.store import Store
from power_cut_on_board import Board, PowerCut
from updating import Whole

ROOT = "/flash/"
OLD = {"app.py": b"old" * 200, "lib/a.py": b"old a"}
NEW = {"app.py": b"new" * 300, "lib/a.py": b"new a", "lib/b.py": b"b" * 700}
HELD = Whole(sorted(NEW.items()), version=2)


def install(store):
    """The old application runs from app_a, and there are remains of an older one in app_b."""
    for folder, text in (("app_a", OLD), ("app_b", {"app.py": b"older", "gone.py": b"x" * 600})):
        files = AppFiles(ROOT, folder)
        files.begin(b"")
        for name in text:
            files.write(name, 0, text[name])
        files.close()
    state = AppState()
    state.slot = state.version = state.floor = 1
    store.write(APP, state.encode())


def live(store):
    """What the life of the board holds: fetch, switch, start, confirm."""
    state = AppState(store.read(APP))
    if state.floor < 2:
        files = AppFiles(ROOT, "app_b")
        fetch = Fetch(HELD.header, files)
        fetch.begin()
        while not fetch.is_complete:
            while not fetch.is_complete:
                assert fetch.take(piece(HELD, fetch.question()))
            damaged = []
            for _ in fetch.check(damaged):
                pass
        files.close()
        state.switch(2)
        store.write(APP, state.encode())
    apps.starting(store, ROOT)
    apps.confirm(store)


def content(folder):
    found = {}
    for name in os.listdir(folder):
        if name != ".update":
            path = folder + "/" + name
            if os.stat(path)[0] & 0x4000:
                inner = content(path)
                for each in inner:
                    found[name + "/" + each] = inner[each]
            else:
                with open(path, "rb") as file:
                    found[name] = file.read()
    return found


def judge(store):
    """0: the old application would start, 1: the new one. It is whole."""
    folder = apps.current(store, ROOT)
    state = AppState(store.read(APP))
    assert folder == ROOT + ("app_a" if state.slot == 1 else "app_b") and state.slot
    assert state.version == state.slot, "version 1 is in app_a, version 2 in app_b"
    assert content(folder) == (OLD if state.slot == 1 else NEW), (folder, state.slot)
    return state.slot - 1


def operations(base):
    """How many block operations an undisturbed life takes."""
    board = Board("lfs2", bytearray(base.image))
    live(board.boot(1 << 28))
    count = (1 << 28) - board.flash.left
    assert judge(Store("/flash/keys")) == 1
    board.off()
    return count


def cut(base, at, damage):
    board = Board("lfs2", bytearray(base.image))
    try:
        live(board.boot(at, damage))
    except (PowerCut, OSError, Malformed, StoreError) as error:
        del error
    assert board.flash.left == 0, "the power went"
    board.off()
    store = board.boot()
    found = judge(store)
    live(store)  # whatever was left there
    assert judge(store) == 1 and not AppState(store.read(APP)).trial
    board.off()
    return found


def main():
    damage, cuts, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    random.seed(seed)
    base = Board("lfs2")
    install(base.boot())
    base.off()
    count = operations(base)
    counts = [0, 0]
    places = range(1, count + 1)
    if cuts:  # one of them in each part of the life
        places = [1 + (i * count + random.randrange(count)) // cuts for i in range(cuts)]
    for at in places:
        counts[cut(base, min(at, count), damage)] += 1
    print(f"cuts {sum(counts)} old {counts[0]} new {counts[1]}")


main()
