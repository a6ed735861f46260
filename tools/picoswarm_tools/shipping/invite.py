"""An invitation to a mesh as a URL, and as a QR code of it: what `picoswarm provision --join` and a phone can carry.

`picoswarm:join?network=...&operator=...`, each part a whole slot file (lib/picoswarm/slots.py) in base64url, so that a
mistyped character is found. The network key is in it: whoever reads it is a member, as with `provision --show`.
"""

from __future__ import annotations

import base64
import binascii
import io
from urllib.parse import parse_qs, urlencode, urlsplit

from picoswarm.changes import PUBLIC, decode_operator
from picoswarm.errors import PicoswarmError
from picoswarm.membership import Membership
from picoswarm.slots import NETWORK, OPERATOR, Kind, decode_slot, encode_slot

from .exits import Failed

SCHEME = "picoswarm"


def _packed(kind: Kind, payload: bytes) -> str:
    return base64.urlsafe_b64encode(encode_slot(kind, 0, payload)).decode().rstrip("=")


def _unpacked(kind: Kind, text: str) -> bytes:
    return decode_slot(kind, base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))[1]


def invitation(membership: Membership, operator: bytes | None) -> str:
    """The URL of a mesh. `operator`: the payload of its operator file, of which the public key alone goes along."""
    parts = {"network": _packed(NETWORK, membership.encode())}
    if operator:
        parts["operator"] = _packed(OPERATOR, operator[:PUBLIC])
    return f"{SCHEME}:join?{urlencode(parts)}"


def accept(url: str) -> tuple[Membership, bytes | None]:
    """(membership, payload of the operator file or None) of an invitation. Raises Failed for what is none."""
    parts = urlsplit(url.strip())
    fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.scheme != SCHEME or parts.path != "join" or "network" not in fields:
        raise Failed("This is no invitation: it begins with picoswarm:join?network=")
    try:
        membership = Membership.decode(_unpacked(NETWORK, fields["network"]))
        operator = _unpacked(OPERATOR, fields["operator"]) if "operator" in fields else None
        if operator is not None:
            decode_operator(operator)
    except (PicoswarmError, binascii.Error, ValueError) as trouble:
        raise Failed(f"The invitation is damaged: {trouble}. Was all of it copied?") from None
    return membership, operator


def qr(url: str) -> str:
    """The QR code of a URL for a terminal."""
    import segno

    out = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(out, compact=True)
    return out.getvalue()
