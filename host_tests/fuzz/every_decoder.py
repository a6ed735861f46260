"""All the fuzzing in one process: `every_decoder.py COUNT` sends COUNT mutants of each message type, a tenth of that in raw
bytes, decodes COUNT mutants of what flash holds and of what peers tell, and disturbs COUNT set-ups of a session. On
MicroPython `run` is called instead, for one of them at a time."""

import sys

import datagram_fuzz
import exchange_fuzz
import session_fuzz
import stored_fuzz


def run(what, count, seed=1):
    """Fuzz one of the types of datagram_fuzz, "raw", "stored", "session", "messages" or "books"; returns the counters, or
    what the others give."""
    if what == "raw":
        return datagram_fuzz.raw_bytes(count, seed)
    if what == "stored":
        return stored_fuzz.run(count, seed)
    if what == "session":
        return session_fuzz.run(count, seed)
    if what == "messages":
        return exchange_fuzz.messages(count, seed)
    if what == "books":
        return exchange_fuzz.books(count, seed)
    return datagram_fuzz.run(what, count, seed)


if __name__ == "__main__":
    for what in datagram_fuzz.TYPES:
        run(what, int(sys.argv[1]))
    run("raw", int(sys.argv[1]) // 10)
    for what in ("stored", "session", "messages", "books"):
        run(what, int(sys.argv[1]))
