"""Raspberry Pi Pico 2 W: it runs the armv6m kernels (the armv7m emitter has a far-branch bug, docs/rationale.md)."""

from picoswarm.profile import Profile

PROFILE = Profile()
