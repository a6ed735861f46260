"""identify: what libp2p peers tell each other of themselves (libp2p specs, identify). Pure."""

from .peerid import peer_id
from .protobuf import decode, encode

ID = b"/ipfs/id/1.0.0"
PUSH = b"/ipfs/id/push/1.0.0"
PING = b"/ipfs/ping/1.0.0"
VERSION = "picoswarm/1"
_PROTOCOLS_MOST = 1024
_ADDRESSES_MOST = 64


class Identified:
    """What a peer said: `public_key` (the message), `addresses` (bytes), `protocols` (texts), `observed` (bytes: where it
    sees us), `version`, `agent`."""

    def __init__(self):
        self.public_key = self.observed = b""
        self.version = self.agent = ""
        self.addresses = []
        self.protocols = []


def encode_identify(public_key, addresses, protocols, observed, agent):
    """The message."""
    fields = [(1, public_key)]
    for each in addresses:
        fields.append((2, each))
    for each in protocols:
        fields.append((3, each))
    fields += [(4, observed or None), (5, VERSION), (6, agent)]
    return encode(fields)


def decode_identify(data, peer):
    """The Identified of a message of a peer (its peer id), or None for what is malformed or tells another key."""
    fields = decode(data)
    if fields is None:
        return None
    found = Identified()
    try:
        for number, value in fields:
            if not isinstance(value, bytes):
                continue
            if number == 1:
                found.public_key = value
                if peer_id(value) != peer:
                    return None
            elif number == 2 and len(found.addresses) < _ADDRESSES_MOST:
                found.addresses.append(value)
            elif number == 3 and len(found.protocols) < _PROTOCOLS_MOST:
                found.protocols.append(str(value, "utf-8"))
            elif number == 4:
                found.observed = value
            elif number == 5:
                found.version = str(value, "utf-8")
            elif number == 6:
                found.agent = str(value, "utf-8")
    except ValueError:
        return None
    return found
