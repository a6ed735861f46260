"""A LAN of two hosts, made of network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess

from picoswarm_tools.runtimes import Missing

DEVICE = "lan"


def ip(*words: str) -> None:
    """Run the `ip` command; a container may have no right to make networks."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise Missing(
            f"ip {' '.join(words)}: {done.stderr.strip()}: run the tests as root of a machine that may make networks"
        )


class Lan:
    """Two namespaces, joined by a virtual wire, at 10.77.0.1 and 10.77.0.2."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise Missing(
                "network namespaces need root and the ip command: run `apt-get install iproute2`, and this as root"
            )
        self.namespaces = [f"picoswarm{os.getpid()}{side}" for side in "ab"]
        self.addresses = ["", ""]

    def open(self) -> None:
        a, b = self.namespaces
        ip("netns", "add", a)
        ip("netns", "add", b)
        ip("link", "add", DEVICE, "netns", a, "type", "veth", "peer", "name", DEVICE, "netns", b)
        self.bring_up(0, "10.77.0.1")
        self.bring_up(1, "10.77.0.2")

    def close(self) -> None:
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def bring_up(self, host: int, address: str) -> None:
        """Give a host its interface, with an address and the route that everything else takes."""
        name = self.namespaces[host]
        ip("-n", name, "addr", "add", f"{address}/24", "broadcast", "+", "dev", DEVICE)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", DEVICE, "up")
        ip("-n", name, "route", "add", "default", "dev", DEVICE)
        self.addresses[host] = address

    def take_down(self, host: int) -> None:
        """The interface is gone, and its address with it."""
        name = self.namespaces[host]
        ip("-n", name, "link", "set", DEVICE, "down")
        ip("-n", name, "addr", "del", f"{self.addresses[host]}/24", "dev", DEVICE)
