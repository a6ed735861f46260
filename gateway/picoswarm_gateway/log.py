"""The gateway's log: one JSON object a line on standard error, or text for people."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TextIO

import structlog

VERSION = version("picoswarm")
RECENT = 400  # lines that are kept for who asks

recent: deque[str] = deque(maxlen=RECENT)
listeners: list[Callable[[str], None]] = []  # told of each line


def _keep(_logger: Any, _method: str, line: str) -> str:
    """The last processor: the line is on its way out."""
    recent.append(line + "\n")
    for listener in listeners:
        listener(line + "\n")
    return line


def set_up(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's log there, or to `stream`. `form`: "json" or "text"."""
    stream = stream or sys.stderr
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if form == "text":
        last = [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last, _keep],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove, *last, _keep], foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
