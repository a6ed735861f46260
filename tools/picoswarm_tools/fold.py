"""What is known of a board before it boots, put into the sources of the device library.

`compat.MICROPYTHON` and `compat.KERNELS` are constants there. Each mention becomes its value and each test that is decided
by it becomes True or False; mpy-cross leaves out the branch that is then dead. Every line stays where it was.
"""

from __future__ import annotations

import ast
import io
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

Known = Mapping[str, object]
UNIX = ("x86", "x64")  # the architectures of the unix port


def known_on(arch: str) -> dict[str, object]:
    """What the runtime-dependent names of compat.py are where code for `arch` (mpy.ARCHES) runs."""
    anywhere = {"MICROPYTHON": True, "FILES": "board"}
    if arch == "bytecode":  # on words of any size
        return {**anywhere, "KERNELS": "int"}
    if arch != "rv32imc":  # an ESP32-C3, or an RP2350
        anywhere["VAULT"] = arch == "xtensawin"
    kernels, words = ("int", 64) if arch == "x64" else ("viper", 32)
    is_unix = {"sys.platform in ('linux', 'darwin')": arch in UNIX}
    return {**anywhere, **is_unix, "KERNELS": kernels, "sys.maxsize": (1 << words - 1) - 1}


class Edits:
    """Replacements in a text, by the positions that syntax trees give, which count bytes."""

    def __init__(self, source: str):
        self._lines = [line.encode() for line in io.StringIO(source)]
        self._starts = [0, *itertools.accumulate(map(len, self._lines))]
        self._text = b"".join(self._lines)
        self._edits: list[tuple[int, int, bytes]] = []

    def at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def replace(self, start: int, end: int, new: str) -> None:
        """Put `new` there, and as many line ends as are missing in it."""
        missing = self._text[start:end].count(b"\n") - new.count("\n")
        if missing and new.endswith(")"):
            new = new[:-1] + "\n" * missing + ")"
        elif missing:
            new += "\n" * missing
        self._edits.append((start, end, new.encode()))

    def replace_node(self, node: ast.AST, new: str) -> None:
        self.replace(self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset), new)

    def result(self) -> str:
        text = self._text
        for start, end, new in sorted(self._edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text.decode()


def decide(test: ast.expr, known: Known) -> object:
    """The value of a test as far as `known` decides it, else None."""
    text = ast.unparse(test)
    if text in known:
        return known[text]
    match test:
        case ast.Constant():
            return test.value
        case ast.UnaryOp(op=ast.Not()):
            value = decide(test.operand, known)
            return None if value is None else not value
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() as op], comparators=[right]):
            left, right = decide(test.left, known), decide(right, known)
            return None if left is None or right is None else (left == right) == isinstance(op, ast.Eq)
        case ast.BoolOp():
            ends_it = isinstance(test.op, ast.Or)
            values = [decide(value, known) for value in test.values]
            if any(value is not None and bool(value) == ends_it for value in values):
                return ends_it
            return None if None in values else not ends_it
    return None


class _Folder(ast.NodeVisitor):
    def __init__(self, source: str, known: Known):
        self.source, self.known, self.edits = source, known, Edits(source)

    def visit_If(self, node: ast.If) -> None:
        value = decide(node.test, self.known)
        if value is None:
            self.generic_visit(node)
            return
        self.edits.replace_node(node.test, str(bool(value)))
        for live in node.body if value else node.orelse:
            self.visit(live)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        value = decide(node.test, self.known)
        if value is None:
            self.generic_visit(node)
            return
        live = node.body if value else node.orelse
        text = fold_expression(ast.get_source_segment(self.source, live), self.known)
        self.edits.replace_node(node, f"({text})")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id in self.known:
            self.edits.replace_node(node, repr(self.known[node.id]))

    def visit_Assign(self, node: ast.Assign) -> None:
        name = ast.unparse(node.targets[0])
        if name in self.known:
            self.edits.replace_node(node.value, f"({self.known[name]!r})")
        else:
            self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Leave out what nobody reads any more: mpy-cross has seen to `const`, this class to the known names."""
        if node.module != "compat":
            return
        gone = {"const", *self.known}
        left = [alias for alias in node.names if alias.name not in gone]
        if len(left) < len(node.names):
            names = ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in left)
            self.edits.replace_node(node, f"from .compat import ({names})" if left else "pass")


def live(tree: ast.AST, closed: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """The nodes of a folded tree that are not in a dead branch. It does not look into nodes of the types `closed`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Constant):
            waiting += node.body if node.test.value else node.orelse
        elif not isinstance(node, closed):
            waiting += ast.iter_child_nodes(node)


def mentioned(tree: ast.AST) -> Iterator[str]:
    """Names that a module or program takes from others, or a type stub promises."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.AnnAssign):  # of a type stub
            yield ast.unparse(node.target)


def _is_fixed(value: ast.expr) -> bool:
    """Whether mpy-cross can put a value in the place of its name."""
    if isinstance(value, ast.Tuple):
        return all(map(_is_fixed, value.elts))
    if not isinstance(value, ast.Constant):
        return False
    return 0 <= value.value < 1 << 30 if isinstance(value.value, int) else isinstance(value.value, (bytes, str))


def flatten(source: str, has_const: bool = False) -> str:
    """`source` with what stands under a decided `if` at its top on the level of all else. Lines move. `has_const`: it may
    import `const`, although mpy-cross knows it."""
    tree = ast.parse(source)
    if not any(isinstance(node, ast.If) and isinstance(node.test, ast.Constant) for node in tree.body):
        return source
    body: list[ast.stmt] = []
    waiting = tree.body[::-1]
    while waiting:
        match node := waiting.pop():
            case ast.If(test=ast.Constant(value=is_so)):
                waiting += (node.body if is_so else node.orelse)[::-1]
            case ast.ImportFrom(module="micropython", names=[ast.alias(name="const")]) if not has_const:
                pass
            case _:
                body.append(node)
    tree.body = body
    return f"{ast.unparse(tree)}\n"


def fixed_values(tree: ast.Module) -> dict[str, ast.expr]:
    """The values of a module's constants, by name: numbers, texts and tuples of these, which have no other name."""
    stored = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    found = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=own)], value=ast.Call(func=ast.Name(id="const"), args=[value])) if (
                own[0] != "_"
            ):
                pass  # a private one is as it should be
            case ast.Assign(targets=[ast.Name(id=own)], value=value):
                pass
            case _:
                continue
        if own.isupper() and stored[own] == 1 and _is_fixed(value):
            found[own] = value
    return found


def hidden(source: str, names: Collection[str], suffix: str = "HERE") -> str:
    """A module in which these constants are private: mpy-cross puts their values in the place of the names, and no dict of a
    module holds them. `suffix`: of their new names, which are nowhere else."""
    tree, edits = ast.parse(source), Edits(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            edits.replace_node(node, f"_{node.id}_{suffix}")
    for own, value in fixed_values(tree).items():
        if own in names:
            whole = next(node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == own)
            edits.replace_node(whole.value, f"const({ast.get_source_segment(source, value)})")
    return edits.result()


def hide_constants(modules: Mapping[str, str], asked: Collection[str] = ()) -> dict[str, str]:
    """`modules` (texts by name) in which the constants are private that no other module takes and none of `asked`."""
    trees = {name: ast.parse(text) for name, text in modules.items()}
    asked = {name for tree in trees.values() for name in mentioned(tree)}.union(asked)
    return {name: hidden(text, fixed_values(trees[name]).keys() - asked) for name, text in modules.items()}


def fold_expression(text: str, known: Known) -> str:
    return fold(f"({text})", known)[1:-1]


def fold(source: str, known: Known) -> str:
    """`source` with what `known` decides decided, line by line where it was; private functions that nobody calls any more
    are gone."""
    folder = _Folder(source, known)
    folder.visit(ast.parse(source))
    folded = folder.edits.result()
    tree, edits = ast.parse(folded), Edits(folded)
    mentioned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    before = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_") and node.name in before - mentioned:
            edits.replace_node(node, "pass")
    return edits.result()
