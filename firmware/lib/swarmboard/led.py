"""What the status LED says. A code is a number of short blinks, then a pause; three are none. Pure but for `Led`."""

OFF = 0
JOINING = 1  # no connection to the network yet
NO_WIFI = 2  # nobody said which Wi-Fi to join: provision the board
NO_KEY = 3  # no network key: provision the board
ALONE = 4  # the network is there, no other node is
MISTAKE = 5  # picoswarm.json has a mistake; the serial console says which
FAILED = 6  # the program failed; the board restarts in a moment
JOINED = -1  # all is well: a wink every four seconds
SAFE = -2  # safe mode: fast and steady
IDENTIFY = -3  # "which one is it?": nearly always on

_BLINK_MS = 150
_DARK_MS = 250
_PAUSE_MS = 1200


def is_on(code, ms):
    """Whether the LED shines, `ms` milliseconds after the code began."""
    if code == JOINED:
        return ms % 4000 < 60
    if code == SAFE:
        return ms % 200 < 100
    if code == IDENTIFY:
        return ms % 500 < 400
    if code <= 0:
        return False
    ms %= code * (_BLINK_MS + _DARK_MS) + _PAUSE_MS
    return ms < code * (_BLINK_MS + _DARK_MS) and ms % (_BLINK_MS + _DARK_MS) < _BLINK_MS


class Led:
    """The LED of the board, or none. `pin`: a number, a name such as "LED", or None for the board's own; a number below 0
    stands for -1 - number, of an LED that shines when its pin is low."""

    def __init__(self, pin=None):
        self.code = OFF
        self._is_low = isinstance(pin, int) and pin < 0
        self._pin = None
        try:
            from machine import Pin

            self._pin = Pin("LED" if pin is None else -1 - pin if self._is_low else pin, Pin.OUT)
        except (ImportError, ValueError, TypeError, AttributeError):
            pass  # a board without one, or whose firmware does not name it

    async def run(self):
        """Show the code, for ever."""
        from asyncio import sleep_ms

        shown, ms = OFF, 0
        while self._pin:
            ms = ms + 50 if shown == self.code and ms < 1 << 20 else 0
            shown = self.code
            self._pin.value(is_on(shown, ms) != self._is_low)
            await sleep_ms(50)
