"""The root of all exceptions of this library. It stands apart from errors.py, so that a program which catches RequestError
does not keep the others in memory."""


class PicoswarmError(Exception):
    """Root of every error that this library raises on purpose."""
