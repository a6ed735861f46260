"""The exceptions of the library. What a peer did wrong is counted or closes the peer; only a caller's mistakes raise.

What stays in memory of a running node imports from here where it raises, so that this module need not stay."""

from .rooterror import PicoswarmError


class Malformed(PicoswarmError):
    """Bytes that do not decode. Raised by decoders only and caught at the single receive entrance of an engine."""


class LocalError(PicoswarmError):
    """The caller broke this library's rules: wrong size, wrong state, a limit of the profile."""


class EntropyError(PicoswarmError):
    """The random source failed its health test: no key is made from it."""


class StoreError(PicoswarmError):
    """The file system refused a write, or holds no readable copy of what must be there."""
