"""Improv Wi-Fi over a serial line, from the side of a computer: which networks a board sees, and which one it shall join.

The codec is the board's own (firmware/lib/swarmboard/improv.py), read from the checkout.
"""

from __future__ import annotations

import runpy
import time
from types import SimpleNamespace
from typing import Self

import serial

from ..runtimes import ROOT
from .exits import Failed, TimedOut

BAUD = 115200
ANSWER_SECONDS = 3
JOIN_SECONDS = 45
_ERRORS = {1: "it understood no word", 2: "it does not know that command", 3: "it cannot join that network"}


def codec() -> SimpleNamespace:
    """The codec of the firmware. Raises Failed in an installed copy, which has none."""
    path = ROOT / "firmware" / "lib" / "swarmboard" / "improv.py"
    if not path.is_file():
        raise Failed("Improv needs a checkout of the project.")
    return SimpleNamespace(**runpy.run_path(str(path)))


class Client:
    """One serial line with a board at its end. Raises OSError where there is none."""

    def __init__(self, port: str) -> None:
        self._code = codec()
        self._line = serial.serial_for_url(port, BAUD, timeout=0.1)
        self._parser = self._code.Parser()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def _packet(self, until: float) -> tuple[int, bytes] | None:
        """(type, data) of the next whole packet before the time `until`, or None."""
        while time.monotonic() < until:
            for byte in self._line.read(1):
                got = self._parser.feed(byte)
                if got:
                    return got
        return None

    def state(self, seconds: float = ANSWER_SECONDS) -> int | None:
        """The state that the board says it is in; None: it does not answer."""
        self._line.write(self._code.command(self._code.GET_STATE))
        until = time.monotonic() + seconds
        while (got := self._packet(until)) is not None:
            if got[0] == self._code.STATE and got[1]:
                return got[1][0]
        return None

    def join(self, ssid: str, password: str, seconds: float = JOIN_SECONDS) -> str:
        """Have the board join a network; returns the URL that it gives, which may be empty. Raises Failed, TimedOut."""
        code = self._code
        self._line.write(code.command(code.SET_WIFI, code.strings([ssid, password])))
        until = time.monotonic() + seconds
        while (got := self._packet(until)) is not None:
            kind, data = got
            if kind == code.ERROR and data[:1] != bytes((code.NO_ERROR,)):
                raise Failed(f"The board did not join {ssid}: {_ERRORS.get(data[0], f'error {data[0]}')}.")
            if kind == code.RESULT and data[:1] == bytes((code.SET_WIFI,)):
                return (code.parse_strings(data[2:]) or [""])[0]
        raise TimedOut(f"The board did not say within {seconds:g} s whether it joined {ssid}.")
