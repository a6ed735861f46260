"""What a node's folder (lib/picoswarm/store.py) holds of its mesh's keys: made, moved to the next epoch, and taken over from
another folder. What would destroy a key is refused.

A node key is never made here, nor copied: a node makes its own, with the `seed` of host randomness that is written for it.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from picoswarm.appslots import UPDATE_KEY
from picoswarm.changes import PUBLIC, decode_operator
from picoswarm.membership import EPOCHS, KEY, Membership, NetworkKey, is_higher
from picoswarm.slots import NETWORK, OPERATOR, SEED
from picoswarm.store import Store
from picoswarm_gateway.keychange import OPERATOR_SEED, create_operator

_SEED = 32  # bytes


@dataclass(frozen=True)
class Wants:
    """What is asked of a folder's key; `keeps`: leave the one that is there."""

    new_epoch: bool = False
    drop_lower: bool = False
    force: bool = False
    keeps: bool = False


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


def copy_operator(store: Store, theirs: bytes | None, force: bool) -> None:
    """Bring the public operator key of another folder, and the last change that it knows. Raises Refused for another key."""
    ours = store.read(OPERATOR)
    if theirs is None:
        return
    if ours is not None and not force:
        if ours[:PUBLIC] != theirs[:PUBLIC]:
            raise Refused("The folder has another operator key than the one to copy from. Use --force to replace it.")
        if len(ours) > len(theirs[:PUBLIC]) and serial(ours) >= serial(theirs):
            return
    store.write(OPERATOR, theirs)


def copy_update_key(store: Store, theirs: bytes | None, force: bool) -> None:
    """Bring the public update key of another folder. Raises Refused for another key."""
    ours = store.read(UPDATE_KEY)
    if theirs is None:
        return
    if ours not in (None, theirs) and not force:
        raise Refused("The folder trusts another update key than the one to copy from. Use --force to replace it.")
    store.write(UPDATE_KEY, theirs)


def serial(payload: bytes) -> int:
    """Of the last change in an operator file; 0: there is none."""
    change = decode_operator(payload)[1]
    return change.serial if change else 0


def write_folder(
    folder: Path, source: Membership | None, other: bytes | None, wants: Wants, operator: Path | None
) -> tuple[Membership, bool, Path | None]:
    """Bring a folder to what is wanted; returns its membership, whether the network file changed, and where an operator key
    was made. `source`, `other`: membership and operator file to take over. Raises Refused, StoreError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    store = Store(str(folder))
    # A key that shall be replaced need not be readable.
    held = None if wants.force else load(store)
    # A mesh from before there were operator keys gets one when it is asked for.
    is_late = operator is not None and held is not None and store.read(OPERATOR) is None
    is_first = is_late or (held is None and source is None and not wants.new_epoch and not wants.drop_lower)
    operator = operator or Path(f"{folder}.operator")
    if wants.drop_lower and source is None:
        membership = without_lower(held)
    elif held is not None and source is None and (is_late or wants.keeps):
        membership = held
    else:
        membership = plan(held, source, wants.new_epoch, wants.force)
        if wants.drop_lower:
            membership = without_lower(membership)
    if is_first:
        new_operator(store, operator, membership, wants.force)
    elif source is not None:
        copy_operator(store, other, wants.force)
    return membership, save(store, membership), operator if is_first else None


@contextmanager
def dry_folder(folder: Path) -> Iterator[Path]:
    """A copy of a node's folder, for its owner only, that goes again: to find out what would be done to it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "folder")
        if folder.is_dir():
            shutil.copytree(folder, copy)
        yield copy
