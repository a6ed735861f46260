"""All the fuzzing in one process: `every_decoder.py COUNT` sends COUNT mutants of each message type, a tenth of that in raw
bytes, decodes COUNT mutants of what flash holds, and disturbs COUNT set-ups of a session. On MicroPython `run` is called
instead, for one of them at a time."""

import sys

import datagram_fuzz
import session_fuzz
import stored_fuzz


def run(what, count, seed=1):
    """Fuzz one of the types of datagram_fuzz, "raw", "stored" or "session". Returns counters, or what stored_fuzz gives."""
    if what == "raw":
        return datagram_fuzz.raw(count, seed)
    if what == "stored":
        return stored_fuzz.run(count, seed)
    if what == "session":
        return session_fuzz.run(count, seed)
    return datagram_fuzz.run(what, count, seed)


if __name__ == "__main__":
    for what in datagram_fuzz.TYPES:
        run(what, int(sys.argv[1]))
    run("raw", int(sys.argv[1]) // 10)
    run("stored", int(sys.argv[1]))
    run("session", int(sys.argv[1]))
