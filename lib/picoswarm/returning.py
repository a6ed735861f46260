"""How a gateway brings back who slept through a revocation (docs/protocol.md 7.10). Pure.

Its swarm holds a Returning in the place of the Keyring: that one also opens handshakes under the key that was revoked. Such
a session is for ids that the gateway knew before, and for requests alone; the gateway hands it the change (rekey.offer) and
closes it.
"""

from .compat import const

_EPOCH = const(9)  # see reasons.py
_MOST = const(16384)  # ids


class Returning:
    """A Keyring and its retired key. Who had a session since the start, or is in the table, may come back;
    `remembers(id32)`, if there is one, knows of more."""

    def __init__(self, keyring, rpc, table):
        self.remembers = None
        self._known = {}  # ids, the oldest first
        self._keyring = keyring
        self._rpc = rpc
        self._table = table

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
        if id32 in self._known or self._table.find(id32, 0, 32) >= 0:
            return True
        return self.remembers is not None and self.remembers(id32)

    def find(self, epoch):
        """The network key of an epoch, the retired one included, or None."""
        key = self._keyring.find(epoch)
        retired = self._keyring.retired
        return retired if key is None and retired and retired.epoch == epoch else key

    def refusal(self, session):
        """Why there may be no session with a peer that has proven itself, or 0."""
        reason = self._keyring.refusal(session)
        if not reason:
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
            self._known[session.id] = True
        if reason != _EPOCH or not self.find(session.epoch):
            return reason
        if self._rpc not in session.reactors or not self._is_known(session.id):
            return reason
        session.reactors = [self._rpc]
        return 0
