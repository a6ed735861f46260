"""Raspberry Pi Pico 2 W: more than twice the heap of a Pico W, and the same radio and lwIP.

Its limits, from MicroPython 1.26, are those in boards/RPI_PICO_W/profile.py, but for the Python heap of 460,800 bytes. It
runs the armv6m kernels (the armv7m emitter has a far-branch bug, docs/rationale.md).
"""

from picoswarm.profile import Profile

PROFILE = Profile(
    # As on a Pico W: lwIP has 5 TCP connections and a queue of 4 datagrams.
    links=3,
    record=768,
    alpha=2,
    neighbors_per_answer=4,
    # What the heap allows beyond it.
    seen=128,
    recent=16,
    deliveries=16,
    streams=8,
    stream_queue=1024,
    stream_window=512,
    log_bytes=4096,
)
