"""The keys of a node in libp2p: its own node key, and the signature of its static key, made once and kept in its folder.
Loaded once, and forgotten."""

from .compat import collect, sleep_ms
from .errors import StoreError
from .identity import Kept
from .slots import Kind
from .store import Store

LIBP2P = Kind(10, "libp2p", copies=1)  # id 32 | signature 64


async def take_keys(identity, public_key, folder):
    """`static_private`, `static_public`, `public_key` and `signature`, as p2psetup.py wants them. The signature is
    loaded, or made, which takes a board a second. Raises StoreError where the seed cannot be read."""
    kept = Kept()
    kept.static_private = identity.static_private
    kept.static_public = identity.static_public
    kept.public_key = public_key
    store = Store(folder) if isinstance(folder, str) else folder
    payload = store.read(LIBP2P) or b""
    if len(payload) == 96 and payload[:32] == identity.id:
        kept.signature = payload[32:]
        return kept
    from .saves import load_seed

    seed = load_seed(folder)
    collect()
    from .ed25519 import Sign

    job = Sign(seed, identity.id, b"noise-libp2p-static-key:" + kept.static_public)
    while job.step():
        await sleep_ms(0)
    kept.signature = job.result
    try:
        store.write(LIBP2P, identity.id + kept.signature)
    except StoreError:
        pass  # it is made again
    return kept
