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
from .overlays import FUNCTIONS, mentions
from .plans import MADE, Overlay
from .shrink import Refused, bindings

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


def _taken(source: str, node: ast.ClassDef, maker: str) -> str:
    """A module whose class has its constructor beside it."""
    lines = source.splitlines(keepends=True)
    method = _constructor(node)
    first, last = method.lineno - 1, method.end_lineno
    given = ast.unparse(method.args).partition(", ")[2]
    start = method.body[0].lineno - 1
    text = [f"\n\ndef {maker}({given}):\n", f"        self = {node.name}()\n", *lines[start:last]]
    text.append("        return self\n")
    own = [] if len(node.body) > 1 else ["    pass\n"]
    return "".join([*lines[:first], *own, *lines[last : node.end_lineno], *text, *lines[node.end_lineno :]])


def _scopes(tree: ast.Module, home: str, is_home: bool, name: str) -> Iterator[tuple[list[ast.AST], list[ast.ImportFrom]]]:
    """Where a module means the class of `home` by this name: (nodes there, imports of it)."""

    def imports_in(nodes: list[ast.AST]) -> list[ast.ImportFrom]:
        found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level and node.module == home]
        return [node for node in found if any(alias.name == name for alias in node.names)]

    outside = imports_in(list(live(tree, FUNCTIONS)))
    if is_home or outside:
        own = {id(node) for node in mentions(tree, bindings(tree))}
        nodes = list(ast.walk(tree))
        others = {id(node) for node in nodes if isinstance(node, ast.Name) and id(node) not in own}
        yield [node for node in nodes if id(getattr(node, "func", node)) not in others], outside
    for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
        nodes = list(ast.walk(function))
        if imports := imports_in(list(live(function))):
            yield nodes, imports


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


def _making(source: str, home: str, is_home: bool, name: str, maker: str) -> str:
    """A module that calls the function in the place of the class, if it has that from `home`."""
    tree, edits = ast.parse(source), Edits(source)
    for nodes, imports in _scopes(tree, home, is_home, name):
        if any(ast.unparse(base) == name for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases):
            raise Refused(f"constructors: {name} is the base of another class")
        uses = [node for node in nodes if isinstance(node, ast.Name) and node.id == name]
        if any(isinstance(node.ctx, ast.Store) for node in uses):
            raise Refused(f"constructors: {name} is a variable, too")
        calls = [node for node in uses if id(node) not in _asked(nodes)]
        for node in calls:
            edits.replace_node(node, maker)
        for node in imports if calls else ():
            names = [ast.unparse(alias) for alias in node.names if alias.name != name or len(uses) > len(calls)]
            edits.replace_node(node, f"from .{home} import {', '.join([*names, maker])}")
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
    makers = {}
    free = _free(result.values(), words)
    for home, moved in plan:
        for name in (name for name, methods in moved.items() if methods == MADE and home in result):
            makers[name] = next(free)
            result = {module: _making(text, home, module == home, name, makers[name]) for module, text in result.items()}
            nodes = ast.parse(result[home]).body
            (node,) = (each for each in nodes if isinstance(each, ast.ClassDef) and each.name == name)
            result[home] = _taken(result[home], node, makers[name])
    made = {name: (maker, ()) for name, maker in makers.items()}
    return result, [
        (home, dict(made.get(name, (name, own)) if own == MADE else (name, own) for name, own in moved.items()))
        for home, moved in plan
    ]
