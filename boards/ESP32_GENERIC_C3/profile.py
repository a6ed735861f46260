"""ESP32-C3, a RISC-V core."""

from picoswarm.profile import Profile

PROFILE = Profile(records=64)
