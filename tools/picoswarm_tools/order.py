"""The names of a module, so that they cost little where they stand and where they are looked for.

MicroPython looks for a builtin in the module first, in vain, which takes a Cortex-M0+ up to a thousand instructions, and
only then where it is. `len = len` at the top makes it a name of the module, for eight bytes.

Bytecode has a name by its number in the module's table of names: below 128 that is one byte, else two. mpy-cross numbers
names as it meets them. So an expression at the top, which is never evaluated and gone after the import, names the frequent
ones.

Behind them it names those in machine code. On armv6m (MicroPython 1.26 and before) that code finds no name from number 287
on, but whatever lies in memory at twice its own address: `asm_thumb_add_reg_reg_offset` adds a register to itself there.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable

from .fold import live

_SHORT = 126  # numbers of one byte, less those of the module's file and of `__name__`
REACH = 287 - 2  # names that machine code finds on armv6m, less the same two
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _arguments(function: ast.AST) -> list[str]:
    return [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def _is_native(function: ast.AST) -> bool:
    return any("micropython" in ast.unparse(decorator) for decorator in getattr(function, "decorator_list", ()))


def _count(function: ast.AST, uses: Counter[str], gone: set[str]) -> None:
    """Add the names in the bytecode of a function or class body, as often as they stand there; those in `gone` do not."""
    inside, inner = [], []
    for statement in function.body if isinstance(function.body, list) else [function.body]:
        for node in live(statement, (*_FUNCTIONS, ast.ClassDef)):
            inside.append(node)
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                inner.append(node)
    is_class = isinstance(function, ast.ClassDef)
    arguments = [] if is_class else _arguments(function)
    elsewhere = {name for node in inside if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
    stored = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    stored |= {node.name or "" for node in inside if isinstance(node, ast.ExceptHandler)}
    own = gone if is_class else gone | stored - elsewhere | set(arguments)
    if not is_class:  # what a class body names is gone after the import
        uses.update([*arguments, getattr(function, "name", "")])
        for node in inside:
            if isinstance(node, ast.Name) and node.id not in own:
                uses[node.id] += 1
            elif isinstance(node, ast.Attribute):
                uses[node.attr] += 1
            elif isinstance(node, ast.keyword):
                uses[node.arg or ""] += 1
            elif isinstance(node, ast.ImportFrom):
                uses.update([node.module or "", *(alias.name for alias in node.names)])
    for node in inner:
        if not _is_native(node):
            _count(node, uses, own)


def _in_machine_code(tree: ast.Module, consts: set[str]) -> list[str]:
    """The names that native functions look for when they run."""
    found: set[str] = set()
    for function in ast.walk(tree):
        if isinstance(function, _FUNCTIONS) and _is_native(function):
            nodes = [node for statement in function.body for node in ast.walk(statement)]
            stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            own = stored | set(_arguments(function)) | consts
            found |= {node.id for node in nodes if isinstance(node, ast.Name)} - own
            found |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return sorted(found)


def keep_builtins(source: str, names: Iterable[str]) -> str:
    """A module that finds these builtins among its own names, as far as it mentions them and defines none of them."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    stored = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    kept = sorted(set(names) & {node.id for node in nodes} - stored)
    return "".join(f"{name} = {name}\n" for name in kept) + source


def order_names(source: str) -> str:
    """A module whose frequent names come first, where it has more than take one byte, and then those in its machine code.
    Raises ValueError where these are too many."""
    tree, uses = ast.parse(source), Counter()
    assigned = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
    consts = {ast.unparse(node.targets[0]) for node in assigned if ast.unparse(node.value.func) == "const"}
    for node in live(tree, (*_FUNCTIONS, ast.ClassDef)):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and not _is_native(node):
            _count(node, uses, consts)
    names = [name for name, _ in sorted(uses.items(), key=lambda item: (-item[1], item[0])) if name.isidentifier()]
    if len(names) <= _SHORT:
        return source
    first = names[:_SHORT]
    first += [name for name in _in_machine_code(tree, consts) if name not in first]
    if len(first) > REACH:
        raise ValueError(f"machine code has {len(first) - _SHORT} names, too many for armv6m")
    return f"__name__ or __name__.{'.'.join(first)}\n{source}"
