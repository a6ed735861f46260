"""The names of what a node counts: traffic, and every reason for which a datagram is dropped. Loaded when somebody asks for
them, and forgotten again.

The modules that count repeat the indices as private constants, which cost a board nothing; 1 to 6 of the engine are what
`datagram.Codec.open` returns."""

import sys

from .compat import unload

# One text each, taken apart when somebody asks: names of their own would cost a board four times as much.
_NAMES = {
    "discovery": """received drop_size drop_version drop_implausible drop_forged drop_repeated drop_own_id drop_bad_source
drop_unknown_sender drop_wrong_tag wrong_token drop_busy drop_unasked bad_record drop_untagged seen_elsewhere sent bytes_sent
bytes_received key_agreements misses clock_jumps events_lost""",
    "pubsub": """received repeated flooded bad unsigned forged unchecked overflowed sent stalled late unsent
filters_refused unwanted""",
    "rpc": "called timed_out lost late unasked answered turned_away unsent ended",
}


def names(part):
    """The names of the counters of a part of a node, in their order, as one text. What is no part is such a text itself."""
    unload([name for name in sys.modules if name != __name__])
    return _NAMES.get(part, part)
