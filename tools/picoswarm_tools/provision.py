"""`picoswarm provision`: the network key of a mesh, made on the host and put into a node's folder.

The folder holds what a node keeps (lib/picoswarm/store.py): provisioning writes its `network` file, and a `seed` of host
randomness that the node mixes into its own when it makes its node key. It never makes or copies a node key. A key is shown
only when asked for; everywhere else a mesh is named by the key's fingerprint.

With the first network key of a mesh comes its operator key, which signs later changes of the network key (rekey.py). Its
seed stays in a folder of its own, on this computer; nodes get the public half.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import rich_click as click
from picoswarm.appslots import UPDATE_KEY
from picoswarm.changes import PUBLIC, decode_operator
from picoswarm.errors import PicoswarmError
from picoswarm.membership import EPOCHS, KEY, Membership, NetworkKey, is_higher
from picoswarm.slots import NETWORK, OPERATOR, SEED
from picoswarm.store import Store
from picoswarm_gateway.keychange import OPERATOR_SEED, create_operator

_SEED = 32  # bytes


class Refused(Exception):
    """What was asked would destroy a key, or cannot be done; the text says what to do instead."""


def new_network_key(epoch: int = 0) -> NetworkKey:
    """A network key from the operating system's random source."""
    return NetworkKey(secrets.token_bytes(KEY), epoch)


def load(store: Store) -> Membership | None:
    """The membership in a folder, or None where there is none. Raises Refused for files that cannot be read: what they held
    may still be wanted."""
    payload = store.read(NETWORK)
    if payload is not None:
        return Membership.decode(payload)
    faults = store.faults(NETWORK)
    if faults:
        raise Refused(f"The network key cannot be read: {'; '.join(faults)}. Restore the file, or replace it with --force.")
    return None


def rotated(held: Membership) -> Membership:
    """The same mesh one epoch on: a new highest key, the present highest as the lower one."""
    return Membership(held.highest, new_network_key((held.highest.epoch + 1) % EPOCHS))


def is_same_mesh(a: Membership, b: Membership) -> bool:
    """Whether two memberships share a key, so that one may follow the other without cutting a node off."""
    keys = [(key.epoch, key.key) for key in (b.highest, b.lower) if key]
    return any((key.epoch, key.key) in keys for key in (a.highest, a.lower) if key)


def without_lower(held: Membership | None) -> Membership:
    """The same mesh with its higher key alone. Raises Refused."""
    if held is None or not held.drop_lower():
        raise Refused("There is no lower key to forget.")
    return held


def plan(held: Membership | None, source: Membership | None, new_epoch: bool, force: bool) -> Membership:
    """What a folder shall hold, from what it holds and what `source` (another node's folder) holds. Raises Refused."""
    if new_epoch:
        if held is None:
            raise Refused("There is no network key to follow. Make one first, without --new-epoch.")
        return rotated(held)
    if held is not None and not force and (source is None or not is_same_mesh(held, source)):
        raise Refused(
            f"The folder holds the key of mesh {held.highest.fingerprint()} (epoch {held.highest.epoch}). "
            "Use --new-epoch to move that mesh to a new key, or --force to replace the key: "
            "nodes that hold only the old one will not answer."
        )
    if held is not None and not force and is_higher(held.highest.epoch, source.highest.epoch):
        raise Refused(
            f"The folder holds a newer key (epoch {held.highest.epoch}) than the one to copy from, "
            f"epoch {source.highest.epoch}. Copy the other way round, or use --force to go back."
        )
    return source or Membership(new_network_key())


def save(store: Store, membership: Membership) -> bool:
    """Write the network file, and the seed if there is none. False: the network file was right already."""
    changed = store.write(NETWORK, membership.encode())
    if store.read(SEED) is None:
        store.write(SEED, secrets.token_bytes(_SEED))
    return changed


def new_operator(store: Store, operator: Path, membership: Membership, force: bool) -> None:
    """Make the operator key of a mesh. Raises Refused rather than overwrite one."""
    beside = Store(str(operator))
    if not force and beside.read(OPERATOR_SEED) is not None:
        raise Refused(f"{operator} holds the operator key of a mesh. Choose another folder with --operator.")
    create_operator(beside, store)
    save(beside, membership)


def copy_operator(store: Store, source: Store, force: bool) -> None:
    """Bring the public operator key of another folder, and the last change that it knows. Raises Refused for another key."""
    theirs, ours = source.read(OPERATOR), store.read(OPERATOR)
    if theirs is None:
        return
    if ours is not None and not force:
        if ours[:PUBLIC] != theirs[:PUBLIC]:
            raise Refused("The folder has another operator key than the one to copy from. Use --force to replace it.")
        if len(ours) > len(theirs[:PUBLIC]) and serial(ours) >= serial(theirs):
            return
    store.write(OPERATOR, theirs)


def copy_update_key(store: Store, source: Store, force: bool) -> None:
    """Bring the public update key of another folder. Raises Refused for another key."""
    theirs, ours = source.read(UPDATE_KEY), store.read(UPDATE_KEY)
    if theirs is None:
        return
    if ours not in (None, theirs) and not force:
        raise Refused("The folder trusts another update key than the one to copy from. Use --force to replace it.")
    store.write(UPDATE_KEY, theirs)


def serial(payload: bytes) -> int:
    """Of the last change in an operator file; 0: there is none."""
    change = decode_operator(payload)[1]
    return change.serial if change else 0


def described(folder: Path, membership: Membership, changed: bool, show: bool) -> dict:
    """What the command prints, as plain values; with the keys only if `show`."""
    keys = []
    for held in filter(None, (membership.highest, membership.lower)):
        keys.append({"epoch": held.epoch, "fingerprint": held.fingerprint()} | ({"key": held.key.hex()} if show else {}))
    return {"folder": str(folder), "changed": changed, "keys": keys}


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
@click.option(
    "--operator",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the operator key of a new mesh goes, which signs later changes; no board's. [default: FOLDER.operator]",
)
@click.option("--force", is_flag=True, help="Replace the key of another mesh.")
@click.option("--show", is_flag=True, help="Print the keys themselves. Whoever reads them is a member.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def provision(
    folder: Path,
    new_epoch: bool,
    drop_lower: bool,
    copy_from: Path | None,
    operator: Path | None,
    force: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Make a network key, or its next epoch, for a node's folder.

    With the first key of a mesh an operator key is made, in a folder beside the node's: keep that one on this computer.
    `picoswarm rekey` and `picoswarm revoke` need it. The node's folder, and those that are copied from it, obey it.

    Nodes that hold the same network key form one mesh; others get no answer from it. Exit status: 0 done, 1 refused or
    failed, 2 wrong usage.
    """
    if new_epoch and (copy_from or force or drop_lower):
        raise click.UsageError("--new-epoch works on the folder's own key: leave out --copy-from, --force and --drop-lower.")
    try:
        source = None
        if copy_from is not None:
            source = load(Store(str(copy_from)))
            if source is None:
                raise Refused(f"{copy_from} holds no network key.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        store = Store(str(folder))
        # A key that shall be replaced need not be readable.
        held = None if force else load(store)
        # A mesh from before there were operator keys gets one when it is asked for.
        is_late = operator is not None and held is not None and store.read(OPERATOR) is None
        is_first = is_late or (held is None and source is None and not new_epoch and not drop_lower)
        operator = operator or Path(f"{folder}.operator")
        if drop_lower and source is None:
            membership = without_lower(held)
        else:
            membership = held if is_late and source is None else plan(held, source, new_epoch, force)
            if drop_lower:
                membership = without_lower(membership)
        if is_first:
            new_operator(store, operator, membership, force)
        elif copy_from is not None:
            copy_operator(store, Store(str(copy_from)), force)
            copy_update_key(store, Store(str(copy_from)), force)
        changed = save(store, membership)
    except (Refused, PicoswarmError, OSError) as error:
        raise click.ClickException(str(error)) from None
    facts = described(folder, membership, changed, show) | ({"operator": str(operator)} if is_first else {})
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"{'Wrote' if changed else 'Kept'} the network key in {folder}")
    for key in facts["keys"]:
        click.echo(f"  epoch {key['epoch']:<2}  mesh {key['fingerprint']}" + (f"  key {key['key']}" if show else ""))
    if is_first:
        click.echo(f"Wrote the operator key in {operator}. Keep it on this computer, and back it up.")
