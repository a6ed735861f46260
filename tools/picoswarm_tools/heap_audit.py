"""What the heap of a whole node holds, object by object: `python -m picoswarm_tools.heap_audit [full|leaf] [--mpy]`.

The node of a case (whole_node.py) runs on 32-bit MicroPython with all its sessions open. Its heap is read out, and the
pointers in it are followed: first from each module to its names, classes and functions, then from the node to its engines.
A piece that is no object of a class counts to the attribute that holds it. Objects of one class stand in one line, with how
many entries its dict has and has room for. What is left belongs to tasks that run, and to MicroPython.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import keyword
import re
import struct
import sys
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from . import mpy
from .probe import Probe
from .whole_node import HEAP, SETTLE_S, Case, cases, members_of, open_sessions

BLOCK = 16  # bytes
WORD = 4
HIGH = 1 << 31  # an id is a small integer, so that the highest bit of an address is not told
LINE = 64  # blocks in a line of MicroPython's map of the heap
AT_ONCE = 200  # names that are asked for


@dataclass
class Heap:
    """A heap of 32-bit MicroPython. `sizes`: bytes of each piece, by address; `names`: what a word stands for that is the
    name of something."""

    form: str  # of the library, see mpy.FORMS
    modules: dict[str, int]
    dicts: set[int]  # the address of the type `dict`, with and without its highest bit
    node: int
    start: int
    raw: bytes
    sizes: dict[int, int]
    names: dict[int, str] = field(default_factory=dict)

    def words(self, at: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{self.sizes[at] // WORD}I", self.raw, at - self.start)

    def pieces(self, at: int) -> list[int]:
        """What a piece points to."""
        return [word for word in self.words(at) if word in self.sizes]

    def entries(self, at: int) -> tuple[int, int, list[tuple[int, int]]]:
        """Of a dict, or an object of a class: address and room of its table, and its (key, value) pairs."""
        room, table = self.words(at)[2:4]
        words = self.words(table) if table in self.sizes else ()
        return table, room, [(key, value) for key, value in zip(words[::2], words[1::2], strict=True) if key]

    @cached_property
    def type_of_classes(self) -> int:
        return self.words(self.words(self.node)[0])[0]

    def is_class(self, at: int) -> bool:
        return at in self.sizes and self.words(at)[0] == self.type_of_classes

    def is_object(self, at: int) -> bool:
        """Of a class that stands in the heap."""
        return at in self.sizes and self.is_class(self.words(at)[0])


async def _lines(node: Probe) -> list[str]:
    assert node.process is not None and node.process.stdout is not None
    lines = []
    while (line := (await node.process.stdout.readline()).decode().rstrip("\n")) != "end":
        lines.append(line)
    return lines


def _map_of(lines: list[str]) -> tuple[int, str]:
    """Where the heap begins, and a letter for each of its blocks."""
    blocks = ""
    for line in lines:
        if found := re.match(r"[0-9a-f]+: (.*)$", line):
            blocks += found[1]
        elif found := re.match(r"\s+\((\d+) lines all free\)", line):
            blocks += "." * LINE * int(found[1])
    start = re.search(r"from ([0-9a-f]+):", "\n".join(lines))
    assert start is not None
    return int(start[1], 16), blocks


async def _read(node: Probe, form: str) -> Heap:
    assert node.process is not None and node.process.stdin is not None
    roots = await node.ask("dump")
    start, blocks = _map_of(await _lines(node))
    node.process.stdin.write(f"{start}\n{len(blocks)}\n".encode())
    raw = bytes.fromhex("".join(await _lines(node)))
    sizes = {start + BLOCK * one.start(): BLOCK * len(one[0]) for one in re.finditer(r"[^=. ]=*", blocks)}
    modules = {name: number & 0xFFFFFFFF for name, number in roots["modules"].items()}
    heap = Heap(
        form,
        modules,
        {roots["dict"] & ~HIGH & 0xFFFFFFFF | high for high in (0, HIGH)},
        roots["node"] & 0xFFFFFFFF,
        start,
        raw,
        sizes,
    )
    source = mpy.compile_library("x86", mpy.BOARD_LEVEL, form) / "source" / "picoswarm"
    words = set(re.findall(r"[A-Za-z_]\w*", "\n".join(path.read_text() for path in source.glob("*.py"))))
    words = sorted(words - set(keyword.kwlist))
    for i in range(0, len(words), AT_ONCE):
        for name, word in (await node.ask("names " + " ".join(words[i : i + AT_ONCE])))["names"]:
            heap.names[word & 0xFFFFFFFF] = name
    return heap


async def observe(case: Case, is_frozen: bool) -> Heap:
    """The heap of a node with all its sessions, at rest."""
    form = case.form_of(is_frozen)
    with tempfile.TemporaryDirectory(prefix="picoswarm-") as folder:
        numbers = {**case.numbers, "own": case.own_channels}
        async with (
            Probe(Path(folder), HEAP, 3, numbers, "session_probe", is_frozen, form=form) as node,
            AsyncExitStack() as stack,
        ):
            members = await members_of(node, stack, case, case.profile.links, 0)
            await open_sessions(node, members)
            if case.with_stream:
                await node.ask(f"stream {members[0].id.hex()}")
            await asyncio.sleep(SETTLE_S)
            return await _read(node, form)


class LongNames:
    """What classes and attributes are called in the sources, where a board has short names that several share."""

    def __init__(self, form: str) -> None:
        self._short = mpy.small_library("x86", mpy.BOARD_LEVEL, form)[1]
        self._attributes: dict[str, set[str]] = {}
        self._bases: dict[str, list[str]] = {}
        for path in mpy.LIBRARY.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    own = [part for part in ast.walk(node) if isinstance(part, ast.Attribute)]
                    self._attributes[node.name] = {part.attr for part in own if ast.unparse(part.value) == "self"}
                    self._bases[node.name] = [ast.unparse(base) for base in node.bases]

    def _all(self, name: str) -> set[str]:
        found = set(self._attributes.get(name, ()))
        for base in self._bases.get(name, ()):
            found |= self._all(base)
        return found

    def of_class(self, attributes: set[str]) -> str:
        """The class whose objects have these attributes."""

        def fits(name: str) -> float:
            short = {self._short.get(each, each) for each in self._all(name)}
            return len(short & attributes) - 2 * len(attributes - short) - 0.1 * len(short)

        return max(sorted(self._attributes), key=fits)

    def of_attribute(self, of_class: str, short: str) -> str:
        found = [name for name in sorted(self._all(of_class)) if self._short.get(name, name) == short]
        return found[0] if found else short


class Audit:
    """Bytes by owner and by what they are: `modules`, `objects` (with `counts`) and `left`."""

    def __init__(self, heap: Heap) -> None:
        self.heap = heap
        self.modules: dict[str, Counter[str]] = defaultdict(Counter)
        self.objects: dict[str, Counter[str]] = defaultdict(Counter)
        self.counts: Counter[str] = Counter()
        self._owned: set[int] = set()
        self._names = LongNames(heap.form)
        self._class_names: dict[int, str] = {}
        for name, at in sorted(heap.modules.items(), key=lambda item: (not item[0].startswith("picoswarm"), item[0])):
            if at in heap.sizes:
                self._take_module(name, at)
        self._take_objects(heap.node)
        for at in heap.sizes:
            if at not in self._owned and heap.is_object(at):
                self._take_objects(at)
        self.left = sum(size for at, size in heap.sizes.items() if at not in self._owned)

    def _own(self, at: int, counter: Counter[str], what: str) -> bool:
        if at not in self.heap.sizes or at in self._owned:
            return False
        self._owned.add(at)
        counter[what] += self.heap.sizes[at]
        return True

    def _take_module(self, name: str, at: int) -> None:
        """A module, with what it defines; a class or function that several modules name belongs to the first of them."""
        heap, counter = self.heap, self.modules[name]
        self._own(at, counter, "module")
        names = heap.words(at)[1]
        if not self._own(names, counter, "module"):
            return
        table, room, entries = heap.entries(names)
        self._own(table, counter, f"names {len(entries)}/{room}")
        for _, value in entries:
            if heap.is_class(value) and self._own(value, counter, "classes"):
                for part in heap.pieces(value):
                    if heap.words(part)[0] in heap.dicts and self._own(part, counter, "classes"):
                        table, _, members = heap.entries(part)
                        self._own(table, counter, "tables of classes")
                        for _, member in members:
                            self._take_function(member, counter, "methods")
            else:
                self._take_function(value, counter, "functions and values")

    def _take_function(self, at: int, counter: Counter[str], what: str) -> None:
        """A function with its code, where that is in the heap; or a plain value."""
        waiting = [at]
        while waiting:
            at = waiting.pop()
            heap = self.heap
            if at in heap.modules.values() or heap.is_class(at) or heap.is_object(at):
                continue
            if self._own(at, counter, what):
                waiting += [each for each in heap.pieces(at) if heap.words(each)[0] not in heap.dicts]

    def _take_objects(self, at: int) -> None:
        """An object of a class, and all that can be reached from it."""
        heap, waiting = self.heap, deque([at])
        while waiting:
            at = waiting.popleft()
            table, room, entries = heap.entries(at)
            of_class = heap.words(at)[0]
            if of_class not in self._class_names and entries:
                self._class_names[of_class] = self._names.of_class({heap.names.get(key, "") for key, _ in entries})
            name = self._class_names.get(of_class, "of MicroPython")
            counter = self.objects[name]
            if not self._own(at, counter, "itself"):
                continue
            self.counts[name] += 1
            self._own(table, counter, f"dict {len(entries)}/{room}")
            for key, value in entries:
                what = self._names.of_attribute(name, heap.names.get(key, "?"))
                waiting += self._take_plain(value, counter, what)
            for value in heap.words(at)[4:]:
                waiting += self._take_plain(value, counter, "parts")

    def _take_plain(self, at: int, counter: Counter[str], what: str) -> Iterator[int]:
        """What an attribute holds, but for objects of classes, which are given back."""
        waiting = [at]
        while waiting:
            at = waiting.pop()
            if self.heap.is_object(at):
                yield at
            elif not self.heap.is_class(at) and self._own(at, counter, what):
                waiting += self.heap.pieces(at)


def print_owners(title: str, owners: dict[str, Counter[str]], counts: Counter[str] | None = None) -> None:
    print(f"{sum(sum(each.values()) for each in owners.values()):7,d}  {title}")
    for name, parts in sorted(owners.items(), key=lambda item: -item[1].total()):
        count = f" x {counts[name]}" if counts and counts[name] > 1 else ""
        print(f"{parts.total():7,d}    {name}{count}: " + ", ".join(f"{what} {n}" for what, n in parts.most_common()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="picoswarm_tools.heap_audit", description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", default="full", choices=tuple(cases()))
    parser.add_argument("--mpy", action="store_true", help="from .mpy files, not frozen")
    options = parser.parse_args()
    heap = asyncio.run(observe(cases()[options.case], not options.mpy))
    audit = Audit(heap)
    print(f"{sum(heap.sizes.values()):7,d}  bytes, the program that measures counted")
    print_owners("modules", {name: parts for name, parts in audit.modules.items() if parts})
    print_owners("objects", audit.objects, audit.counts)
    print(f"{audit.left:7,d}  what is left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
