"""The Pico of the emulator: RP2040 firmware, PPP instead of Wi-Fi."""

from picoswarm.profile import Profile

PROFILE = Profile()
