"""Emulated Picos: real MicroPython firmware on rp2040js, with a network between them and this machine (docs/emulator.md)."""
