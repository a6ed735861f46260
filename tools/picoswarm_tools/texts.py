"""What a board holds on its heap and hardly ever looks at, taken out of the sources of the device library.

The text of an exception costs it about sixty bytes. Those of the library become one module, `texts`, which is loaded when a
text is wanted and forgotten again. And each class has its module and its name in its dict, for nobody.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .fold import Edits, live

_SHORTEST = 12  # letters: below, a text costs no more than the call in its place
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOME = "compat"  # what every other module imports from
_TOLD = """
def told(number):
    import sys

    from .texts import TEXTS

    package = sys.modules["picoswarm"]
    sys.modules["picoswarm.texts"] = package.texts = None  # a dict keeps in its place what is deleted
    del sys.modules["picoswarm.texts"]
    del package.texts
    return TEXTS[number]
"""


def _is_native(function: ast.AST) -> bool:
    return any("micropython" in ast.unparse(decorator) for decorator in function.decorator_list)


def _wordy(tree: ast.Module) -> Iterator[ast.Constant]:
    """The texts of several words in the bytecode of functions, docstrings apart."""
    functions = [node for node in live(tree) if isinstance(node, _FUNCTIONS) and not _is_native(node)]
    for function in functions:
        for statement in function.body:
            for node in live(statement, (*_FUNCTIONS, ast.ClassDef)):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    continue
                for child in ast.iter_child_nodes(node):
                    value = child.value if isinstance(child, ast.Constant) else None
                    if isinstance(value, str) and len(value) >= _SHORTEST and " " in value:
                        yield child


def take_texts(modules: dict[str, str]) -> dict[str, str]:
    """`modules` (folded source texts by name) with their texts in a module `texts`."""
    texts: dict[str, int] = {}
    result = dict(modules)
    for name, source in sorted(modules.items()):
        tree, edits = ast.parse(source), Edits(source)
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == _HOME and node.level]
        found = list(_wordy(tree)) if imports or name == _HOME else []
        for node in found:
            edits.replace_node(node, f"told({texts.setdefault(node.value, len(texts))})")
        if found and imports:
            names = ", ".join([*map(ast.unparse, imports[0].names), "told"])
            edits.replace_node(imports[0], f"from .{_HOME} import ({names})")
        result[name] = edits.result()
    result[_HOME] += _TOLD
    result["texts"] = f"TEXTS = {tuple(texts)!r}\n"
    return result


def strip_classes(source: str) -> str:
    """A module whose classes have no `__module__` and `__qualname__`, where a docstring leaves the place to say so. What a
    class defines then takes their places in its dict."""
    edits = Edits(source)
    for node in live(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and ast.get_docstring(node) is not None:
            edits.replace_node(node.body[0], "del (__module__, __qualname__)")
    return edits.result()
