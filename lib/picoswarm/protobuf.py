"""The part of Protocol Buffers that libp2p's messages need: numbers and bytes, in the order of a list. Pure."""

from .compat import const

_VARINT_MOST = const(10)
_BYTES = const(2)  # wire types
_FIXED64 = const(1)
_FIXED32 = const(5)


def varint(value):
    """An unsigned number as 1 to 10 bytes, seven bits each, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(buf, at, end):
    """(value, where it ends) of the number at buf[at:end]; (0, -1) for one without an end, (0, 0) where more may come."""
    value = shift = 0
    while at < end:
        byte = buf[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= 7 * _VARINT_MOST:
            return 0, -1
    return 0, 0


def encode_fields(fields):
    """The message of a list of (number, value): bytes or texts, or numbers, of any field; None is left out."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif value is not None:
            if isinstance(value, str):
                value = value.encode()
            out += varint(number << 3 | _BYTES) + varint(len(value)) + value
    return bytes(out)


def decode_fields(buf):
    """The fields of a message as a list of (number, value), bytes or int; None for what is malformed. Fields of fixed size
    are passed over."""
    fields = []
    at = 0
    end = len(buf)
    while at < end:
        tag, at = read_varint(buf, at, end)
        kind = tag & 7
        value = None
        if at > 0 and kind in (0, _BYTES):
            value, at = read_varint(buf, at, end)
        if at < 1:
            return None
        if kind == _BYTES:
            if value > end - at:
                return None
            at += value
            value = bytes(buf[at - value : at])
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            if at > end:
                return None
            continue
        elif kind:
            return None
        fields.append((tag >> 3, value))
    return fields


def last_of(fields, number, kind=bytes):
    """The last value of a field, which is the one that counts, as Protocol Buffers have it, if it is of this kind;
    else None."""
    found = None
    for each, value in fields:
        if each == number and isinstance(value, kind):
            found = value
    return found
