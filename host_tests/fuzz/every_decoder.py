"""All the fuzzing in one process: `every_decoder.py COUNT` sends COUNT mutants of each message type, a tenth of that in raw
bytes, decodes COUNT mutants of what flash holds and of what peers tell, and disturbs COUNT set-ups of a session. On
MicroPython `run` is called instead, for one of them at a time."""

import sys


def run(what, count, seed=1):
    """Fuzz one of the types of datagram_fuzz, "raw", "stored", "session", "messages" or "books"; returns the counters, or
    what the others give. Only what is asked for is loaded: a board has no room for all of it."""
    if what == "stored":
        import stored_fuzz

        return stored_fuzz.run(count, seed)
    if what == "session":
        import session_fuzz

        return session_fuzz.run(count, seed)
    if what in ("messages", "books"):
        import exchange_fuzz

        return (exchange_fuzz.books if what == "books" else exchange_fuzz.messages)(count, seed)
    import datagram_fuzz

    return datagram_fuzz.raw_bytes(count, seed) if what == "raw" else datagram_fuzz.run(what, count, seed)


if __name__ == "__main__":
    import datagram_fuzz

    for what in datagram_fuzz.TYPES:
        run(what, int(sys.argv[1]))
    run("raw", int(sys.argv[1]) // 10)
    for what in ("stored", "session", "messages", "books"):
        run(what, int(sys.argv[1]))
