"""The Ed25519 key of an X25519 key: how a node whose static key was received is known by its node id. Public bytes only."""

from .crypto import u_from_id

_P = 2**255 - 19


def is_id_of(id32, u32):
    """Whether id32 is what `id_from_u(u32)` gives, 32 bytes both. A product tells, where that takes a board 10 ms."""
    y = int.from_bytes(bytes(id32), "little")
    u = int.from_bytes(bytes(u32), "little")
    return y < _P and u < _P and (y * (u + 1) - u + 1) % _P == 0


def id_from_u(u32):
    """The Ed25519 key y = (u - 1) / (u + 1) with sign bit 0, 32 bytes; None when u >= p (top bit included) or u = p - 1.
    Raises ValueError for another size."""
    if len(u32) != 32:
        raise ValueError("id_from_u: size")
    u = int.from_bytes(bytes(u32), "little")
    # With f the map the other way, which is (1 + x) / (1 - x): y = -f(-u).
    y = u_from_id(((-u) % _P).to_bytes(32, "little")) if u < _P else None
    return y and ((-int.from_bytes(y, "little")) % _P).to_bytes(32, "little")
