"""How long an emulated Pico takes to load each overlay of its library: prints a list of microseconds."""

import gc
import json
from time import ticks_diff, ticks_us


def run(homes, count):
    """`homes`: the modules whose classes have methods in the `count` overlays; they are loaded before."""
    for home in homes:
        __import__("picoswarm." + home)
    from picoswarm.compat import overlay

    took = []
    for n in range(count):
        gc.collect()
        began = ticks_us()
        overlay(n)
        took.append(ticks_diff(ticks_us(), began))
    print(json.dumps({"took_us": took}))
