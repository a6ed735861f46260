"""ESP32-S3 without PSRAM."""

from picoswarm.profile import Profile

PROFILE = Profile(records=64)
