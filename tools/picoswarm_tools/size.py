"""`picoswarm size PROFILE`: what a profile takes of a board's heap, before anything is flashed.

Nothing here is a figure that somebody typed in: two nodes of the profile run on 32-bit MicroPython, and what each part
leaves on the heap is measured on the spot (unix/session_parts.py). One session stands for all of them. The outcome is
kept in build/ until the library changes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import rich_click as click
from picoswarm import Profile
from picoswarm.crypto import run
from picoswarm.errors import LocalError
from picoswarm.keys import LoadOrCreate, gather
from picoswarm.membership import Membership
from picoswarm.store import Store
from rich import box
from rich.console import Console
from rich.table import Table

from . import boards, mpy, native, probe, runtimes
from .keyfolder import new_network_key, save
from .qemu import QemuError
from .rows.discovery_device import bare_interpreter
from .rows.session_heap import overlay_costs
from .swarm import free_ports

LEVEL = 3
HEAP_KB = 900
SERVICES = ("pex", "pubsub", "rpc", "logstats")
STREAMS = "streams"  # loaded with the first one
ERRORS = "failures"  # whoever asks others catches them
PROGRAM = "session_parts"
OVERLAY = "overlay"  # the largest one, while it is loaded


@dataclass(frozen=True)
class Part:
    """Something that takes heap: `count` times `bytes`."""

    what: str
    bytes: int
    count: int = 1

    @property
    def total(self) -> int:
        return self.bytes * self.count


def _modules(profile: Profile, form: str) -> list[str]:
    """The bundles that a running node of this profile has loaded, those of streams and errors last."""
    homes = {member: home for home, members in mpy.FORMS[form][0].items() for member in members}
    services = [name for name in SERVICES if getattr(profile, name)]
    names = ["node", "table", "discovery", *(["swarm", *services, STREAMS, ERRORS] if profile.links else [])]
    return list(dict.fromkeys(homes.get(name, name) for name in names))


def _form(numbers: Mapping[str, int], is_frozen: bool, is_leaf: bool) -> str:
    """The form of the library (mpy.FORMS) that a board with these numbers has."""
    sessions = mpy.WHOLE if Profile(**numbers).links else mpy.DISCOVERY
    form = mpy.LEAF if is_leaf else sessions
    return mpy.IN_FIRMWARE[form] if is_frozen else form


def _run(numbers: Mapping[str, int], is_frozen: bool, form: str) -> dict[str, int]:
    """Bytes by part, as the program gives them. Raises RuntimeError with what it printed instead."""
    profile = Profile(**numbers)
    programs = mpy.library_folder("x86", LEVEL, form)
    programs = programs.with_name(f"{programs.name}-programs")
    mpy.compile_beside([probe.PROGRAMS / f"{PROGRAM}.py"], programs, "x86", LEVEL, form)
    own = 0 if any(getattr(profile, name) for name in SERVICES) else 1
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        membership = Membership(new_network_key())
        for name in ("a", "b"):
            store = Store(str(Path(folder, name)))
            save(store, membership)
            run(LoadOrCreate(store, gather(store)))
        Path(folder, "lib").symlink_to(mpy.compile_library("x86", LEVEL, form))
        arguments = [",".join(_modules(profile, form)), "a", "b", *map(str, free_ports(2))]
        arguments += [f"{name}={value}" for name, value in {**numbers, "own": own}.items()]
        done = runtimes.run_micropython(
            ["-m", PROGRAM, *arguments],
            HEAP_KB,
            {"MICROPYPATH": f"{programs}:.frozen" if is_frozen else f"./lib:{programs}:.frozen"},
            cwd=Path(folder),
            binary=probe.frozen_micropython(form) if is_frozen else None,
        )
    if done.returncode:
        raise RuntimeError(f"a node of this profile does not run: {done.stdout.strip()}")
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    return {**{fact["part"]: fact["bytes"] for fact in facts}, OVERLAY: max(overlay_costs(form, is_frozen))}


def measured(numbers: Mapping[str, int], is_frozen: bool = False, is_leaf: bool = False) -> dict[str, int]:
    """Bytes by part of a node with these numbers, from build/ where it was measured. Raises RuntimeError, Missing."""
    form = _form(numbers, is_frozen, is_leaf)
    texts = mpy.small_library("x86", LEVEL, form)[0]
    program = (probe.PROGRAMS / f"{PROGRAM}.py").read_text()
    given = sorted(texts.items()), program, _modules(Profile(**numbers), form), sorted(numbers.items()), is_frozen
    path = runtimes.build_folder() / "size" / f"{hashlib.sha256(repr(given).encode()).hexdigest()[:16]}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_run(numbers, is_frozen, form)))
    return json.loads(path.read_text())


def predict(
    numbers: Mapping[str, int], is_frozen: bool = False, has_native: bool = True, is_leaf: bool = False
) -> list[Part]:
    """The parts of a node with as many sessions as its profile has. `has_native`: native code lies in the heap. `is_leaf`:
    the library is that of a leaf."""
    profile = Profile(**numbers)
    found = measured(numbers, is_frozen, is_leaf)
    apart = {f"code {STREAMS}", f"code {ERRORS}"}
    code = sum(cost for part, cost in found.items() if part.startswith("code ") and part not in apart)
    parts = [Part("MicroPython itself", bare_interpreter())]
    if not profile.links:
        parts.append(Part("code: node and discovery", code))
    else:
        parts.append(Part("code: node, discovery and sessions", code))
        parts.append(Part("code: streams, once there is one", found[f"code {STREAMS}"]))
        parts.append(Part("code: errors of requests", found[f"code {ERRORS}"]))
    if has_native and not is_frozen:
        parts.append(Part("native code", native.native_bytes(_form(numbers, is_frozen, is_leaf))))
    parts += [Part(f"table of {profile.records} records", found["table"]), Part("state of the node", found["state"])]
    if "subscription" in found:
        parts.append(Part("the first subscription", found["subscription"]))
    if profile.links:
        parts.append(Part("sessions", found["session"], profile.links))
    return parts


def momentary(numbers: Mapping[str, int], is_frozen: bool = False, is_leaf: bool = False) -> int:
    """Bytes on top of all parts while the largest overlay is loaded (plans.py): during a lookup, say, or a dial."""
    return measured(numbers, is_frozen, is_leaf)[OVERLAY]


def total(parts: Iterable[Part]) -> int:
    """Bytes of all parts."""
    return sum(part.total for part in parts)


def print_table(title: str, parts: list[Part], more: int, heap: int | None) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("part")
    for heading in ("each", "bytes"):
        table.add_column(heading, justify="right")
    for part in parts:
        each = f"{part.count} x {part.bytes:,}" if part.count > 1 else ""
        table.add_row(part.what, each, f"{part.total:,}")
    table.add_section()
    table.add_row("together", "", f"{total(parts):,}")
    table.add_row("for a moment more, while it dials, looks up, starts or stops: up to", "", f"{more:,}")
    if heap:
        table.add_row(f"left of {heap:,}, for your program", "", f"{heap - total(parts) - more:,}")
    Console().print(table)


@click.command()
@click.argument("profile", nargs=-1, metavar="[PROFILE] [NAME=VALUE]...")
@click.option("--frozen", "is_frozen", is_flag=True, help="The library is frozen into the firmware.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def size(profile: tuple[str, ...], is_frozen: bool, as_json: bool) -> None:
    """Predict how much heap a node takes, by part.

    PROFILE is a board (a folder of boards/) or leaf; NAME=VALUE changes numbers of its profile, or of the default one.
    """
    names = [word for word in profile if "=" not in word]
    numbers: dict[str, int] = {}
    board: dict = {}
    try:
        if len(names) > 1:
            raise click.UsageError("one profile at a time")
        if names:
            numbers = boards.numbers_of(names[0])
            board = next((board for board in boards.boards() if board["board"] == names[0]), {})
        for word in profile:
            name, is_number, value = word.partition("=")
            if is_number:
                numbers[name] = int(value)
        Profile(**numbers).check()
        is_leaf = names == [mpy.LEAF]
        parts = predict(numbers, is_frozen, board.get("native_code", "in the heap") == "in the heap", is_leaf)
        more = momentary(numbers, is_frozen, is_leaf)
    except FileNotFoundError:
        known = ", ".join(sorted(path.parent.name for path in boards.ROOT.glob("boards/*/profile.py")))
        if not known:
            raise click.ClickException(
                "the boards are in a checkout of the project, and this is an installed copy"
            ) from None
        raise click.UsageError(f"there is no profile {names[0]}; there are: {known}") from None
    except (LocalError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    except (runtimes.Missing, mpy.CompileError, QemuError, RuntimeError) as trouble:
        raise click.ClickException(str(trouble)) from None
    if as_json:
        each = {part.what: part.total for part in parts}
        print(json.dumps({"parts": each, "bytes": total(parts), "momentary": more}))
    else:
        print_table(" ".join(profile) or "default profile", parts, more, board.get("heap_bytes"))
