"""Which application this board starts: one that came by an update, in app_a or app_b, or the user's own app.py
(docs/updates.md). Whoever supervises the board says:

    folder = apps.starting()     # before the application is imported from there; counts a try
    apps.confirm()               # once it does well; else, after three tries, the one before is back
    updater = apps.follow(node)  # fetch the next one; restart when updater.ready is set

The record of it is written whole or not at all; where it cannot be read, the user's own application runs.
"""

import os
import sys

from picoswarm.compat import unload

FOLDER = "swarm"  # the node's
_ARCHES = "- x86 x64 armv6 armv6m armv7m armv7em armv7emsp armv7emdp xtensa xtensawin rv32imc".split()


def _read(store):
    """(Store, the kind APP, AppState). What this loads is let go with them."""
    before = list(sys.modules)
    from picoswarm.appslots import APP, AppState
    from picoswarm.store import Store

    unload(before)
    store = Store(store) if isinstance(store, str) else store
    return store, APP, AppState.read(store)


def _folder(state, root):
    """Where the application is; that of the user's own where its folder is gone."""
    folder = root + ("", "app_a", "app_b")[state.slot]
    try:
        os.stat(folder)
        return folder
    except OSError:
        return root


def current(store=FOLDER, root=""):
    """The folder of the application that runs, `root` for the user's own. `store`: the node's folder, or a Store. Raises
    StoreError."""
    return _folder(_read(store)[2], root)


def starting(store=FOLDER, root=""):
    """The same, for the start that follows, which is counted: after three that nobody confirmed, the application before is
    back. Raises StoreError."""
    store, kind, state = _read(store)
    if state.start():
        store.write(kind, state.encode())
    return _folder(state, root)


def confirm(store=FOLDER):
    """The application that runs does well: no start takes it back any more. False: there was nothing to confirm. Raises
    StoreError."""
    store, kind, state = _read(store)
    if not state.confirm():
        return False
    store.write(kind, state.encode())
    return True


def names():
    """What this board answers to: its name in MicroPython (RPI_PICO_W), and the architecture of its native code (armv6m)."""
    found = []
    board = getattr(sys.implementation, "_build", "")
    if board:
        found.append(board)
    arch = getattr(sys.implementation, "_mpy", 0) >> 10 & 15
    if 0 < arch < len(_ARCHES):
        found.append(_ARCHES[arch])
    return found


def follow(node, more=(), root=""):
    """Fetch the next application for this board as the mesh offers it, and hand on the one that runs. `more`: names that the
    board answers to as well. Returns the Updater."""
    from picoswarm.update import Updater

    updater = Updater(node, names() + list(more), root)
    updater.start()
    return updater
