"""Why a session was refused or closed: one byte on the wire, a word for people (docs/protocol.md, reasons).

The modules that use them repeat the numbers as private constants, which cost a board nothing. Some end streams only, and
some are never sent: nobody is left who could read them.
"""

# One text, taken apart when somebody asks: names of their own would cost a board four times as much.
NAMES = """bye busy incompatible downgrade self useless duplicate wrong_id banned epoch silent malformed credit channel
stream too_long memory trimmed gated slow lost forged revoked replayed absent unserved
broken"""


def name(reason):
    """The word for a reason code; a number where a later version sent one that is not known here."""
    names = NAMES.split()
    return names[reason] if reason < len(names) else str(reason)
