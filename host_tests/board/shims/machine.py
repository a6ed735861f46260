"""`machine` of a board, as far as the firmware asks for it and the unix port lacks it: a reset ends the process."""

import os
import sys
import time

RESET = 90  # exit codes, for who runs the process
SLEEP = 91
WATCHDOG = 92

PWRON_RESET = 1
WDT_RESET = 3


def reset_cause():
    return int(os.getenv("BOARD_RESET_CAUSE") or PWRON_RESET)


def reset():
    sys.exit(RESET)


def deepsleep(ms):
    print("deep sleep, ms:", ms)
    sys.exit(SLEEP)


def unique_id():
    return b"\x01\x02\x03\x04\x05\x06\x07\x08"


class WDT:
    """A watchdog that bites at the next feeding, where that comes too late: a process cannot be ended from outside of it."""

    def __init__(self, timeout):
        self._timeout = timeout
        self._fed = time.ticks_ms()

    def feed(self):
        now = time.ticks_ms()
        if time.ticks_diff(now, self._fed) > self._timeout:
            print("the watchdog bites")
            sys.exit(WATCHDOG)
        self._fed = now
