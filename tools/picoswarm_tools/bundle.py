"""Several modules of the device library as one file: those that a node always loads together.

A module costs a board about 200 bytes besides its code, and a name that it imports 14 more. In a bundle the modules stand
one after another as if they were one; a private name that two of them use gets the module's name behind it. Each module can
still be imported by its own name: a stub fetches its names from the bundle.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from .fold import Edits, fixed_values, hidden, live
from .shrink import rename
from .vocabulary import FUNCTIONS, Refused


@cache
def _imports(source: str) -> list[ast.ImportFrom]:
    """`from .x import ...` of a module, inside functions too."""
    return [node for node in live(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.level]


@cache
def bound(source: str) -> dict[str, tuple[str, str] | None]:
    """The names that a module binds at its top: (module, name there) of what it imports, None for its own."""
    found: dict[str, tuple[str, str] | None] = {}
    for node in live(ast.parse(source), (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found[node.name] = None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                found[alias.asname or alias.name] = (getattr(node, "module", "") or "", alias.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = None
    return found


def _traceless(source: str) -> set[str]:
    """Private constants: mpy-cross leaves nothing of their names."""
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    consts = [node for node in assigned if getattr(getattr(node.value, "func", None), "id", "") == "const"]
    return {name for node in consts for name in map(ast.unparse, node.targets) if name.startswith("_")}


def in_order(members: Iterable[str], modules: Mapping[str, str]) -> list[str]:
    """The members so that each stands behind those it imports from."""
    order: list[str] = []

    def place(member: str) -> None:
        for needed in sorted({node.module for node in _imports(modules[member])} & set(members) - set(order)):
            place(needed)
        if member not in order:
            order.append(member)

    for member in sorted(members):
        place(member)
    return order


def _stored_beside(node: ast.ImportFrom, source: str) -> set[str]:
    """The variables that the function around an import sets: a name that is imported too would be one of them."""
    around = [each for each in ast.walk(ast.parse(source)) if isinstance(each, FUNCTIONS)]
    around = [each for each in around if each.lineno <= node.lineno <= each.end_lineno]
    inside = [part for each in around for part in ast.walk(each)]
    return {part.id for part in inside if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _redirected(source: str, home: Mapping[str, str], here: str) -> str:
    """A module whose imports ask the bundles; what stands in its own bundle `here` is there already."""
    edits = Edits(source)
    for node in _imports(source):
        target = home.get(node.module or "")
        if not node.module and any(alias.name in home for alias in node.names):
            raise Refused(f"line {node.lineno}: `from . import` of a bundled module")
        if target == here:
            own = _stored_beside(node, source) & {alias.asname or alias.name for alias in node.names}
            if own:
                raise Refused(f"line {node.lineno}: {sorted(own)} has a second meaning in the function that imports it")
            twice = [f"{alias.asname} = {alias.name}" for alias in node.names if alias.asname]
            edits.replace_node(node, "; ".join(twice) or "pass")
        elif target:
            names = ", ".join(ast.unparse(alias) for alias in node.names)
            edits.replace_node(node, f"from .{target} import ({names})")
    return edits.result()


def _at_home(package: str, home: Mapping[str, str]) -> str:
    """The text of the package, which says of each public name which bundle has it."""
    edits = Edits(package)
    for node in live(ast.parse(package)):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(member)) as place, ast.Tuple()]) if member in home:
                edits.replace_node(place, repr(home[member]))
    return edits.result()


def bundle(modules: Mapping[str, str], bundles: Mapping[str, Sequence[str]], asked: Collection[str] = ()) -> dict[str, str]:
    """`modules` (folded source texts by name) with a module for each bundle and stubs in the place of its members. `asked`:
    what programs take from them.

    Raises Refused where two members mean different things by one public name.
    """
    home = {member: name for name, members in bundles.items() for member in members if member in modules}
    result = {name: _redirected(text, home, "") for name, text in modules.items() if name not in home}
    if "__init__" in result:
        result["__init__"] = _at_home(result["__init__"], home)
    for name in bundles:
        members = [member for member in home if home[member] == name]
        _check(members, modules)
        uses = Counter(each for member in members for each in bound(modules[member]) if each.startswith("_"))
        parts = []
        for member in in_order(members, modules):
            text = modules[member]
            unique = {each: f"{each}_{member}" for each in bound(text) if uses[each] > 1}
            attributes = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
            if attributes & unique.keys():
                raise Refused(f"{member}: {sorted(attributes & unique.keys())} is an attribute and a private name twice")
            parts.append(rename(_redirected(text, home, name), unique))
            fetched = sorted(bound(text).keys() - _traceless(text))
            if member != name and fetched:
                names = ", ".join(f"{unique[each]} as {each}" if each in unique else each for each in fetched)
                result[member] = f"from .{name} import ({names})\n"
        result[name] = "\n".join(parts)
    stubs = set(home) - set(bundles)
    for name in bundles:
        mine = [member for member in stubs if home[member] == name]
        values = fixed_values(ast.parse(result[name]))
        taken = {alias.name for other in result.keys() - stubs for node in _imports(result[other]) for alias in node.names}
        values = {own: ast.unparse(value) for own, value in values.items() if own not in taken.union(asked)}
        result[name] = hidden(result[name], values.keys(), "BUNDLED")
        result.update((member, _with_values(result[member], values)) for member in mine if member in result)
    return result


def handed_out(package: str) -> set[str]:
    """The names that users get from the package, of which this is the text."""
    nodes = (node for node in live(ast.parse(package)) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def _with_values(stub: str, values: Mapping[str, str]) -> str:
    """A stub that has these constants itself."""
    (node,) = ast.parse(stub).body
    assert isinstance(node, ast.ImportFrom)
    own = [alias for alias in node.names if alias.name in values]
    rest = ", ".join(ast.unparse(alias) for alias in node.names if alias.name not in values)
    lines = [f"from .{node.module} import ({rest})"] if rest else []
    return "\n".join([*lines, *(f"{alias.asname or alias.name} = {values[alias.name]}" for alias in own), ""])


def _check(members: Iterable[str], modules: Mapping[str, str]) -> None:
    """Refuse two meanings of one public name."""

    def origin(module: str, name: str) -> tuple[str, str]:
        source = bound(modules[module]).get(name) if module in modules else None
        return origin(*source) if source else (module, name)

    meanings: dict[str, tuple[str, str]] = {}
    for member in members:
        for node in _imports(modules[member]):
            if any(alias.name.startswith("_") for alias in node.names):
                raise Refused(f"{member}, line {node.lineno}: a private name of {node.module}")
        for name in bound(modules[member]):
            meaning = origin(member, name)
            if not name.startswith("_") and meanings.setdefault(name, meaning) != meaning:
                raise Refused(f"{name} is {'.'.join(meaning)} in {member}, and {'.'.join(meanings[name])} in its bundle")
