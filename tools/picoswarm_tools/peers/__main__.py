"""`make peers` brings all, `make full-nodes` the full nodes (`nodes`), a name what it names.

What cannot be had is named and does not fail here: what needs it says so, and fails where nothing may be missing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

from .. import runtimes
from . import alternatives, golang, knots, npm, pip, sources

Bring = Callable[[], object]


def full_nodes() -> dict[str, Bring]:
    """What brings each full node, by name."""
    found: dict[str, Bring] = {f"{name} (Go)": partial(golang.bring, name) for name in sources.names("go")}
    found |= {f"{name} (npm)": partial(npm.bring, name) for name in sources.names("js")}
    found |= {f"{name} (pip)": partial(pip.bring, name) for name in sources.names("py")}
    return found | {"knots": knots.bring}


def _unless_there(find: Bring, bring: Bring) -> None:
    try:
        find()
    except runtimes.Missing:
        bring()
        find()


def others() -> dict[str, Bring]:
    """What brings each of what a user would pick instead, by name."""
    return {
        "mosquitto": partial(_unless_there, alternatives.mosquitto, alternatives.bring_mosquitto),
        "microdot": partial(_unless_there, alternatives.microdot, alternatives.bring_microdot),
        "umqtt.simple": partial(_unless_there, alternatives.umqtt, alternatives.bring_umqtt),
        "mqtt_as": alternatives.mqtt_as,
    }


def main() -> None:
    """Bring what is not there yet: all, or what the arguments name."""
    wanted = sys.argv[1:]
    known = full_nodes()
    chosen = known if wanted == ["nodes"] else {**others(), **known}
    if wanted and wanted != ["nodes"]:
        chosen = {name: bring for name, bring in chosen.items() if name.split()[0] in wanted}
    for name, bring in chosen.items():
        began = time.monotonic()
        try:
            print(f"peers: {name} ...", flush=True)
            bring()
            print(f"peers: {name} is there, after {time.monotonic() - began:.0f} s", flush=True)
        except Exception as trouble:  # whatever apt, pip, git, go and npm may say
            print(f"peers: {name} cannot be had: {trouble}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
