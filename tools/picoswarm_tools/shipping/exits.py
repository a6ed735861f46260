"""How a command about a board ends: 0 done, 1 failed or refused, 2 wrong usage, 3 no device, 4 timeout."""

from __future__ import annotations

import rich_click as click


class Failed(click.ClickException):
    """Exit status 1: it was tried and did not work, or must not be done. The text says what to do."""

    exit_code = 1


class NoDevice(click.ClickException):
    """Exit status 3: nothing answers where a board should be."""

    exit_code = 3


class TimedOut(click.ClickException):
    """Exit status 4: a board was there and did not finish in time."""

    exit_code = 4
