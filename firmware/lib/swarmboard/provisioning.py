"""Wi-Fi by the serial line, while a board has none that works: improv.py on the console.

The number of a command's packet is that of Ctrl-C. So the interrupt is taken from the interpreter meanwhile, and looked for
here, between packets: Ctrl-C, and mpremote with it, still gets the REPL.
"""

import sys
from asyncio import sleep_ms

from picoswarm.compat import readable

from . import improv

_JOIN_MS = 25_000
_SURE_MS = 5_000  # before a password that the access point refuses is held for wrong
_TURN_MS = 100
_SCANNED = 12  # networks that are told


def _interrupts(key):
    try:
        from micropython import kbd_intr

        kbd_intr(key)
    except ImportError:
        pass


def _send(out):
    sys.stdout.buffer.write(out)


class Provisioning:
    """Serves one serial line for one station. `is_busy`: the station is being tried, and nobody else is to move it."""

    def __init__(self, station, info):
        self.is_busy = False
        self._station = station
        self._service = improv.Service(info)
        if station.is_up():
            self._service.state = improv.PROVISIONED

    async def run(self):
        """Serve until a network was told that the board could join, which then stands in the configuration; also at the end
        of the line. Raises KeyboardInterrupt for Ctrl-C."""
        _interrupts(-1)
        try:
            while self._service.state != improv.PROVISIONED:
                await readable(sys.stdin)
                byte = sys.stdin.buffer.read(1)
                if not byte:
                    return
                out = self._service.receive(byte[0])
                if out:
                    _send(out)
                if self._service.parser.is_interrupted:
                    raise KeyboardInterrupt
                if self._service.wish:
                    await self._fulfil(self._service.wish)
        finally:
            _interrupts(3)

    async def _fulfil(self, wish):
        self.is_busy = True
        try:
            if wish[0] == "scan":
                _send(self._service.networks(self._station.scan()[:_SCANNED]))
            elif await self._join(wish[1], wish[2]):
                _send(self._service.connected())
            else:
                _send(self._service.failed())
        except Exception as error:  # whatever the radio or the flash has: the line is served on
            print("Wi-Fi:", repr(error))
            _send(self._service.failed(improv.UNKNOWN_ERROR))
        finally:
            self.is_busy = False

    async def _join(self, ssid, password):
        """Whether the board could join a network; its name and password are kept only then."""
        from . import config

        before = self._station.wifi
        try:
            config.check_wifi(ssid, password)
        except config.Mistake as mistake:
            print(mistake)
            return False
        is_kept = False
        try:
            # The country stays, which Improv does not tell.
            self._station.wifi = dict(before or {}, ssid=ssid, password=password)
            self._station.connect()
            for turn in range(_JOIN_MS // _TURN_MS):
                await sleep_ms(_TURN_MS)
                if self._station.is_up():
                    config.save_wifi(ssid, password)
                    is_kept = True
                    return True
                if turn * _TURN_MS >= _SURE_MS and self._station.why() == "wrong password":
                    break
        finally:
            if not is_kept:
                self._station.wifi = before
        print("Wi-Fi:", self._station.why())
        return False
