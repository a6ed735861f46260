"""Methods that are called now and then, taken out of the classes of the device library until they are wanted.

A method costs a board twenty-five bytes where the library is frozen, and all of its code where it is not. Those of an
*overlay* stand in a module of their own, `cold0`, `cold1` and so on, which is loaded when one of them is called and
forgotten at once: what stays is three bytes for each, which say where it is. MicroPython asks a class for `__getattr__`
only when it has found nothing else, so that all other methods take as long as before. A class that goes as a whole is there
as long as it has objects.

What an overlay needs of the classes' module it imports from there; a private constant stands in both. A function that only
an overlay calls goes with it. All this happens under the names of a board, when nothing is renamed any more.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from zlib import crc32

from .fold import Edits, live
from .plans import CALL, MADE, Methods, Overlay
from .runtimes import ROOT
from .shrink import bindings, variables
from .vocabulary import FUNCTIONS, Refused

_HOME = "compat"  # what every other module imports from
LOADER = ROOT / "tools/picoswarm_tools/device/overlay.py"
_HOME_IS = "# A part of "
KEY_BITS = 16
_SHORT = """

def collect():
    for i in range(len(_LATEST)):
        _LATEST[i] = None
    gc.collect()
    gc.collect()
"""


def _classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in live(tree, FUNCTIONS) if isinstance(node, ast.ClassDef)}


def _tops(tree: ast.Module) -> dict[str, ast.AST]:
    """The classes and functions of a module."""
    kinds = (ast.ClassDef, *FUNCTIONS)
    return {node.name: node for node in live(tree, kinds) if isinstance(node, kinds)}


def methods_of(node: ast.ClassDef) -> dict[str, ast.AST]:
    return {each.name: each for each in node.body if isinstance(each, FUNCTIONS)}


def _outside(tree: ast.Module) -> set[str]:
    """The names that stand outside of functions."""
    return {node.id for node in live(tree, FUNCTIONS) if isinstance(node, ast.Name)}


class _Library:
    """What all modules say of methods. Names of classes are taken to be unlike."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        nodes = [node for tree in trees for node in live(tree)]
        self.classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
        self.changing = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        self.of_self: dict[str, set[str]] = {}  # by class: attributes of `self` that are more than called
        self.stored: set[str] = set()  # attributes that hold something
        called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
        loose = [node for node in attributes if isinstance(node.ctx, ast.Load) and id(node) not in called]
        for name, node in self.classes.items():
            self.stored |= _members(node) - methods_of(node).keys()
            self.stored |= {each.name for each in methods_of(node).values() if each.decorator_list}
            own = {id(each) for each in ast.walk(node)}
            self.of_self[name] = {each.attr for each in loose if id(each) in own and ast.unparse(each.value) == "self"}
        self.stored |= {each.attr for each in attributes if isinstance(each.ctx, ast.Store)}
        self.of_others = {each.attr for each in loose if ast.unparse(each.value) != "self"}
        self.of_classes = {(each.value.id, each.attr) for each in attributes if isinstance(each.value, ast.Name)}

    def bases(self, name: str) -> Iterator[str]:
        for base in self.classes[name].bases if name in self.classes else ():
            yield ast.unparse(base)
            yield from self.bases(ast.unparse(base))

    def family(self, name: str) -> set[str]:
        """A class, and those on top of it."""
        return {each for each in self.classes if each == name or name in self.bases(each)}

    def objection(self, name: str, method: str) -> str:
        """Why a method cannot be in an overlay; "" for no reason."""
        own = methods_of(self.classes[name])
        calls = method.endswith(CALL)
        method = method.rstrip(CALL)
        if method not in own:
            return "is no method"
        if {each.id for each in ast.walk(own[method]) if isinstance(each, ast.Name)} & (self.changing | {"super"}):
            return "uses a name of its module that changes"
        family = self.family(name)
        is_asked = any((each, method) in self.of_classes for each in family)
        if calls and method != "__getattr__" and not own[method].decorator_list:
            return "is asked of a class" if is_asked else ""  # the call that stays would find what is on top of it
        if own[method].decorator_list or method.startswith("__"):
            return "is looked for by MicroPython itself"
        if any(method in self.of_self[each] for each in family) or method in self.of_others - self.stored:
            return "is more than called: who keeps it keeps all that was loaded with it"
        bases = [base for base in self.bases(name) if base in self.classes]
        if any(method in _members(self.classes[base]) for base in bases):
            return "is in a base too, which would be found first"
        if is_asked:
            return "is asked of a class"
        return ""


def check(modules: Mapping[str, str], plan: Iterable[Overlay], asked: Collection[str] = ()) -> None:
    """Refuse a plan for `modules` (texts under their long names) that would change what they do. `asked`: names that
    programs import from them."""
    trees = {name: ast.parse(text) for name, text in modules.items()}
    library = _Library(trees.values())
    for module, classes in plan:
        here = _tops(trees[module])
        for name, methods in classes.items():
            if name not in here or methods and not isinstance(here[name], ast.ClassDef):
                raise Refused(f"overlays: {module}.{name} is no class")
            if not methods and name in _outside(trees[module]):
                raise Refused(f"overlays: {name} is named outside of functions")
            if not methods and name in asked:
                raise Refused(f"overlays: {name} is imported by a program")
            for method in () if methods == MADE else methods:
                if why := library.objection(name, method):
                    raise Refused(f"overlays: {name}.{method} {why}")


def apart(plan: Iterable[Overlay]) -> str:
    """A text for shrink.name_map in whose eyes all classes of a plan meet: their names say where a method is."""
    return "".join(f"plan.{name} = 0\n" for name in sorted({name for _, moved in plan for name in moved}))


def _members(node: ast.ClassDef) -> set[str]:
    stored = {
        each.id
        for part in node.body
        for each in ast.walk(part)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and not isinstance(part, FUNCTIONS)
    }
    return stored | methods_of(node).keys()


def first_line(node: ast.AST) -> int:
    """The index of the first line of a statement."""
    return min(each.lineno for each in (node, *getattr(node, "decorator_list", ()))) - 1


def _segment(source: str, node: ast.AST) -> str:
    """The lines of a statement."""
    return "".join(source.splitlines(keepends=True)[first_line(node) : node.end_lineno])


def _consts(tree: ast.Module) -> dict[str, ast.Assign]:
    """Private constants, which leave nothing of their names."""
    found = {}
    for node in live(tree, (*FUNCTIONS, ast.ClassDef)):
        if isinstance(node, ast.Assign) and getattr(getattr(node.value, "func", None), "id", "") == "const":
            name = ast.unparse(node.targets[0])
            if name.startswith("_"):
                found[name] = node
    return found


def _direct(source: str, method: ast.AST, owner: str, beside: Iterable[str]) -> str:
    """A method that calls those of its class in the same overlay without a search, unless a variable hides the class."""
    edits = Edits(source)
    if owner in {getattr(node, "id", getattr(node, "arg", "")) for node in ast.walk(method)}:
        return _segment(source, method)
    for node in ast.walk(method):
        func = getattr(node, "func", None)
        if isinstance(func, ast.Attribute) and ast.unparse(func.value) == "self" and func.attr in beside:
            start = edits.at(func.lineno, func.col_offset)
            end = edits.at(func.end_lineno, func.end_col_offset)
            more = ", " if node.args or node.keywords else ""
            edits.replace(start, end + 1, f"{owner}.{func.attr}(self{more}")
    return _segment(edits.result(), method)


def _moved_nodes(tree: ast.Module, moved: Methods) -> list[ast.AST]:
    tops = _tops(tree)
    nodes: list[ast.AST] = []
    for name, methods in moved.items():
        own = methods_of(tops[name]) if methods else {}
        nodes += [own[each] for each in _bare(methods)] or [tops[name]]
    return nodes


def _bare(methods: Iterable[str]) -> list[str]:
    return [name.rstrip(CALL) for name in methods]


def _stub(node: ast.FunctionDef) -> str:
    """A method that calls the one of its name in an overlay."""
    names = [each.arg for each in node.args.args]
    given = names[: len(names) - len(node.args.defaults)]
    given += [f"{name}={ast.unparse(value)}" for name, value in zip(names[len(given) :], node.args.defaults, strict=True)]
    return f"    def {node.name}({', '.join(given)}):\n        return cold(self, '{node.name}')({', '.join(names[1:])})\n"


def _outermost(node: ast.AST) -> Iterator[ast.AST]:
    """The functions in a statement that are in no other one."""
    return (each for each in live(node, FUNCTIONS) if isinstance(each, FUNCTIONS))


def mentions(node: ast.AST, bound: set[str]) -> list[ast.Name]:
    """The names in a statement that are no variables of its functions and no attributes of its classes. `bound`: the names
    of its module."""
    own = set()
    for part in live(node, FUNCTIONS):
        if isinstance(part, ast.ClassDef):  # on a board an attribute may be called as a class of the module
            names = _members(part)
            inside = (each for statement in part.body for each in live(statement, FUNCTIONS))
            own |= {id(each) for each in inside if getattr(each, "id", "") in names}
    for function in _outermost(node):
        names = variables(function, bound)
        own |= {id(each) for part in function.body for each in ast.walk(part) if getattr(each, "id", "") in names}
    return [each for each in live(node) if isinstance(each, ast.Name) and id(each) not in own]


def imports_from(home: str, source: str) -> bool:
    """Whether a module takes something from this one: told without parsing it."""
    return f"from .{home} import" in source


def _names(nodes: Iterable[ast.AST], bound: set[str]) -> set[str]:
    """What statements have from their module. What a function imports it has not from there, whatever it is called."""
    found: set[str] = set()
    for node in nodes:
        body = node.body if isinstance(node, FUNCTIONS) else []
        inside = (part for statement in body for part in live(statement, FUNCTIONS))
        imported = {part.asname or part.name for part in inside if isinstance(part, ast.alias)}
        found |= {each.id for each in mentions(node, bound)} - imported
    return found


def _passing(tree: ast.Module) -> set[int]:
    """Where something is named that nobody has any longer when its function returns: it is called, or gets a variable that
    is called and nothing else. Ids of nodes."""
    found = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
        nodes = list(ast.walk(function))
        kept = {
            node.id
            for node in nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in found
        }
        kept |= {name for node in nodes if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
        for node in nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=variable)]) if variable not in kept:
                    found.add(id(node.value))
    return found


def _values(tree: ast.Module) -> dict[str, ast.Assign]:
    """What a module has under one name that never changes: numbers, bytes and what is made of them."""
    plain = (ast.Constant, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop, ast.Tuple, ast.expr_context)
    outside = [node for node in live(tree, (*FUNCTIONS, ast.ClassDef)) if isinstance(node, ast.Name)]
    stored = Counter(node.id for node in outside if isinstance(node.ctx, ast.Store))
    changing = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    found = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if stored[name] == 1 and name not in changing:
                if isinstance(value, ast.Call) and ast.unparse(value.func) == "bytes" and not value.keywords:
                    value = ast.Tuple(value.args)
                if all(isinstance(each, plain) for each in ast.walk(value)):
                    found[name] = node
    return found


def _loose(tree: ast.Module, kept: set[str], taken: set[str]) -> dict[str, ast.AST]:
    """The functions and values that may go with an overlay, by name. `kept`: what stays; `taken`: what others have of it."""
    functions = {node.name: node for node in tree.body if isinstance(node, FUNCTIONS) and node.name not in kept}
    return functions | {name: node for name, node in _values(tree).items() if name not in taken}


def _helpers(
    every: list[ast.Name], moved: Methods, nodes: Sequence[ast.AST], loose: Mapping[str, ast.AST], bound: set[str]
) -> dict[str, ast.AST]:
    """What of `loose` only this overlay calls or knows, by name. `every`: the `mentions` of the module; `nodes`: the
    `_moved_nodes`; `bound`: the names of the module."""
    found: dict[str, ast.AST] = {}
    while True:
        inside = [*nodes, *found.values()]
        wanted = _names(inside, bound) & loose.keys() - moved.keys() - found.keys()
        for name in sorted(wanted):
            gone = {id(each) for node in (*inside, loose[name]) for each in ast.walk(node)}
            if name not in {node.id for node in every if id(node) not in gone}:
                found[name] = loose[name]
                break
        else:
            return found


def _overlay(home: str, source: str, tree: ast.Module, moved: Methods, helpers: Mapping[str, ast.AST], is_kept: bool) -> str:
    """The text of an overlay. One that is kept has no direct calls: they would keep all of it as long as a method runs."""
    tops, consts, bound = _tops(tree), _consts(tree), bindings(tree) | {"overlay"}
    whole = {name for name, methods in moved.items() if not methods}
    needed: set[str] = set()
    waiting = [*_moved_nodes(tree, moved), *helpers.values()]
    while waiting:
        names = _names([waiting.pop()], bound) & bound - needed
        needed |= names
        waiting += [consts[name].value for name in names if name in consts]
    own_consts = sorted((consts[name] for name in needed & consts.keys()), key=lambda node: node.lineno)
    lines = [_segment(source, node) for node in own_consts]
    imports = sorted(needed - consts.keys() - {"const", *whole} - helpers.keys())
    same = sorted(set(imports) & moved.keys())
    if same:
        raise Refused(f"overlays: {same} are used beside methods of theirs")
    if imports:
        lines.append(f"from .{home} import ({', '.join(imports)})\n")
    lines += [_segment(source, node) for node in sorted(helpers.values(), key=lambda node: node.lineno)]
    parts = [name for name, methods in moved.items() if methods]
    if parts and whole:
        raise Refused(f"overlays: {sorted(whole)} as a whole, beside methods of {parts}")
    lines += [_segment(source, tops[name]) for name in moved if name in whole]
    is_direct = False
    for name in parts:
        own = methods_of(tops[name])
        lines.append(f"class {name}:\n    del (__module__, __qualname__)\n")
        bare = _bare(moved[name])
        for method in (own[each] for each in bare):
            text = _segment(source, method) if is_kept else _direct(source, method, name, bare)
            is_direct |= text != _segment(source, method)
            lines.append(text)
    if parts:
        lines.append(f"values = {{{', '.join(f'{name!r}: {name}' for name in parts)}}}\n")
    if parts and not is_direct:
        lines.append(f"del {', '.join(parts)}\n")
    return "".join([*lines, f"{_HOME_IS}{home}\n"])


def home_of(text: str) -> str | None:
    """The module of whose classes a module holds methods; None for one that is no overlay."""
    *_, last = text.rstrip("\n").split("\n")
    return last.removeprefix(_HOME_IS) if last.startswith(_HOME_IS) else None


def _asking(source: str, whole: Mapping[str, int], moved: Mapping[int, Methods]) -> str:
    """A module that asks the overlays for the classes that they have as a whole, by number; but in the overlay itself."""
    tree, edits = ast.parse(source), Edits(source)
    inside = {n: {id(each) for node in _moved_nodes(tree, own) for each in ast.walk(node)} for n, own in moved.items()}
    for node in mentions(tree, bindings(tree)):
        if node.id in whole and id(node) not in inside[whole[node.id]]:
            edits.replace_node(node, f"overlay({whole[node.id]}).{node.id}")
    return edits.result()


def _without(
    home: str, source: str, tree: ast.Module, gone: list[ast.AST], partial: set[str], called: set[tuple[str, str]]
) -> str:
    """A module without these statements, whose classes `partial` find their methods all the same; of the methods `called`
    (class, name) a call stays."""
    lines = source.splitlines(keepends=True)
    stubs = {id(methods_of(_classes(tree)[name])[method]) for name, method in called}
    for node in gone:
        for i in range(first_line(node), node.end_lineno):
            lines[i] = ""
        if id(node) in stubs:
            lines[first_line(node)] = _stub(node)
    classes = _classes(tree)
    for name in partial:
        own = methods_of(classes[name]).get("__getattr__")
        if own:
            lines[own.lineno - 1] = lines[own.lineno - 1].replace("__getattr__", "missing")
        first = classes[name].body[0]
        find = "    __getattr__ = cold\n"
        if ast.unparse(first).startswith("del (__module__"):
            lines[first.end_lineno - 1] += find
        else:
            lines[first.lineno - 1] = find + lines[first.lineno - 1]
    return ("" if home == _HOME else f"from .{_HOME} import cold, overlay\n") + "".join(lines)


def _redirected(source: str, home: str, at: Mapping[str, int], whole: set[str]) -> str:
    """A module beside, which takes from overlays what its bundle `home` lost; `at`: their numbers by name. A stub hands
    classes on, other modules ask for them where they want one."""
    if not imports_from(home, source):
        return source
    tree, edits = ast.parse(source), Edits(source)
    stays = whole if is_stub(source) else whole & _outside(tree)
    lost: set[str] = set()
    for node in live(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node.module == home:
            by_module = defaultdict(list)
            for alias in node.names:
                if alias.name in whole - stays:
                    lost.add(alias.name)
                else:
                    by_module[f"cold{at[alias.name]}" if alias.name in at else home].append(ast.unparse(alias))
            if lost or by_module.keys() - {home}:
                texts = [f"from .{each} import {', '.join(own)}" for each, own in by_module.items()]
                edits.replace_node(node, "; ".join(texts) or "pass")
    for node in mentions(tree, bindings(tree)):
        if node.id in lost:
            edits.replace_node(node, f"overlay({at[node.id]}).{node.id}")
    return (f"from .{_HOME} import overlay\n" if lost else "") + edits.result()


def _without_lost(stub: str, names: Mapping[str, set[str]]) -> str:
    """A stub without what its bundle has from an overlay now: that is another module's. `names`: those of each module."""
    edits = Edits(stub)
    for node in ast.parse(stub).body:
        if isinstance(node, ast.ImportFrom) and node.module in names:
            left = [ast.unparse(alias) for alias in node.names if alias.name in names[node.module]]
            if len(left) < len(node.names):
                edits.replace_node(node, f"from .{node.module} import {', '.join(left)}" if left else "pass")
    return edits.result()


def is_stub(source: str) -> bool:
    """Of a bundle: one import, and constants."""
    first, *rest = ast.parse(source).body or [None]
    return isinstance(first, ast.ImportFrom) and all(isinstance(node, ast.Assign) for node in rest)


def _index(plan: Sequence[Overlay]) -> tuple[bytes, int]:
    """Where each method is, for device/overlay.py, where names would take three times as much memory: (the index, from which
    bit of a CRC on its keys are taken)."""
    methods = [
        (crc32(f"{name}{method}".encode()), n)
        for n, (_, moved) in enumerate(plan)
        for name, own in moved.items()
        for method in _bare(own)
    ]
    for shift in range(KEY_BITS + 1):
        found = {(crc >> shift & 0xFFFF).to_bytes(2, "big"): n for crc, n in methods}
        if len(found) == len(methods):
            return b"".join(key + bytes((n,)) for key, n in found.items()), shift
    raise Refused("overlays: some method looks like another one in the index, from any bit on")


def take_cold(
    modules: Mapping[str, str],
    plan: Sequence[Overlay],
    latest: int = 0,
    room: int = 0,
    least: int = 1,
    imported: Collection[str] = (),
) -> dict[str, str]:
    """`modules` with what `plan` says, (module, methods by class) for each overlay, in modules of their own. All names are
    those of a board. `latest`: so many that were loaded last stay until others come or `collect` is called; with less than
    `room` bytes free only the last `least`. `imported`: functions and values that programs have."""
    asked, result = set(imported), dict(modules)
    # Ed25519 goes itself when it has signed: it may take what it shares with an overlay from there.
    stays = {name: text for name, text in modules.items() if not name.startswith("ed25519")}
    real = [ast.parse(text) for text in stays.values() if not is_stub(text)]
    imports = [node for tree in real for node in live(tree) if isinstance(node, ast.ImportFrom)]
    for home in dict(plan):
        own = {n: moved for n, (module, moved) in enumerate(plan) if module == home}
        whole = {name: n for n, moved in own.items() for name, methods in moved.items() if not methods}
        taken = asked | {alias.name for node in imports if node.module == home for alias in node.names} - whole.keys()
        source = _asking(result[home], whole, own)
        tree = ast.parse(source)
        bound = bindings(tree)
        every = mentions(tree, bound)
        passing = _passing(tree)
        # One that is more than called stays: who keeps it would keep all that was loaded with it.
        kept = taken | {node.id for node in every if id(node) not in passing}
        loose = _loose(tree, kept, taken)
        gone: list[ast.AST] = []
        at = dict(whole)
        for n, moved in own.items():
            nodes = _moved_nodes(tree, moved)
            helpers = _helpers(every, moved, nodes, loose, bound)
            result[f"cold{n}"] = _overlay(home, source, tree, moved, helpers, latest > 0)
            gone += [*nodes, *helpers.values()]
            at.update(dict.fromkeys(helpers, n))
        partial = {name for moved in own.values() for name, methods in moved.items() if methods}
        called = {
            (name, each.rstrip(CALL))
            for moved in own.values()
            for name, methods in moved.items()
            for each in methods
            if each.endswith(CALL)
        }
        result[home] = _without(home, source, tree, gone, partial, called)
        for name in modules:
            if name != home:
                result[name] = _redirected(result[name], home, at, set(whole))
    stubs = [name for name in modules if is_stub(modules[name])]
    names = {name: bindings(ast.parse(text)) for name, text in result.items() if name not in stubs}
    for name in stubs:
        result[name] = _without_lost(result[name], names)
    index, shift = _index(plan)
    loader = LOADER.read_text().replace('_COLD = b""', f"_COLD = {index!r}")
    loader = loader.replace("_SHIFT = const(0)", f"_SHIFT = const({shift})")
    for name, number in (("KEPT", latest), ("ROOM", room), ("LEAST", least)):
        loader = loader.replace(f"{name} = const(0)", f"{name} = const({number})")
    result[_HOME] = f"{loader}\n\n{result[_HOME]}" + (_SHORT if latest else "")
    return result


def housed(plan: Iterable[Overlay], bundles: Mapping[str, Sequence[str]]) -> list[Overlay]:
    """A plan whose modules are those that bundles put together."""
    homes = {member: home for home, members in bundles.items() for member in members}
    return [(homes.get(module, module), moved) for module, moved in plan]


def planned(plan: Iterable[Overlay], modules: Mapping[str, str], names: Mapping[str, str]) -> list[Overlay]:
    """A plan under the names of a board."""

    def short(name: str) -> str:
        return CALL.join(names.get(part, part) for part in name.split(CALL))

    return [
        (home, {short(name): tuple(map(short, own)) for name, own in moved.items()})
        for home, moved in plan
        if home in modules
    ]
