"""Raspberry Pi Pico W.

Its limits, from MicroPython 1.26: lwIP has 5 TCP connections at once (its default for MEMP_NUM_TCP_PCB) and 8,000 bytes for
all that is being sent (MEM_SIZE, extmod/lwip-include/lwipopts_common.h); a UDP socket keeps 4 datagrams and drops the rest
(LWIP_INCOMING_PACKET_QUEUE_LEN, extmod/modlwip.c); the Python heap of 205,312 bytes holds native code too.
"""

from picoswarm.profile import Profile

PROFILE = Profile(
    # 5 connections: 3 sessions, one that is being dialed, one that waits at the door.
    links=3,
    # A session has a record on its way and its streams' queues: 3 x (800 + 512) bytes of lwIP's 8,000 at most. A sealed
    # record of 768 bytes fits one segment of 800 (TCP_MSS).
    record=768,
    # 2 questions at a time, each answered by 2 datagrams at most: they fill the queue of 4.
    alpha=2,
    neighbors_per_answer=4,
)
