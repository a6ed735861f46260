"""Code beside the library that uses internal names of it, such as unit tests, under the names of a board."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict

from .fold import Edits
from .shrink import Names
from .vocabulary import FUNCTIONS, Refused, class_level, seen_from_outside


def translate(source: str, names: Names, shown_as: str = "program") -> str:
    """A text that uses the library, for the library under `names`: attributes, and what it imports from picoswarm. Its own
    variables stay. Raises Refused, which names it as `shown_as`."""
    tree, edits = ast.parse(source), Edits(source)
    attributes, keywords, strings = seen_from_outside(tree, shown_as)
    kept = {argument for name, argument in names.keywords if not name}
    foreign = set(dir(builtins)) | {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)}
    asked = {argument for called, argument in keywords - names.keywords if called not in foreign}
    lost = asked & names.arguments - kept
    by_short = defaultdict(list)
    for name in sorted(attributes & names.keys()):
        by_short[names[name]].append(name)
    for short, same in by_short.items():
        if len(same) > 1:
            raise Refused(f"{shown_as}: {' and '.join(same)} would both be {short}: name this text in mpy.BESIDE")
    strange = sorted(lost | strings & names.keys() | attributes & set(names.values()))
    if strange:
        raise Refused(f"{shown_as}: {strange} are keywords, strings or short names here: name this text in mpy.BESIDE")
    for node, name in class_level(tree):
        if name in names and isinstance(node, ast.Name):
            edits.replace_node(node, names[name])
        elif name in names:
            word = "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
            start = edits.at(node.lineno, node.col_offset) + len(word)
            edits.replace(start, start + len(name.encode()), names[name])
    hidden = [part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if node in hidden:
                raise Refused(f"{shown_as}, line {node.lineno}: the f-string hides {node.attr}: use %")
            end = edits.at(node.end_lineno, node.end_col_offset)
            edits.replace(end - len(node.attr.encode()), end, names[node.attr])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("picoswarm."):
            for alias in node.names:
                if alias.name in names:
                    edits.replace_node(alias, f"{names[alias.name]} as {alias.asname or alias.name}")
    return edits.result()
