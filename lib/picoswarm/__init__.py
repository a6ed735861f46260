"""picoswarm: boards with MicroPython, and computers, find each other and talk. See `Node`.

Importing this costs next to nothing: each public name is loaded from its module when it is first used.
"""

__version__ = "0.1.0.dev0"

# As constants, which take no heap where they are frozen.
_HOMES = (
    ("node", ("Node", "Peer", "PORT")),
    ("profile", ("Profile",)),
    ("rooterror", ("PicoswarmError",)),
    ("errors", ("Malformed", "EntropyError", "LocalError", "StoreError")),
    ("failures", ("RequestError", "StreamError")),
    ("channel", ("Channel", "Reactor")),
)
handed_out = []  # modules that a user has a name from: `compat.unload` leaves them, or a class would be there twice


def __getattr__(name):
    """A public name, or a module of the package: MicroPython's `from . import x` asks here before it imports x."""
    if name[:1] == "_":
        raise AttributeError(name)
    for home, names in _HOMES:
        if name in names:
            handed_out.append(home)
            if home in ("errors", "failures"):
                handed_out.append("rooterror")  # of which theirs are made
            value = getattr(__import__(home, globals(), None, (name,), 1), name)
            break
    else:
        try:
            value = __import__(name, globals(), None, (name,), 1)
        except ImportError:
            raise AttributeError(name)
    globals()[name] = value
    return value
