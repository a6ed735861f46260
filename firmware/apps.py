"""Which application this board starts: one that came by an update, in /app_a or /app_b, or the user's own /app.py
(docs/updates.md). main.py says:

    folder = apps.starting()     # before the application is imported from there; counts a try
    apps.confirm()               # once it does well; else the one before is back after three tries

The record is two-slot and written whole or not at all; where it cannot be read, the user's own application runs.
"""

import os
import sys

from picoswarm.appslots import APP, FOLDERS, AppState
from picoswarm.store import Store


def _read(store):
    try:
        return AppState(store.read(APP))
    except Exception:  # of another version of the library, say
        return AppState()


def _path(state, root):
    """The folder of the application; that of the user's own where it is gone."""
    path = root.rstrip("/") + "/" + FOLDERS[state.slot]
    try:
        os.stat(path)
    except OSError:
        path = root
    return path


def current(store, root="/"):
    """The folder of the application that runs, "/" for the user's own. `store`: a Store, or the path of the node's folder.
    Raises StoreError."""
    return _path(_read(_store(store)), root)


def starting(store, root="/"):
    """The same, for the start that follows: it is counted, and after three that nobody confirmed the application before
    is back. The folder stands first on the module path then. Raises StoreError."""
    store = _store(store)
    state = _read(store)
    if state.start():
        store.write(APP, state.encode())
    path = _path(state, root)
    if path not in sys.path:
        sys.path.insert(0, path)
    return path


def confirm(store):
    """The application that runs does well: no start takes it back any more. False: nothing was to confirm. Raises
    StoreError."""
    store = _store(store)
    state = _read(store)
    if not state.confirm():
        return False
    store.write(APP, state.encode())
    return True


def _store(store):
    return Store(store) if isinstance(store, str) else store
