"""Runs first, also when a tool of a host comes for the REPL: so it does next to nothing, and counts nothing."""

import gc

# Garbage goes often while modules load: what stays of them then lies together, and large blocks stay to be had.
gc.threshold(4096)
try:
    from landing import land  # files that a host has brought take their places

    land()
except ImportError:
    pass
except OSError as error:
    print("landing:", repr(error))
