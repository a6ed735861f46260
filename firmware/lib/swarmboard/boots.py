"""How many boots in a row ended badly. After `limit` of them a board starts in safe mode, without the user's program. Who
pulls the plug is no bad boot: power-on begins at 0, in a file as in memory.

The count lives where a reset leaves it and flash does not wear: backup memory (`machine.mem_backup`, MicroPython 1.29), the
RTC's memory on an ESP32, else a file. A record is five bytes, so that what memory holds after power-on is no count.
"""

LIMIT = 6  # more than an update takes to go back to the program before it

_FILE = "boots.dat"
_SIZE = 5
_COUNT_MOST = 200


def encode(count, note):
    """The record of a count, 0-200, and a note for the next boot, 0-255."""
    return bytes((0x70, 0x73, count, note, (0x70 + 0x73 + count + note) & 0xFF ^ 0xA5))


def decode(record):
    """(count, note) of a record; (0, 0) of anything else."""
    record = bytes(record[:_SIZE])
    if len(record) == _SIZE and record == encode(record[2], record[3]):
        return record[2], record[3]
    return 0, 0


class BackupMemory:
    """The first bytes of the backup memory."""

    def __init__(self, region):
        self._region = region

    def read(self):
        return bytes(self._region[:_SIZE])

    def write(self, record):
        self._region[:_SIZE] = record


class RtcMemory:
    """The first bytes of the memory of an ESP32's RTC; what others put behind them stays."""

    def __init__(self, rtc):
        self._rtc = rtc

    def read(self):
        return self._rtc.memory()[:_SIZE]

    def write(self, record):
        self._rtc.memory(record + self._rtc.memory()[_SIZE:])


class FileMemory:
    """A file: two writes for each boot."""

    def read(self):
        try:
            with open(_FILE, "rb") as file:
                return file.read(_SIZE)
        except OSError:
            return b""

    def write(self, record):
        try:
            with open(_FILE, "wb") as file:
                file.write(record)
        except OSError:
            pass  # a full or worn flash must not keep a board from booting


def was_switched_on():
    """Whether this boot is one by power, or by the reset pin, and none that somebody asked for, or the watchdog."""
    try:
        from machine import PWRON_RESET, reset_cause
    except ImportError:
        return False
    return reset_cause() == PWRON_RESET


def memory():
    """Where this board keeps the count."""
    try:
        import machine
    except ImportError:
        return FileMemory()
    try:
        region = machine.mem_backup()
        if len(region) >= _SIZE:
            return BackupMemory(region)
    except (AttributeError, OSError, ValueError):
        pass
    try:
        rtc = machine.RTC()
        rtc.memory()
        return RtcMemory(rtc)
    except (AttributeError, OSError, ValueError):
        return FileMemory()


class Boots:
    """The count of this board. `count`: bad boots in a row, this one taken for bad until it proves otherwise."""

    def __init__(self, kept=None, limit=LIMIT):
        self._kept = kept or memory()
        self.limit = limit
        self.count, self.note = decode(self._kept.read())

    def begin(self):
        """A boot begins. To be called as early as can be."""
        if isinstance(self._kept, FileMemory) and was_switched_on():  # other memory has forgotten by then
            self.count = self.note = 0
        self._put(min(self.count + 1, _COUNT_MOST), self.note)

    def is_safe(self):
        """Whether this boot is to be in safe mode."""
        return self.count > self.limit

    def good(self):
        """The boot has proven itself, or ends in order."""
        if self.count or self.note:
            self._put(0, 0)

    def try_again(self):
        """The next boot is a normal one; one more bad one, and the board is in safe mode again."""
        self._put(self.limit - 1, self.note)

    def say(self, note):
        """Leave a note for the next boot: how often updates were in trouble with the flash. A good boot clears it."""
        self._put(self.count, note)

    def _put(self, count, note):
        self.count, self.note = count, note
        record = encode(count, note)
        if self._kept.read() != record:
            self._kept.write(record)
