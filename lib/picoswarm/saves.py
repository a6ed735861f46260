"""What a running node writes to its folder now and then. Loaded for each write, and forgotten after it."""

from .errors import StoreError
from .nodedb import encode_nodes
from .slots import NETWORK, NODES
from .store import Store


def save(folder, uptime_s, keyring=None, table=None):
    """Bring the folder (a path, or a Store) up to the network keys in `keyring`, and its node database up to `table`, at
    most once in half an hour. False: the keys could not be written. Nodes that cannot be written are done without."""
    try:
        store = Store(folder) if isinstance(folder, str) else folder
        if keyring:
            from .membership import encode_keys

            store.write(NETWORK, encode_keys(keyring))
    except StoreError:
        return not keyring
    try:
        if table:
            store.write(NODES, encode_nodes(table), uptime_s)
    except StoreError:
        pass
    return True
