"""identify: what libp2p peers tell each other of themselves (libp2p specs, identify). Pure."""

from collections import namedtuple

from .peerkey import peer_id
from .protobuf import decode_fields, encode_fields

VERSION = "picoswarm/1"
_PROTOCOLS_MOST = 1024
_ADDRESSES_MOST = 64

Identified = namedtuple("Identified", ("public_key", "addresses", "protocols", "observed", "version", "agent"))


def encode_identify(public_key, addresses, protocols, observed, agent):
    """The message."""
    fields = [(1, public_key)]
    for each in addresses:
        fields.append((2, each))
    for each in protocols:
        fields.append((3, each))
    fields += [(4, observed or None), (5, VERSION), (6, agent)]
    return encode_fields(fields)


def decode_identify(data, peer):
    """The Identified of a message of a peer (its peer id), or None for what is malformed or tells another key:
    `public_key` (the
    message), `addresses` (bytes), `protocols` (texts), `observed` (bytes: where it sees us), `version`, `agent`."""
    fields = decode_fields(data)
    if fields is None:
        return None
    texts = {5: "", 6: ""}
    public_key = observed = b""
    addresses = []
    protocols = []
    try:
        for number, value in fields:
            if not isinstance(value, bytes):
                continue
            if number == 1:
                public_key = value
                if peer_id(value) != peer:
                    return None
            elif number == 2 and len(addresses) < _ADDRESSES_MOST:
                addresses.append(value)
            elif number == 3 and len(protocols) < _PROTOCOLS_MOST:
                protocols.append(str(value, "utf-8"))
            elif number == 4:
                observed = value
            elif number in texts:
                texts[number] = str(value, "utf-8")
    except ValueError:
        return None
    return Identified(public_key, addresses, protocols, observed, texts[5], texts[6])
