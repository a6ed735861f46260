"""ESP32 without PSRAM: 112 KB of Python heap in two halves, native code outside it."""

from picoswarm.profile import Profile

PROFILE = Profile(records=64)
