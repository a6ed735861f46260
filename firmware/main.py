"""A board of a mesh: see swarmboard, and docs/firmware.md. Your program is app.py."""

from swarmboard.life import live

live()
