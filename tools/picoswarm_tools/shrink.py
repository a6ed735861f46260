"""Short names for the device library of a board, so that long ones cost it nothing.

One map for the whole library gives each name a short one, at every place where it stands, and every line stays where it was.
The map holds only names that the library itself defines, and none of: the public API (typings/), what MicroPython defines,
and words that stand in a string. The numbers of a profile are many, and shortened all the same: `numbers_known` tells
`Profile` both names of each. Two names get the same short one where they cannot meet: no function mentions both, and no
class has both as attributes. `name_map` refuses what it cannot see through.

Variables and arguments are another matter: each function has its own, and they get short names in the function alone,
whatever the same word means elsewhere. Arguments that the public API promises, or that a call names, stay.

Code beside the library that uses internal names, such as unit tests, goes through beside.py.
"""

from __future__ import annotations

import ast
import bisect
import builtins
import io
import itertools
import string
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from .fold import live
from .vocabulary import BY_STRING, FUNCTIONS, Refused, arguments_of, keywords_of, seen_from_outside

_Class = tuple[str, set[str]]  # its name, the names of its bases

# Functions that take names which are computed, but safe: of modules, of a profile's numbers, or from strings of the library,
# which stay as they are.
REFLECTIVE = {
    *("__getattr__", "Profile.__init__", "Profile.__getattr__", "Profile.copy_to"),
    *("unload", "_kept", "Node.stats", "Node.__getattr__"),
}
NO_NUMBERS = '"no shorter names"'  # in profile.py
_OPAQUE = {"__import__", "eval", "exec", "globals", "locals", "vars"}


class Names(dict[str, str]):
    """Short names by long ones. `arguments`: names of arguments that are short somewhere; `keywords`: those that stay, as
    (function, argument), "" for every function; `spare`: short names of arguments, in the order of their use."""

    arguments: frozenset[str] = frozenset()
    keywords: frozenset[tuple[str, str]] = frozenset()
    spare: tuple[str, ...] = ()

    def without(self, kept: set[str]) -> Names:
        """The same but for names that stay."""
        rest = Names({name: short for name, short in self.items() if name not in kept})
        rest.arguments, rest.keywords, rest.spare = self.arguments, self.keywords, self.spare
        return rest


class _Reader(ast.NodeVisitor):
    """What one module says about names."""

    def __init__(self, module: str, source: str):
        self.module = module
        self.defined: set[str] = set()  # globals, arguments, attributes
        self.classes: dict[str, set[str]] = {}  # attributes of each class and of its objects
        self.assigned: set[str] = set()  # attributes of objects other than self
        self.arguments: set[str] = set()
        self.keywords: set[tuple[str, str]] = set()  # by which calls name arguments, with what is called
        self.kept: set[str] = set()  # by reason of what the module does with them
        self.bases: set[tuple[str, str, str]] = set()  # (class here, module, class there that it is derived from)
        self.units: list[set[str]] = [set()]  # what one function, one class body or the module's top mentions, but variables
        self.imported: dict[str, str] = {}
        self._path: list[str] = []  # classes and functions around
        self._depth = 0  # functions around
        self._class: set[str] | None = None  # attributes of the innermost class
        self._in_class = False  # at the level of its body
        self._variables: set[str] = set()  # of the function around
        tree = ast.parse(source)
        self._globals = bindings(tree)
        self.visit(tree)

    def refuse(self, node: ast.AST, why: str) -> None:
        raise Refused(f"{self.module}, line {node.lineno}: {why}")

    def _bind(self, name: str) -> None:
        """A name that becomes visible beyond its function."""
        if name in self._variables:
            return
        self.units[-1].add(name)
        self.defined.add(name)
        if self._in_class:
            self._class.add(name)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._bind(node.name)
        outside = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        for part in outside:  # evaluated where the function stands
            self.visit(part)
        is_outermost, was_in_class = not self._depth, self._in_class
        self._path.append(node.name)
        self._depth += 1
        self._in_class = False
        if is_outermost:
            self.units.append(set())
            self._variables = variables(node, self._globals)
        for part in [*arguments_of(node.args), *node.body]:
            self.visit(part)
        if is_outermost:
            self.units.insert(0, self.units.pop())
            self._variables = set()
        self._path.pop()
        self._depth -= 1
        self._in_class = was_in_class

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name)
        for part in [*node.decorator_list, *node.bases]:
            self.visit(part)
        bases = [getattr(base, "id", "") for base in node.bases]
        self.bases |= {(node.name, self.imported[base], base) for base in bases if base in self.imported}
        before = self._class, self._in_class
        self._class, self._in_class = set().union(*(self.classes.get(base, ()) for base in bases)), True
        self.units.append(set())
        self._path.append(node.name)
        for part in node.body:
            self.visit(part)
        self._path.pop()
        self.units.insert(0, self.units.pop())
        self.classes[node.name] = self._class
        self._class, self._in_class = before

    def visit_Lambda(self, node: ast.Lambda) -> None:
        was_in_class, self._in_class = self._in_class, False
        self.generic_visit(node)
        self._in_class = was_in_class

    def visit_arg(self, node: ast.arg) -> None:
        self.arguments.add(node.arg)
        if node.arg not in self._variables:
            self.units[-1].add(node.arg)
            self.defined.add(node.arg)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store) and not self._depth:
            self._bind(node.id)
        if node.id not in self._variables:
            self.units[-1].add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "const":
            self.kept |= {target.id for target in node.targets}  # mpy-cross puts the number in the place of the name
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.units[-1].update(node.names)

    visit_Nonlocal = visit_Global

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name not in self._variables:
            self.units[-1].add(node.name or "")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.defined.add(node.attr)
            is_own = getattr(node.value, "id", "") == "self" and self._class is not None
            (self._class if is_own else self.assigned).add(node.attr)
        self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.kept.update(alias.name.split("."))
            self.units[-1].add(alias.asname or alias.name)
            if alias.asname:
                self.defined.add(alias.asname)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if not node.level:
                self.kept.add(alias.name)
            elif node.module:
                self.kept.add(node.module)
                self.imported[alias.asname or alias.name] = node.module
            else:
                self.kept.add(alias.name)
            self.units[-1].add(alias.asname or alias.name)
            if alias.asname:
                self.defined.add(alias.asname)

    def visit_Call(self, node: ast.Call) -> None:
        self.keywords |= keywords_of(node)
        called = getattr(node.func, "id", "")
        by_string = called in BY_STRING and not isinstance(node.args[1], ast.Constant)
        if (by_string or called in _OPAQUE) and ".".join(self._path) not in REFLECTIVE:
            self.refuse(node, f"{called}() may use any name: write it out, or see shrink.REFLECTIVE")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Constant):  # folded: mpy-cross does not see the other branch
            for part in node.body if node.test.value else node.orelse:
                self.visit(part)
        else:
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # not a docstring
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.kept.add(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.refuse(node, "an f-string hides names: use %")


def bindings(tree: ast.Module) -> set[str]:
    """The names that a module binds at its top."""
    found: set[str] = set()
    for node in live(tree, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def variables(function: ast.AST, outside: set[str]) -> set[str]:
    """The names that mean a variable or an argument wherever a function mentions them, with those of functions inside it.
    `outside`: the names of its module."""
    found, other, is_one = set(), set(), True
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler):
            found.add(node.name or "")
        elif isinstance(node, (ast.Global, ast.ClassDef)):
            other.update(getattr(node, "names", ()))
            other.update(each.id for each in ast.walk(node) if isinstance(each, ast.Name))
        elif isinstance(node, ast.alias):
            other.add(node.asname or node.name)
        elif isinstance(node, (*FUNCTIONS, ast.Lambda)) and node is not function:
            is_one = False
            found.add(getattr(node, "name", ""))
    # What is a variable of a function inside may be something else outside of that.
    return found - other - (set() if is_one else outside | set(dir(builtins))) - {""}


def _defined(tree: ast.AST) -> set[str]:
    """The functions and classes of a text."""
    return {node.name for node in ast.walk(tree) if isinstance(node, (*FUNCTIONS, ast.ClassDef))}


def _kept_arguments(called: set[tuple[str, str]], known: set[str]) -> frozenset[tuple[str, str]]:
    """(function, argument) that stay for what is called: what is not `known` may be any function by another name."""
    classes = {("__init__", argument) for _, argument in called}
    return frozenset(called | classes | {("", argument) for name, argument in called if name not in known})


def numbers_known(modules: Mapping[str, str], numbers: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """`modules` (shortened) with the short name of each number of a profile in that class, in the place of the text that
    stands for none."""
    known = "".join(f" {name}={names.get(name, name)}" for name in sorted(numbers))
    return {module: text.replace(NO_NUMBERS, repr(f"{known} ")) for module, text in modules.items()}


def short_names() -> Iterable[str]:
    """aA, aB, ...: two letters, in a form that nobody writes."""
    return map("".join, itertools.product(string.ascii_lowercase, string.ascii_uppercase))


def name_map(
    modules: Mapping[str, str],
    keep: Iterable[str],
    beside: Mapping[str, str] | None = None,
    rom: Iterable[str] = (),
    promised: Iterable[tuple[str, str]] = (),
) -> Names:
    """Short names for what `modules` (source texts by module name, folded) define; the same for the same arguments.

    `keep`: names that stay. `beside`: source texts by file name that `translate` must be able to follow. `rom`: names to
    give away first, which a board has already. `promised`: (function, argument) that stay. Raises Refused.
    """
    readers = [_Reader(name, source) for name, source in sorted(modules.items())]
    _inherit({reader.module: reader for reader in readers})
    ours = set().union(*(reader.defined for reader in readers))
    ours -= set(keep).union(*(reader.kept for reader in readers))
    arguments = frozenset().union(*(reader.arguments for reader in readers))
    called = set(promised).union(*(reader.keywords for reader in readers))
    groups = [group for reader in readers for group in (*reader.classes.values(), *reader.units)]
    trees = {name: ast.parse(source) for name, source in (beside or {}).items()}
    seen = {name: seen_from_outside(tree, name) for name, tree in trees.items()}
    classes = {name: list(_classes(tree)) for name, tree in trees.items()}
    homes = _homes(classes)
    bases = _bases(classes)
    for name, (attributes, keywords, strings) in seen.items():
        for base in _all_bases(classes[name], bases):
            for reader in readers:
                attributes = attributes | reader.classes.get(base, set())
            for home in homes[base]:
                attributes = attributes | seen[home][0]
        groups.append(attributes)
        called |= keywords
        ours -= strings
    ours = {name for name in ours if not (name.startswith("__") and name.endswith("__"))}
    _check(readers, ours)
    groups = [group & ours for group in groups]
    uses = Counter(name for group in groups for name in group)
    others = defaultdict(set)
    for group in groups:
        for name in group:
            others[name] |= group
    taken = set().union(*(_words(source) for source in modules.values()))
    shorts = [short for short in (*rom, *short_names()) if short not in taken]
    names = Names()
    names.arguments = arguments
    known = set().union(*map(_defined, trees.values()), *(_defined(ast.parse(text)) for text in modules.values()))
    names.keywords = _kept_arguments(called, known)
    names.spare = tuple(shorts)
    for name in sorted(ours, key=lambda name: (-uses[name], name)):
        near = {names.get(other) for other in others[name]}
        names[name] = next(short for short in shorts if short not in near)
    return names


def _classes(tree: ast.AST) -> Iterable[_Class]:
    """Each class of a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, {ast.unparse(base).split(".")[-1] for base in node.bases}


def _homes(classes: Mapping[str, list[_Class]]) -> dict[str, set[str]]:
    """The texts that have a class of a name, by that name."""
    homes: dict[str, set[str]] = defaultdict(set)
    for text, defined in classes.items():
        for name, _ in defined:
            homes[name].add(text)
    return homes


def _bases(classes: Mapping[str, list[_Class]]) -> dict[str, set[str]]:
    """The bases of the classes of a name, in whatever text they stand, by that name."""
    bases: dict[str, set[str]] = defaultdict(set)
    for name, own in itertools.chain(*classes.values()):
        bases[name] |= own
    return bases


def _all_bases(classes: list[_Class], bases: Mapping[str, set[str]]) -> set[str]:
    """Names of all that the classes of a text are derived from, over other texts too."""
    found: set[str] = set()
    waiting = {name for name, _ in classes}
    while waiting:
        waiting = set().union(*(bases.get(name, set()) for name in waiting)) - found
        found |= waiting
    return found


def _inherit(readers: Mapping[str, _Reader]) -> None:
    """Give each class the attributes of its bases in other modules. Bases of bases stand in one module with them."""
    for reader in readers.values():
        for derived, module, base in reader.bases:
            while base not in readers[module].classes and base in readers[module].imported:
                module = readers[module].imported[base]  # a front of several back ends
            if any(name == base for name, *_ in readers[module].bases):
                raise Refused(f"{reader.module}: {derived} is derived over three modules")
            reader.classes[derived] |= readers[module].classes.get(base, set())


def _check(readers: list[_Reader], ours: set[str]) -> None:
    """Refuse what breaks the rule that a class says itself which attributes its objects have."""
    own = set().union(*(attributes for reader in readers for attributes in reader.classes.values()))
    for reader in readers:
        strange = reader.assigned & ours - own
        if strange:
            raise Refused(f"{reader.module}: {sorted(strange)} is assigned, but no class gives it to self")


def _words(source: str) -> set[str]:
    return {token.string for token in _tokens(source) if token.type == tokenize.NAME}


def _tokens(source: str) -> Iterable[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(source).readline)


def rename(source: str, names: Mapping[str, str]) -> str:
    """A module of the library under `names`: every mention of a name, whatever it means there."""
    lines = list(io.StringIO(source))
    for token in reversed(list(_tokens(source))):
        if token.type == tokenize.NAME and token.string in names:
            row, start, end = token.start[0] - 1, token.start[1], token.end[1]
            lines[row] = lines[row][:start] + names[token.string] + lines[row][end:]
    return "".join(lines)


def _characters(line: str, at: int) -> int:
    """The character at which a byte of a line begins."""
    return len(line.encode()[:at].decode())


def _places(source: str, names: Names) -> Iterable[tuple[set[tuple[int, int]], dict[str, str]]]:
    """(places, names there by name) of the variables of each function that is in no other one."""
    tree, lines, tokens = ast.parse(source), list(io.StringIO(source)), list(_tokens(source))
    outside = bindings(tree)
    for function in live(tree, FUNCTIONS):
        if not isinstance(function, FUNCTIONS):
            continue
        own = variables(function, outside)
        inside = list(ast.walk(function))
        before = [*function.args.defaults, *filter(None, function.args.kw_defaults), *filter(None, [function.returns])]
        before += [each.annotation for each in arguments_of(function.args) if each.annotation]
        elsewhere = {part for each in before for part in ast.walk(each)}
        others = {node.id for node in inside if isinstance(node, ast.Name) and (node.id not in own or node in elsewhere)}
        others |= {alias.asname or alias.name for alias in inside if isinstance(alias, ast.alias)}
        taken = {names.get(name, name) for name in others}
        free = (short for short in names.spare if short not in taken)
        inner = {each.name for each in inside if isinstance(each, FUNCTIONS)}
        kept = {"self"} | {argument for name, argument in names.keywords if name in ("", *inner)}
        # Of variables that are no arguments nothing is left in bytecode.
        stored = [
            getattr(node, "arg", getattr(node, "name", "")) for node in inside if isinstance(node, (ast.arg, *FUNCTIONS))
        ]
        given = {name: next(free) for name in dict.fromkeys(stored) if name in own - kept}
        parts = [
            node for node in inside if isinstance(node, ast.keyword) or node in elsewhere and isinstance(node, ast.Name)
        ]
        not_here = {(node.lineno, _characters(lines[node.lineno - 1], node.col_offset)) for node in parts}
        start, end = (function.lineno, function.col_offset), (function.end_lineno, function.end_col_offset)
        places = set()
        first = bisect.bisect_left(tokens, start, lo=1, key=lambda token: token.start)
        after = bisect.bisect_right(tokens, end, lo=first, key=lambda token: token.start)
        for last, token in itertools.pairwise(tokens[first - 1 : after]):
            is_name = last.string == "def" and last.start[0] == function.lineno
            if token.string in own and last.string != "." and not is_name:
                places.add(token.start)
        yield places - not_here, given


def shorten(source: str, names: Names) -> str:
    """A module of the library under `names`, with short arguments in each of its functions."""
    given = {place: own for places, own in _places(source, names) for place in places}
    lines = list(io.StringIO(source))
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.keyword) and node.arg]
    keywords = {(node.lineno, _characters(lines[node.lineno - 1], node.col_offset)) for node in calls}
    for token in reversed(list(_tokens(source))):
        here = given.get(token.start, {} if token.start in keywords else names)
        if token.type == tokenize.NAME and token.string in here:
            row, start, end = token.start[0] - 1, token.start[1], token.end[1]
            lines[row] = lines[row][:start] + here[token.string] + lines[row][end:]
    return "".join(lines)
