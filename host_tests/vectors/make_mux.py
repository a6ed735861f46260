"""Writes the test vectors of the mux (docs/protocol.md 5); `--check` only compares.

    mux-records.json     a conversation record by record, with what each side does before; single records and what becomes
                         of them; the reasons for which records end a session

Frames are put together here a second time: what the library says must equal them byte for byte.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from vectors.kept import settle  # noqa: E402

HERE = Path(__file__).resolve().parent
END, OPEN, CLOSE, RESET = 1, 2, 4, 8
NAME = b"/echo/1.0.0"
# id, priority, limit: of both sides, queues of eight messages and 4,096 bytes
CHANNELS = [(32, 1, 400), (33, 10, 300), (34, 2, 2000)]
RECORD = 768


def frame(channel: int, payload: bytes = b"", flags: int = END) -> bytes:
    return bytes((channel, flags << 4 | len(payload) >> 8, len(payload) & 0xFF)) + payload


def credit(channel: int, amount: int) -> bytes:
    return frame(0, bytes((3, channel)) + amount.to_bytes(2, "big"))


WINDOWS = b"".join(credit(channel, 32768) for channel, _, _ in CHANNELS)
LONG = bytes(range(256)) * 4
# What one side (the initiator: "a") does, and the record that it sends then. [action, arguments ...]
CONVERSATION = [
    ("a", [], WINDOWS),
    ("b", [], WINDOWS),
    ("a", [["send", 32, "6869"]], frame(32, b"hi")),
    ("b", [["send", 32, ""], ["send", 33, "21"]], frame(33, b"!") + frame(32)),
    # 1,024 bytes do not fit in a record, and are cut where it ends
    ("a", [["send", 34, LONG.hex()]], frame(34, LONG[:765], 0)),
    ("a", [], frame(34, LONG[765:])),
    ("a", [["open", NAME.hex(), 128], ["send", 128, "7069"]], frame(128, NAME, OPEN) + frame(128, b"pi")),
    ("b", [["read", 128, "7069"], ["send", 128, "6e67"]], frame(128, b"ng")),
    ("a", [["read", 128, "6e67"], ["close", 128]], frame(128, b"", CLOSE)),
    ("b", [["close", 128]], frame(128, b"", CLOSE) + frame(128, b"\0", RESET)),
    ("b", [["open", NAME.hex(), 129], ["send", 129, "ff"]], frame(129, NAME, OPEN) + frame(129, b"\xff")),
    ("b", [["reset", 129, 7]], frame(129, b"\7", RESET)),
    ("a", [["told", 129]], frame(129, b"\0", RESET)),
    ("a", [["ping"]], frame(0, b"\1")),
    ("b", [], frame(0, b"\2")),
    ("b", [["send", 33, "627965"], ["leave", 0]], frame(33, b"bye") + frame(0, b"\4\0")),
]
# name, record, reason; where it opens a stream, the stream was not open
REFUSED = [
    ("half a header", b"\x20\x10", 11),
    ("a frame longer than its record", frame(32, b"abc")[:-1], 11),
    ("length 0 without flags", frame(32, b"", 0), 11),
    ("two flags", frame(128, NAME, OPEN | END), 11),
    ("a message cut that fits in a record", frame(32, b"abc", 0), 11),
    ("OPEN of a fixed channel", frame(32, NAME, OPEN), 11),
    ("OPEN without a name", frame(128, b"", OPEN), 11),
    ("CLOSE with a payload", frame(128, NAME, OPEN) + frame(128, b"x", CLOSE), 11),
    ("RESET without a reason", frame(128, NAME, OPEN) + frame(128, b"", RESET), 11),
    ("control without flag 1", frame(0, b"\1", 0), 11),
    ("unknown control", frame(0, b"\5"), 11),
    ("PING with more", frame(0, b"\1\0"), 11),
    ("more than the credit of a stream", frame(128, NAME, OPEN) + frame(128, bytes(254)), 12),
    ("credit beyond 65,535", credit(32, 32768), 12),
    ("a channel that is not listed", frame(35, b"x"), 13),
    ("credit for one", credit(35, 1), 13),
    ("OPEN of an id of the receiver", frame(129, NAME, OPEN), 14),
    ("OPEN of an open id", frame(128, NAME, OPEN) * 2, 14),
    ("data behind CLOSE", frame(128, NAME, OPEN) + frame(128, b"", CLOSE) + frame(128, b"x"), 14),
    ("a message over the limit", frame(33, bytes(301)), 15),
    ("a name of 61 bytes", frame(128, bytes(61), OPEN), 15),
]
# What an end hears and says nothing to
IGNORED = [
    ("data of a stream that is not open", frame(130, b"x")),
    ("its end", frame(130, b"", CLOSE) + frame(131, b"", CLOSE)),
    ("its RESET", frame(130, b"\0", RESET)),
    ("credit for it", credit(130, 65535)),
    ("a PONG", frame(0, b"\2")),
]


def build() -> dict[Path, str]:
    vectors = {
        "record": RECORD,
        "channels": [{"id": i, "priority": priority, "limit": limit} for i, priority, limit in CHANNELS],
        "conversation": [{"by": by, "does": does, "record": record.hex()} for by, does, record in CONVERSATION],
        "refused": [{"name": name, "record": record.hex(), "reason": reason} for name, record, reason in REFUSED],
        "ignored": [{"name": name, "record": record.hex()} for name, record in IGNORED],
    }
    return {HERE / "mux-records.json": json.dumps(vectors, indent=1) + "\n"}


def main(check: bool) -> int:
    return settle(build(), check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
