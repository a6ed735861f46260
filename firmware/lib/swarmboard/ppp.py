"""PPP over a serial line: how an emulated Pico, which has no radio, gets into the network."""

from asyncio import sleep_ms

_SETTLE_MS = 500  # between hanging up and the next call


class Ppp:
    """See station.py. `ppp`: {"uart", "tx", "rx", "baud"}, each of which may be left out."""

    wifi = True  # there is nothing to be told

    def __init__(self, ppp):
        from machine import UART
        from network import PPP

        from .line import Line

        # The receive buffer must exceed lwIP's window: the line is read only when it goes idle.
        pins = {"tx": ppp.get("tx", 4), "rx": ppp.get("rx", 5)}
        uart = UART(ppp.get("uart", 1), ppp.get("baud", 921600), rxbuf=8192, txbuf=4096, **pins)
        self._ppp = PPP(Line(uart))

    def connect(self):
        """Begin to negotiate. May raise OSError."""
        if hasattr(self._ppp, "active"):  # an ESP32 wants it, lwIP on an RP2 does not know it
            self._ppp.active(True)
        self._ppp.connect()

    async def reset(self):
        """Hang up and negotiate anew. May raise OSError."""
        self.stop()
        await sleep_ms(_SETTLE_MS)
        self.connect()

    def stop(self):
        """Hang up."""
        try:
            self._ppp.disconnect()
        except OSError:
            pass

    def is_up(self):
        """Whether an address was negotiated."""
        return self._ppp.isconnected()

    def why(self):
        """In words, what keeps it from being connected."""
        return "nobody answers at the other end of the line"

    @property
    def host(self):
        """The own address, which the node does not find out by itself here."""
        return self._ppp.ifconfig()[0]

    def address(self):
        """The own address, and the server to ask for a sign of life, as texts."""
        ip, _mask, router, names = self._ppp.ifconfig()
        return ip, names if names != "0.0.0.0" else router
