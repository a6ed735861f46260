"""The watchdog of a board, which resets it unless it is fed: see health.py for when. No board has to have one."""

import sys

_RP2040_CTRL = 0x40058000
_RP2350_CTRL = 0x400D8000
_CLEAR = 0x3000  # of a register of either chip: the address that clears the bits which are written
_ENABLE = 1 << 30
_LONG_MS = 1_000_000_000


class Watchdog:
    """`timeout_ms`: 0 for none; an RP2 chip takes 8388 at most."""

    def __init__(self, timeout_ms):
        self._wdt = None
        if timeout_ms:
            try:
                from machine import WDT

                self._wdt = WDT(timeout=timeout_ms)
            except (ImportError, ValueError, OSError):
                pass

    def feed(self):
        """The board made progress."""
        if self._wdt:
            self._wdt.feed()

    def release(self):
        """Somebody works at the REPL: the board is not to be reset under their hands."""
        if not self._wdt:
            return
        if sys.platform == "rp2":  # which has no call for it
            from machine import mem32

            is_rp2350 = "RP2350" in sys.implementation._machine
            mem32[(_RP2350_CTRL if is_rp2350 else _RP2040_CTRL) + _CLEAR] = _ENABLE
        else:
            try:
                from machine import WDT

                WDT(timeout=_LONG_MS)  # an ESP32 takes the new time
            except (ValueError, OSError):
                pass
