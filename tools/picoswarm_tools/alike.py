"""Classes all of whose methods are in overlays become one: nothing tells them apart but what their objects hold.

    class Site:                     class Site:
        def is_near(self): ...          def is_near(self): ...
                                        def note(self): ...
    class Anchor:             ->
        def note(self): ...
                                    Site() in the place of Anchor()

A class takes some 200 bytes of a board, whose objects find their methods by its name and theirs: so no two methods of those
that become one may share a name. This is for classes that the library alone makes, and of which it wants nothing else, after
their constructors are functions (constructors.py), and happens under the names of a board.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence

from .fold import Edits, live
from .overlays import first_line, imports_from, is_stub, mentions, methods_of
from .plans import CALL, Overlay
from .shrink import bindings, variables
from .vocabulary import FUNCTIONS


def _is_plain(node: ast.ClassDef, cold: set[str]) -> bool:
    """Whether a class keeps nothing once the methods `cold` are gone."""
    rest = [each for each in node.body if not (isinstance(each, FUNCTIONS) and each.name in cold)]
    nothing = (ast.Delete, ast.Pass, ast.Expr)
    return not (node.bases or node.decorator_list) and all(isinstance(each, nothing) for each in rest)


def _alike(tree: ast.Module, cold: Mapping[str, set[str]], apart: set[str]) -> list[ast.ClassDef]:
    """The classes that can become one: none of `apart`."""
    found: list[ast.ClassDef] = []
    taken: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name in apart or methods_of(node).keys() & taken:
            continue
        if _is_plain(node, cold.get(node.name, set())):
            taken |= methods_of(node).keys()
            found.append(node)
    return found


def _first(tree: ast.Module, names: Sequence[str]) -> list[str]:
    """The names of classes, the first of which is no variable where another one is meant; none if each of them is."""
    bound = bindings(tree)
    hidden: dict[str, set[str]] = {name: set() for name in names}  # the variables of all functions that mention it
    for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
        if mentioned := {getattr(node, "id", "") for node in ast.walk(function)} & hidden.keys():
            own = variables(function, bound)
            for name in mentioned:
                hidden[name] |= own
    for name in names:
        others = [each for each in names if each != name]
        if not any(name in hidden[each] for each in others):
            return [name, *others]
    return []


def _as_one(source: str, classes: Sequence[str]) -> str:
    """A module whose classes of these names are the first of them."""
    tree, edits = ast.parse(source), Edits(source)
    for node in mentions(tree, bindings(tree)):
        if node.id in classes[1:]:
            edits.replace_node(node, classes[0])
    lines = edits.result().splitlines(keepends=True)
    nodes = {node.name: node for node in ast.parse("".join(lines)).body if isinstance(node, ast.ClassDef)}
    methods: list[str] = []
    for name in classes[1:]:
        for each in nodes[name].body:
            if isinstance(each, FUNCTIONS):
                methods += lines[first_line(each) : each.end_lineno]
        lines[nodes[name].lineno - 1 : nodes[name].end_lineno] = [""] * (nodes[name].end_lineno - nodes[name].lineno + 1)
    lines[nodes[classes[0]].end_lineno - 1] += "".join(methods)
    return "".join(lines)


def _imports(tree: ast.Module, home: str) -> list[ast.ImportFrom]:
    return [node for node in live(tree) if isinstance(node, ast.ImportFrom) and node.level and node.module == home]


def _handed_on(source: str, home: str, classes: Sequence[str]) -> str:
    """A stub, which gives the first of these classes by all their names."""
    tree, edits = ast.parse(source), Edits(source)
    for node in _imports(tree, home):
        gone = {each.name: f"{classes[0]} as {each.asname or each.name}" for each in node.names if each.name in classes[1:]}
        names = [gone.get(each.name) or ast.unparse(each) for each in node.names]
        edits.replace_node(node, f"from .{home} import {', '.join(names)}")
    return edits.result()


def _cold(plan: Iterable[Overlay]) -> dict[str, set[str]]:
    """The methods in overlays, by class; an empty set for a class that goes as a whole. Those of which a call stays are none
    of them."""
    found: dict[str, set[str]] = {}
    for _, moved in plan:
        for name, methods in moved.items():
            found.setdefault(name, set()).update(each for each in methods if not each.endswith(CALL))
    return found


def apart(plan: Sequence[Overlay], modules: Mapping[str, str]) -> str:
    """A text for shrink.name_map in whose eyes the methods of classes that may become one meet; under their long names."""
    cold = _cold(plan)
    nodes = [node for home in dict(plan) if home in modules for node in ast.parse(modules[home]).body]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef) and cold.get(node.name)]
    names = {name for node in classes if _is_plain(node, cold[node.name] | {"__init__"}) for name in methods_of(node)}
    return "".join(f"alike.{name} = 0\n" for name in sorted(names - {"__init__"}))


def merge(
    modules: Mapping[str, str], plan: Sequence[Overlay], imported: Collection[str] = ()
) -> tuple[dict[str, str], list[Overlay]]:
    """`modules`, texts by name, and the plan of their overlays, with one class for those that are alike. `imported`: classes
    that programs have."""
    result, plan = dict(modules), list(plan)
    for home in dict(plan):
        tree = ast.parse(result[home])
        own = [(module, moved) for module, moved in plan if module == home]
        cold = _cold(own)
        stays = {name for _, moved in own for name, methods in moved.items() if not methods} | set(imported)
        others = {name: text for name, text in result.items() if name != home and imports_from(home, text)}
        for text in (text for text in others.values() if not is_stub(text)):
            stays |= {alias.name for node in _imports(ast.parse(text), home) for alias in node.names}
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        stays |= {node.id for node in mentions(tree, bindings(tree)) if id(node) not in called}
        classes = _first(tree, [node.name for node in _alike(tree, cold, stays)])
        if len(classes) > 1:
            result[home] = _as_one(result[home], classes)
            result.update((name, _handed_on(text, home, classes)) for name, text in others.items() if is_stub(text))
            plan = [(module, _merged(moved, classes) if module == home else moved) for module, moved in plan]
    return result, plan


def _merged(moved: Mapping[str, tuple[str, ...]], classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    result: dict[str, tuple[str, ...]] = {}
    for name, methods in moved.items():
        name = classes[0] if name in classes else name
        result[name] = result.get(name, ()) + tuple(methods)
    return result
