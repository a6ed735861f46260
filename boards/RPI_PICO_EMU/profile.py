"""The Pico of the emulator: RP2040 firmware, PPP instead of Wi-Fi.

Its limits: those of a Pico W, but for lwIP's memory, which boards/RPI_PICO_EMU/mpconfigboard.h makes larger since PPP copies
each packet into it, and the heap of 192,064 bytes that this leaves.
"""

from picoswarm.profile import Profile

PROFILE = Profile(
    # 5 TCP connections: 3 sessions, one that is being dialed, one that waits at the door.
    links=3,
    # 2 questions at a time, each answered by 2 datagrams at most: they fill the queue of 4.
    alpha=2,
    neighbors_per_answer=4,
)
