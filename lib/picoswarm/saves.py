"""What a running node writes to its folder now and then. Loaded for each write, and forgotten with it."""

import sys

from .compat import unload

# What is loaded from here on goes again, and this module with it.
_before = list(sys.modules)
_before.remove(__name__)


def save(folder, uptime_s, keyring=None, table=None, book=None):
    """Bring the folder (a path, or a Store) up to the network keys in `keyring`, and what it knows of others up to `table`
    and `book`, at most once in half an hour. False: the keys could not be written. Nodes that cannot be written are done
    without."""
    from .errors import StoreError
    from .slots import BOOK, NETWORK, NODES
    from .store import Store

    is_saved = not keyring
    try:
        store = Store(folder) if isinstance(folder, str) else folder
        if keyring:
            from .membership import encode_keys

            store.write(NETWORK, encode_keys(keyring))
            is_saved = True
        if table:
            from .nodedb import encode_nodes

            nodes = encode_nodes(table)
            if nodes[0]:  # who met nobody keeps those of its life before
                store.write(NODES, nodes, uptime_s)
        if book:
            from .bookfile import encode_book

            store.write(BOOK, encode_book(book), uptime_s)
    except StoreError:
        pass
    finally:
        unload(_before)
    return is_saved


def _give(folder, kind, take):
    """Call `take` with what the folder has of a kind. Where that cannot be read it is done without."""
    from .errors import Malformed, StoreError
    from .store import Store

    try:
        payload = (Store(folder) if isinstance(folder, str) else folder).read(kind)
        if payload:
            take(payload)
    except (Malformed, StoreError):
        pass
    finally:
        unload(_before)


def load_book(folder, book):
    """Fill an empty address book from the folder, where there is one that can be read."""
    from .bookfile import decode_book
    from .slots import BOOK

    _give(folder, BOOK, lambda payload: decode_book(book, payload))


def ask_kept(folder, engine):
    """Let the engine ask the nodes that the folder knows once more."""
    from .nodedb import decode_nodes
    from .slots import NODES

    def add(payload):
        for kept in decode_nodes(payload):
            engine.add_seed(*kept)

    _give(folder, NODES, add)


def load_seed(folder):
    """The seed of the node key, which a running node does not keep. Raises StoreError."""
    from .keys import load_identity
    from .store import Store

    try:
        return load_identity(Store(folder) if isinstance(folder, str) else folder).seed
    finally:
        unload(_before)
