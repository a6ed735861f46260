"""Improv Wi-Fi over a serial line (improv-wifi.com/serial, version 1): how a browser or a phone tells a board its Wi-Fi.

    "IMPROV" | version 1 | type 1 | length 1 | data, length bytes | checksum 1: the sum of all before it, modulo 256

Both halves of the codec, for the board and for who tests it. The line carries console text as well: what is no packet is
left to the console. Pure: bytes come in, bytes and events come out.
"""

HEADER = b"IMPROV"
VERSION = 1

# Types of packets.
STATE = 1
ERROR = 2
COMMAND = 3
RESULT = 4

# States of the board.
READY = 2
PROVISIONING = 3
PROVISIONED = 4

# Errors.
NO_ERROR = 0
BAD_PACKET = 1
UNKNOWN_COMMAND = 2
CANNOT_CONNECT = 3
UNKNOWN_ERROR = 255

# Commands. Over a serial line there is no "identify"; that is of Improv over Bluetooth.
SET_WIFI = 1
GET_STATE = 2
GET_INFO = 3
SCAN = 4
GET_NAME = 6

_BEFORE = len(HEADER) + 3  # bytes before the data
_INTERRUPT = 3  # Ctrl-C, where it is not part of a packet


def packet(kind, data):
    """The bytes of a packet, with up to 255 bytes of data; a line end follows, as the published clients send it."""
    out = HEADER + bytes((VERSION, kind, len(data))) + bytes(data)
    return out + bytes((sum(out) & 0xFF, 10))


def strings(texts):
    """Texts, each behind its length; each is cut to 255 bytes."""
    out = b""
    for text in texts:
        text = text.encode()[:255]
        out += bytes((len(text),)) + text
    return out


def parse_strings(data):
    """The texts in `data`. Raises ValueError."""
    texts = []
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise ValueError("a text is cut off")
        texts.append(str(bytes(data[at + 1 : end]), "utf-8"))
        at = end
    return texts


def command(number, data=b""):
    """The packet of a command."""
    return packet(COMMAND, bytes((number, len(data))) + data)


def result(number, texts):
    """The packet that answers a command. Texts that do not fit are left out."""
    data = strings(texts)
    while len(data) > 253:
        texts = texts[:-1]
        data = strings(texts)
    if len(data) == 8:
        data += b"\0"  # an empty text more: the client in browsers takes a packet's length of 10 for a line end
    return packet(RESULT, bytes((number, len(data))) + data)


class Parser:
    """Finds packets in what a line brings. `bad`: wrong checksums; `is_interrupted`: Ctrl-C was pressed."""

    def __init__(self):
        self._buffer = bytearray()
        self.bad = 0
        self.is_interrupted = False

    def feed(self, byte):
        """(type, data) of the packet that a byte completes, False of one that is broken, else None."""
        buffer = self._buffer
        buffer.append(byte)
        n = len(buffer)
        if n <= len(HEADER):
            if byte != HEADER[n - 1]:
                self._buffer = bytearray()
                self.is_interrupted = self.is_interrupted or byte == _INTERRUPT
                if byte == HEADER[0]:
                    self._buffer.append(byte)
            return None
        if n < _BEFORE or n <= _BEFORE + buffer[_BEFORE - 1]:
            return None
        self._buffer = bytearray()
        if sum(buffer[:-1]) & 0xFF != byte or buffer[6] != VERSION:
            self.bad += 1
            return False
        return buffer[7], bytes(buffer[_BEFORE:-1])


class Service:
    """The board's side. `receive` takes a byte and gives what is to be sent; `wish` is what the board is asked to do:
    ("wifi", ssid, password) or ("scan",), to be answered by `connected`, `failed` or `networks`."""

    def __init__(self, info, url=""):
        """`info`: firmware, its version, the chip, the board's name. `url`: where a user finds the board, once it is
        connected."""
        self._info = info
        self.url = url
        self.state = READY
        self.wish = None
        self.parser = Parser()
        self.heard = 0  # packets

    def receive(self, byte):
        """The bytes to send for a byte that came; mostly none."""
        got = self.parser.feed(byte)
        if got is None:
            return b""
        self.heard += 1
        if got is False:
            return packet(ERROR, bytes((BAD_PACKET,)))
        kind, data = got
        if kind != COMMAND:
            return b""  # of another board, or our own echo
        if len(data) < 2 or data[1] != len(data) - 2:
            return packet(ERROR, bytes((BAD_PACKET,)))
        return self._obey(data[0], data[2:])

    def _obey(self, number, data):
        out = packet(ERROR, bytes((NO_ERROR,)))
        if number == GET_STATE:
            out += packet(STATE, bytes((self.state,)))
            if self.state == PROVISIONED:
                out += result(GET_STATE, [self.url] if self.url else [])
        elif number == GET_INFO:
            out += result(GET_INFO, self._info)
        elif number == GET_NAME and not data:
            out += result(GET_NAME, self._info[3:4])
        elif number == SCAN and self.wish is None:
            self.wish = ("scan",)
        elif number == SET_WIFI and self.wish is None:
            try:
                ssid, password = parse_strings(data)
            except ValueError:
                return packet(ERROR, bytes((BAD_PACKET,)))
            self.wish = ("wifi", ssid, password)
            self.state = PROVISIONING
            out += packet(STATE, bytes((PROVISIONING,)))
        elif number in (SCAN, SET_WIFI):
            return packet(ERROR, bytes((UNKNOWN_ERROR,)))  # one thing at a time
        else:
            return packet(ERROR, bytes((UNKNOWN_COMMAND,)))
        return out

    def connected(self):
        """The board is on the network that it was told. Returns the bytes to send."""
        self.wish = None
        self.state = PROVISIONED
        return packet(STATE, bytes((PROVISIONED,))) + result(SET_WIFI, [self.url] if self.url else [])

    def failed(self, error=CANNOT_CONNECT):
        """It could not be done. Returns the bytes to send."""
        self.wish = None
        if self.state == PROVISIONING:
            self.state = READY
        return packet(ERROR, bytes((error,))) + packet(STATE, bytes((self.state,)))

    def networks(self, found):
        """What a scan found: (name, signal in dBm, whether it asks for a password). Returns the bytes to send."""
        self.wish = None
        out = b""
        for name, signal, is_locked in found:
            out += result(SCAN, [name, str(signal), "YES" if is_locked else "NO"])
        return out + result(SCAN, [])
