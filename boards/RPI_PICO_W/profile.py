"""Raspberry Pi Pico W: 200 KB of heap that holds the native code too, four datagrams of receive queue."""

from picoswarm.profile import Profile

PROFILE = Profile()
