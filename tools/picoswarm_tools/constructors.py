"""Constructors taken out of their classes, so that overlays.py can move them: they run once, at the start.

    class Table:                            class Table:
        def __init__(self, pool):     ->        ...
            self.pool = pool
                                            def make(pool):
                                                self = Table()
                                                self.pool = pool
                                                return self

Who made a `Table(pool)` calls `make(pool)`. This is for classes of which the library alone makes objects, and happens under
the names of a board, like the overlays.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .fold import Edits, live
from .overlays import imports_from, mentions
from .plans import MADE, Overlay
from .shrink import bindings
from .vocabulary import FUNCTIONS, Refused

# Methods of MicroPython's own types, and functions: every firmware has these names, too.
_METHODS = (
    *("bin", "callable", "classmethod", "complex", "delattr", "divmod", "enumerate", "filter", "frozenset", "hex", "oct"),
    *("issubclass", "reversed", "slice", "sorted", "staticmethod", "zip"),
    *("append", "clear", "copy", "count", "extend", "endswith", "find", "format", "get", "index", "insert", "isdigit"),
    *("items", "join", "keys", "lower", "pop", "popitem", "remove", "replace", "reverse", "rfind", "rsplit", "rstrip"),
    *("setdefault", "sort", "split", "startswith", "strip", "update", "upper"),
)


def _constructor(node: ast.ClassDef) -> ast.FunctionDef:
    found = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    if not found:
        raise Refused(f"constructors: {node.name} has none")
    inside = list(ast.walk(found[0]))
    does_more = any(isinstance(each, ast.Return) or getattr(each, "id", "") == "super" for each in inside)
    if found[0].decorator_list or does_more:
        raise Refused(f"constructors: that of {node.name} does more than to set attributes")
    return found[0]


def _taken(source: str, makers: Mapping[str, str]) -> str:
    """A module whose classes have their constructors beside them, by the names in `makers`."""
    lines = source.splitlines(keepends=True)
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name in makers]
    for node in reversed(classes):
        method = _constructor(node)
        first, last = method.lineno - 1, method.end_lineno
        given = ast.unparse(method.args).partition(", ")[2]
        text = [f"\n\ndef {makers[node.name]}({given}):\n", f"        self = {node.name}()\n"]
        text += [*lines[method.body[0].lineno - 1 : last], "        return self\n"]
        own = [] if len(node.body) > 1 else ["    pass\n"]
        lines[first : node.end_lineno] = [*own, *lines[last : node.end_lineno], *text]
    return "".join(lines)


Scope = tuple[list[ast.AST], list[ast.ImportFrom], set[str]]


def _scopes(tree: ast.Module, home: str, is_home: bool, names: set[str]) -> Iterator[Scope]:
    """Where a module means classes of `home` by these names: (nodes there, imports of them, their names)."""

    def imports_in(nodes: Iterable[ast.AST]) -> tuple[list[ast.ImportFrom], set[str]]:
        found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level and node.module == home]
        found = [node for node in found if any(alias.name in names for alias in node.names)]
        return found, names & {alias.name for node in found for alias in node.names}

    outside, meant = imports_in(live(tree, FUNCTIONS))
    if is_home or outside:
        own = {id(node) for node in mentions(tree, bindings(tree))}
        nodes = list(ast.walk(tree))
        others = {id(node) for node in nodes if isinstance(node, ast.Name) and id(node) not in own}
        yield [node for node in nodes if id(getattr(node, "func", node)) not in others], outside, names if is_home else meant
    for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
        imports, meant = imports_in(live(function))
        if imports:
            yield list(ast.walk(function)), imports, meant


def _asked(nodes: Iterable[ast.AST]) -> set[int]:
    """Where a class is wanted itself, and not what makes an object of it: ids of nodes."""
    asked: list[ast.AST | None] = []
    for node in nodes:
        if isinstance(node, ast.Attribute):
            asked.append(node.value)
        elif isinstance(node, ast.ExceptHandler):
            asked.append(node.type)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asked.append(node.args[1])
    return {id(each) for node in asked if node for each in ast.walk(node)}


def _making(source: str, home: str, is_home: bool, makers: Mapping[str, str]) -> str:
    """A module that calls functions in the place of classes, those of `makers` that it has from `home`."""
    if not (is_home or imports_from(home, source)):
        return source
    tree, edits = ast.parse(source), Edits(source)
    for nodes, imports, names in _scopes(tree, home, is_home, set(makers)):
        bases = {ast.unparse(base) for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases}
        if bases & names:
            raise Refused(f"constructors: {sorted(bases & names)} is the base of another class")
        uses = [node for node in nodes if isinstance(node, ast.Name) and node.id in names]
        if stored := sorted({node.id for node in uses if isinstance(node.ctx, ast.Store)}):
            raise Refused(f"constructors: {stored} is a variable, too")
        asked = _asked(nodes)
        calls = [node for node in uses if id(node) not in asked]
        for node in calls:
            edits.replace_node(node, makers[node.id])
        called = {node.id for node in calls}
        gone = called - {node.id for node in uses if id(node) in asked}
        for node in imports:
            if made := [makers[alias.name] for alias in node.names if alias.name in called]:
                kept = [ast.unparse(alias) for alias in node.names if alias.name not in gone]
                edits.replace_node(node, f"from .{home} import {', '.join([*kept, *made])}")
    return edits.result()


def _free(texts: Iterable[str], words: Iterable[str]) -> Iterator[str]:
    """Words that are no name in any of the texts, but for methods: a name that the firmware has takes no memory."""
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    methods = {id(each) for node in nodes if isinstance(node, ast.ClassDef) for each in node.body}
    taken = {getattr(node, key, None) for node in nodes if id(node) not in methods for key in ("id", "name", "arg")}
    return (word for word in (*words, *_METHODS) if word not in taken)


def take_out(
    modules: Mapping[str, str], plan: Sequence[Overlay], words: Iterable[str]
) -> tuple[dict[str, str], list[Overlay]]:
    """`modules`, texts by name, with the constructors of a plan as functions, and the plan with these; their names are
    `words`. Raises Refused."""
    result = dict(modules)
    makers: dict[str, dict[str, str]] = {}  # by home
    free = _free(result.values(), words)
    for home, moved in plan:
        for name in (name for name, methods in moved.items() if methods == MADE and home in result):
            makers.setdefault(home, {})[name] = next(free)
    for home, own in makers.items():
        result = {module: _making(text, home, module == home, own) for module, text in result.items()}
        result[home] = _taken(result[home], own)
    made = {name: (maker, ()) for own in makers.values() for name, maker in own.items()}
    return result, [
        (home, dict(made.get(name, (name, own)) if own == MADE else (name, own) for name, own in moved.items()))
        for home, moved in plan
    ]
