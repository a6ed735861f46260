"""`picoswarm provision`: the network key of a mesh, made on the host and put into a node's folder.

The folder holds what a node keeps (lib/picoswarm/store.py): provisioning writes its `network` file, and a `seed` of host
randomness that the node mixes into its own when it makes its node key. It never makes or copies a node key. A key is shown
only when asked for; everywhere else a mesh is named by the key's fingerprint.

With the first network key of a mesh comes its operator key, which signs later changes of the network key (rekey.py). Its
seed stays in a folder of its own, on this computer; nodes get the public half.

With `--port` the same goes onto a board over its serial line (shipping/provisioning.py), with its name and its Wi-Fi.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import rich_click as click
from picoswarm.appslots import UPDATE_KEY
from picoswarm.errors import PicoswarmError
from picoswarm.membership import Membership
from picoswarm.slots import NETWORK, OPERATOR
from picoswarm.store import Store

from .keyfolder import Refused, Wants, copy_operator, copy_update_key, load, plan, write_folder
from .shipping.invite import accept, invitation, qr


def described(folder: Path, membership: Membership, changed: bool, show: bool) -> dict:
    """What the command prints, as plain values; with the keys only if `show`."""
    keys = []
    for held in filter(None, (membership.highest, membership.lower)):
        keys.append({"epoch": held.epoch, "fingerprint": held.fingerprint()} | ({"key": held.key.hex()} if show else {}))
    return {"folder": str(folder), "changed": changed, "keys": keys}


def taken_over(copy_from: Path | None, join: str | None) -> tuple[Membership | None, bytes | None]:
    """Membership and operator file of another folder or of an invitation. Raises Refused, and Failed for a damaged one."""
    if join is not None:
        return accept(_told_invitation() if join == "-" else join)
    if copy_from is None:
        return None, None
    source = load(Store(str(copy_from)))
    if source is None:
        raise Refused(f"{copy_from} holds no network key.")
    return source, Store(str(copy_from)).read(OPERATOR)


def _told_invitation() -> str:
    """An invitation from standard input, where neither `ps` nor a shell's history has it, nor a screen."""
    return click.prompt("Invitation", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()


def to_board(port: str, folder: Path, membership: Membership, force: bool, settings: dict) -> dict:
    """Make the board at `port` a member; returns what was done as plain values."""
    from .shipping.provisioning import provision_board

    operator, update_key = (Store(str(folder)).read(kind) for kind in (OPERATOR, UPDATE_KEY))

    def settle(store: Store) -> None:
        store.write(NETWORK, plan(None if force else load(store), membership, False, force).encode())
        copy_operator(store, operator, force)
        copy_update_key(store, update_key, force)

    return provision_board(port, settle, **settings)


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: Path(click.get_app_dir("picoswarm")),
    show_default="picoswarm's folder in the user's configuration",
    help="The node's folder. Made, for its owner only, if it is missing.",
)
@click.option("--new-epoch", is_flag=True, help="Add a key that takes over from the present one, which stays valid a day.")
@click.option("--drop-lower", is_flag=True, help="Forget the lower of two keys at once, as after a theft.")
@click.option(
    "--copy-from",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Join the mesh of another node's folder: its network key, and the public halves of operator and update key.",
)
@click.option("--join", metavar="URL", help="Join the mesh of an invitation; - asks for it, and no history keeps it.")
@click.option(
    "--operator",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the operator key of a new mesh goes, which signs later changes; no board's. [default: FOLDER.operator]",
)
@click.option("--force", is_flag=True, help="Replace the key of another mesh.")
@click.option("--show", is_flag=True, help="Print the keys themselves. Whoever reads them is a member.")
@click.option("--invite", is_flag=True, help="Print an invitation, as URL and QR code. Whoever reads it is a member.")
@click.option("--port", help="Bring the key to the board at this serial port, or socket://host:port.")
@click.option("--name", help="The board's name, at most 16 bytes.")
@click.option("--wifi", metavar="SSID", help="The board's Wi-Fi. Its password is asked for, or $PICOSWARM_WIFI_PASSWORD.")
@click.option("--country", metavar="CODE", help="Where the board's Wi-Fi is, as in DE: which channels it may use.")
@click.option("--bootstrap", metavar="HOST:PORT", multiple=True, help="A node that the board asks first; may be repeated.")
@click.option(
    "--improv", is_flag=True, help="Tell a running board its Wi-Fi and nothing else, by Improv: it goes on running."
)
@click.option("--dry-run", is_flag=True, help="Say what would go onto the board, and write nothing there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def provision(
    folder: Path,
    new_epoch: bool,
    drop_lower: bool,
    copy_from: Path | None,
    join: str | None,
    operator: Path | None,
    force: bool,
    show: bool,
    invite: bool,
    port: str | None,
    name: str | None,
    wifi: str | None,
    country: str | None,
    bootstrap: tuple[str, ...],
    improv: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a network key, or its next epoch, for a node's folder; with --port, make a board a member.

    With the first key of a mesh an operator key is made, in a folder beside the node's: keep that one on this computer.
    `picoswarm rekey` and `picoswarm revoke` need it. The node's folder, and those that are copied from it, obey it.

    With --port the folder's key, made if there is none, goes to a board, with what else is given. The board makes its node
    key itself. With --improv a board that runs and has no Wi-Fi yet is told one, as a browser would.

    Nodes that hold the same network key form one mesh; others get no answer from it. Exit status: 0 done, 1 refused or
    failed, 2 wrong usage, 3 no board at the port, 4 timeout.
    """
    if new_epoch and (copy_from or join or force or drop_lower):
        raise click.UsageError("--new-epoch works on the folder's own key: no --copy-from, --join, --force or --drop-lower.")
    if copy_from and join:
        raise click.UsageError("--copy-from and --join name two meshes: leave one out.")
    if not port and (name or wifi or country or bootstrap or dry_run):
        raise click.UsageError("--name, --wifi, --country, --bootstrap and --dry-run are about a board: add --port.")
    if improv and not (port and wifi):
        raise click.UsageError("--improv tells a board its Wi-Fi: add --port and --wifi.")
    settings: dict = {"name": name, "wifi": wifi_settings(wifi, country), "bootstrap": bootstrap, "is_dry": dry_run}
    if improv:
        from .shipping.provisioning import wifi_by_improv

        facts = wifi_by_improv(port, settings["wifi"]["ssid"], settings["wifi"]["password"])
        click.echo(json.dumps(facts) if as_json else f"The board has joined {wifi}. {facts['url']}".strip())
        return
    try:
        source, other = taken_over(copy_from, join)
        # A board gets the key that is there, and an invitation tells of it: neither asks for another one.
        wants = Wants(new_epoch, drop_lower, force and not port, keeps=bool(port or invite) and not new_epoch)
        membership, changed, made = write_folder(folder, source, other, wants, operator)
        if copy_from is not None:
            copy_update_key(Store(str(folder)), Store(str(copy_from)).read(UPDATE_KEY), force)
        facts = described(folder, membership, changed, show) | ({"operator": str(made)} if made else {})
        if invite:
            facts["invitation"] = invitation(membership, Store(str(folder)).read(OPERATOR))
        if port:
            facts["board"] = to_board(port, folder, membership, force, settings)
    except (Refused, PicoswarmError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(facts) if as_json else told(facts, dry_run))


def wifi_settings(ssid: str | None, country: str | None) -> dict | None:
    """The `wifi` of a board's configuration, as far as it was given; the password is asked for."""
    given = {"country": country} if country else {}
    if ssid is not None:
        password = os.environ.get("PICOSWARM_WIFI_PASSWORD")
        if password is None:
            password = click.prompt(f"Password of {ssid}", hide_input=True, default="", show_default=False)
        given |= {"ssid": ssid, "password": password}
    return given or None


def told(facts: dict, is_dry: bool) -> str:
    """What was done, for people."""
    lines = [f"{'Wrote' if facts['changed'] else 'Kept'} the network key in {facts['folder']}"]
    for key in facts["keys"]:
        shown = f"  key {key['key']}" if "key" in key else ""
        lines.append(f"  epoch {key['epoch']:<2}  mesh {key['fingerprint']}{shown}")
    if "operator" in facts:
        lines.append(f"Wrote the operator key in {facts['operator']}. Keep it on this computer, and back it up.")
    if "board" in facts:
        board = facts["board"]
        would = "Would write" if is_dry else "Wrote" if board["written"] else "The board has all of it:"
        lines.append(f"{would} {', '.join(board['changed']) or 'nothing'} at {board['port']}")
        if not board["has_node_key"]:
            lines.append("The board makes its node key when it starts.")
    if "invitation" in facts:
        lines += [qr(facts["invitation"]), facts["invitation"], "Whoever reads this is a member of the mesh."]
    return "\n".join(lines)
