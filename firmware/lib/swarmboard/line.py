"""A serial line as PPP reads it: what is there, without a wait for more.

PPP asks a UART for 256 bytes, and that waits for each further one: at the end of each packet nothing else runs for as long
as several bytes take (MicroPython 1.26 on an RP2).
"""

from io import IOBase


class Line(IOBase):
    """A UART in the place of which PPP takes it."""

    def __init__(self, uart):
        self._any = uart.any
        self._readinto = uart.readinto
        self.write = uart.write
        self.irq = uart.irq
        self.IRQ_RXIDLE = uart.IRQ_RXIDLE

    def readinto(self, buf):
        """Bytes that were there, up to the size of `buf`: maybe 0. Runs as an interrupt lets it, and takes no memory."""
        n = self._any()
        return n and self._readinto(buf, n)
