"""What makes a board a member of a mesh, over its serial line: the network key, its name, Wi-Fi and where to find others.

The files of a node's folder go onto the board as a deployment does, whole or not at all. The board makes its node key
itself; none is ever copied. Wi-Fi alone can be told to a running board by Improv, which interrupts nothing.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from picoswarm.appslots import UPDATE_KEY
from picoswarm.slots import IDENTITY, NETWORK, OPERATOR, SEED, Kind, encode_slot
from picoswarm.store import Store

from . import improv, progress
from .deploy import STAGE, deploy_files
from .exits import Failed, NoDevice
from .payload import File
from .remote import Remote

NODE = "/swarm"  # the node's folder on a board
CONFIG = "/picoswarm.json"
_KINDS = (NETWORK, OPERATOR, SEED, UPDATE_KEY)
_SEED = 32  # bytes


def paths_of(kind: Kind) -> list[str]:
    """Where the two slots of a kind are on a board."""
    return [f"{NODE}/{kind.name}.{slot}" for slot in range(2)]


class BoardFolder:
    """The node's folder of a board, copied to a folder of this computer that only its owner may enter, changed there, and
    brought back."""

    def __init__(self, remote: Remote, scratch: Path) -> None:
        self.remote = remote
        wanted = [path for kind in (*_KINDS, IDENTITY) for path in paths_of(kind)] + [CONFIG]
        self.there = remote.inventory(wanted, [STAGE])
        present = [path for path in wanted if self.there["files"][path] and "identity" not in path]  # that one stays there
        remote.get(present, scratch)
        self._config = scratch / CONFIG.strip("/")
        folder = scratch / "swarm"
        folder.mkdir(mode=0o700)
        for path in present:
            if path != CONFIG:
                held = (scratch / Path(path).name).rename(folder / Path(path).name)
                held.chmod(0o600)
        self.store = Store(str(folder))
        self.has_identity = any(self.there["files"][path] for path in paths_of(IDENTITY))

    def config(self) -> dict:
        """What stands in the board's configuration. Raises Failed where that is no JSON."""
        if not self._config.exists():
            return {}
        try:
            return json.loads(self._config.read_text())
        except ValueError as trouble:
            raise Failed(f"The board's {CONFIG} is damaged ({trouble}): mend it, or remove it.") from None

    def bring(self, config: dict, is_dry: bool) -> dict:
        """Make the board's folder what the copy is, and its configuration `config`; returns what was done."""
        files = [
            File(f"{NODE}/{path.name}", path.read_bytes())
            for path in sorted(Path(self.store._folder).iterdir())
            if path.suffix in (".0", ".1")
        ]
        if not self.has_identity and self.store.read(SEED) is None:
            files += [File(path, encode_slot(SEED, 0, secrets.token_bytes(_SEED))) for path in paths_of(SEED)]
        if config != self.config():
            files.append(File(CONFIG, json.dumps(config).encode()))
        return deploy_files(self.remote, files, self.there, is_dry, progress.nothing)


def with_settings(config: dict, name: str | None, wifi: dict | None, bootstrap: tuple[str, ...], more: dict) -> dict:
    """A board's configuration with what was given; the rest stays, also within the objects of `more`."""
    config = config | {key: {**config.get(key, {}), **value} for key, value in more.items()}
    if name is not None:
        config["name"] = name
    if wifi is not None:
        config["wifi"] = {**config.get("wifi", {}), **wifi}
    if bootstrap:
        config["bootstrap"] = list(bootstrap)
    return config


def provision_board(
    port: str,
    settle: Callable[[Store], None],
    name: str | None = None,
    wifi: dict | None = None,
    bootstrap: tuple[str, ...] = (),
    more: dict | None = None,
    is_dry: bool = False,
    resets: bool = True,
    seconds: float = 60,
) -> dict:
    """Bring a mesh's keys (`settle` writes them to the board's store, or refuses) and settings to the board at `port`;
    returns what was done, without any key. `more`: further settings of the board, each an object. Raises what exits.py
    has, and what `settle` does."""
    remote = Remote(port, seconds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = BoardFolder(remote, Path(scratch))
        settle(folder.store)
        config = with_settings(folder.config(), name, wifi, bootstrap, more or {})
        facts = folder.bring(config, is_dry)
    if resets and facts["written"]:
        remote.reset()
    done = {"port": port, "changed": facts["changed"], "written": facts["written"]}
    knows_network = "ssid" in (config.get("wifi") or {}) or "ppp" in config
    return done | {"has_node_key": folder.has_identity, "knows_network": knows_network}


def wifi_by_improv(port: str, ssid: str, password: str) -> dict:
    """Tell a running board its Wi-Fi; returns what it said. Raises Failed where it cannot join that network, NoDevice for
    a port where nobody speaks Improv, TimedOut."""
    try:
        with improv.Client(port) as client:
            if client.state() is None:
                raise NoDevice(
                    f"Nothing at {port} answers to Improv. A board that runs and has its Wi-Fi does not: leave out --improv."
                )
            return {"port": port, "url": client.join(ssid, password), "by": "improv"}
    except OSError as trouble:
        raise NoDevice(f"There is no port {port}, or another program has it ({trouble}).") from None
