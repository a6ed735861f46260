"""The serial line as PPP reads it: no read waits for bytes that are not there."""

from swarmboard.line import Line

WAITS_MS = 2  # of a UART of an RP2 for each byte that it has not


class Uart:
    """machine.UART of an RP2: it waits for what it has not."""

    IRQ_RXIDLE = 64

    def __init__(self):
        self.there = b""
        self.written = b""
        self.waited_ms = 0
        self.told = None

    def any(self):
        return len(self.there)

    def readinto(self, buf, n):
        n = min(n, len(buf))
        self.waited_ms += WAITS_MS * (n > len(self.there))
        n = min(n, len(self.there))
        buf[:n] = self.there[:n]
        self.there = self.there[n:]
        return n or None

    def write(self, data):
        self.written += data
        return len(data)

    def irq(self, handler, trigger):
        self.told = handler, trigger


def test_a_read_takes_what_is_there_and_waits_for_no_more():
    uart = Uart()
    line = Line(uart)
    buf = bytearray(8)
    for there, read in ((b"", b""), (b"abc", b"abc"), (b"abcdefghij", b"abcdefgh"), (b"", b"ij")):
        uart.there += there
        assert line.readinto(buf) == len(read) and bytes(buf[: len(read)]) == read
    assert not line.readinto(buf) and not uart.waited_ms


def test_all_else_is_the_uarts():
    uart = Uart()
    line = Line(uart)
    assert line.write(b"xyz") == 3 and uart.written == b"xyz"
    line.irq("handler", line.IRQ_RXIDLE)
    assert uart.told == ("handler", 64)
