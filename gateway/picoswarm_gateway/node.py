"""The gateway's node: the library's, on the transport of a computer."""

from __future__ import annotations

from picoswarm import Node

from .driver import HostDriver
from .swarm import HostSwarm
from .transport import HostLinks


class HostNode(Node):
    """A Node whose sessions take less of a computer's time each; what is said on the wire is the same."""

    parts = (HostSwarm, HostLinks, HostDriver)
