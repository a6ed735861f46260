"""The keys of a node in libp2p: its own node key, and the signature of its static key, made once and kept in its folder."""

from .compat import sleep_ms
from .errors import StoreError
from .slots import Kind
from .store import Store

LIBP2P = Kind(8, "libp2p", copies=1)  # id 32 | signature 64


class Keys:
    """`static_private`, `static_public`, `public_key` and `signature`, as p2psetup.py wants them."""

    signature = b""

    def __init__(self, identity, public_key):
        self.static_private = identity.static_private
        self.static_public = identity.static_public
        self.public_key = public_key
        self._id = identity.id

    async def take(self, folder):
        """Load the signature, or make it: a second or two on a board. Returns a kept copy. Raises StoreError where the seed
        cannot be read."""
        from .identity import Kept
        from .p2psetup import signed_text

        store = Store(folder) if isinstance(folder, str) else folder
        payload = store.read(LIBP2P) or b""
        if len(payload) == 96 and payload[:32] == self._id:
            self.signature = payload[32:]
        else:
            from .ed25519 import Sign
            from .saves import load_seed

            job = Sign(load_seed(folder), self._id, signed_text(self.static_public))
            while job.step():
                await sleep_ms(0)
            self.signature = job.result
            try:
                store.write(LIBP2P, self._id + self.signature)
            except StoreError:
                pass  # it is made again
        kept = Kept()
        kept.static_private = self.static_private
        kept.static_public = self.static_public
        kept.public_key = self.public_key
        kept.signature = self.signature
        return kept
