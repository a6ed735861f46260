"""How a gateway brings back who slept through a revocation (docs/protocol.md 7.6). Pure.

Its swarm holds a Returning in the place of the Keyring: that one also opens handshakes under the key that was revoked. Such a
session is for ids that the gateway knew before, and for requests alone; the gateway hands it the change (rekey.offer) and
closes it.
"""

from .compat import const

_EPOCH = const(9)  # see reasons.py
_HAD_SESSION = const(0x10)  # a state in the address book, see addrbook.py


class Returning:
    """A Keyring and its retired key. `is_known(id32)` says who may come back; whoever has a better memory than the table
    and the address book of this boot puts its own in place."""

    def __init__(self, keyring, rpc, book, discovery):
        self.is_known = self._is_known
        self._keyring = keyring
        self._rpc = rpc
        self._book = book
        self._table = discovery.table

    @property
    def highest(self):
        """As of the Keyring, like the next two."""
        return self._keyring.highest

    @property
    def lower(self):
        return self._keyring.lower

    @property
    def serial(self):
        return self._keyring.serial

    def _is_known(self, id32):
        at = self._book.find(id32) if self._book else -1
        return at >= 0 and self._book.pool[at] & _HAD_SESSION or self._table.find(id32, 0, 32) >= 0

    def find(self, epoch):
        """The network key of an epoch, the retired one included, or None."""
        key = self._keyring.find(epoch)
        retired = self._keyring.retired
        return retired if key is None and retired and retired.epoch == epoch else key

    def refusal(self, session):
        """Why there may be no session with a peer that has proven itself, or 0."""
        reason = self._keyring.refusal(session)
        if reason != _EPOCH or not self.find(session.epoch):
            return reason
        if self._rpc not in session.reactors or not self.is_known(session.id):
            return reason
        session.reactors = [self._rpc]
        return 0
