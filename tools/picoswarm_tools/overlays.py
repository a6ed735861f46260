"""Methods that are called now and then, taken out of the classes of the device library until they are wanted.

A method costs a board twenty-five bytes where the library is frozen, and all of its code where it is not. Those of an
*overlay* stand in a module of their own, `cold0`, `cold1` and so on, which is loaded when one of them is called and
forgotten at once: what stays is one text that says where each is. MicroPython asks a class for `__getattr__` only when it
has found nothing else, so that all other methods take as long as before. A class that goes as a whole is there as long as
it has objects.

What an overlay needs of the classes' module it imports from there; a private constant stands in both. A function that only
an overlay calls goes with it. All this happens under the names of a board, when nothing is renamed any more.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .fold import Edits, live
from .shrink import Refused, bindings, variables

Methods = Mapping[str, tuple[str, ...]]  # names by class; of a class without any all of it goes


def _overlay_of(home: str, text: str) -> tuple[str, Methods]:
    """Of words "Class: method method"."""
    lines = [line.partition(":") for line in re.sub(r"\s(\w+:)", r"\n\1", " ".join(text.split())).splitlines()]
    return home, {name.strip(): tuple(methods.split()) for name, _, methods in lines}


# What is called a few times a minute at most while a node runs, by what it is called for: a lookup, a decision whom to
# dial, start and stop, what a user sets up. Nothing of the table that a datagram calls, nothing of messages and streams:
# those come as often as others like. Nothing of the set-up of a session: on an emulated Pico that took 40 ms longer. What
# ends a session, and all that is called for want of memory, is no part of it: where the heap is full nothing can be
# loaded. What makes the parts of a node is none either: what lives long would lie between pieces of code that go, and
# tear the heap.
PLAN = (
    _overlay_of(  # who is dialed
        "swarm",
        """
        Swarm: _call
        ConnManager: add want cancel remove _find
        Links: _dial
        """,
    ),
    _overlay_of(  # what a user asks
        "swarm",
        """
        Services: subscribe _topics unsubscribe sessions add_stats last_fault log handle _rekey end_epoch _look_up
        """,
    ),
    _overlay_of(  # start and stop
        "swarm",
        """
        Links: open start stop restart _hang_up
        Services: close
        Swarm: close end_epoch find
        """,
    ),
    _overlay_of(  # whom one has heard of
        "pex",
        """
        AddressBook: add _new_bucket _digest place tried_place is_credible write _random connected good _age
            pick record share attempt bad _ip
        PeerExchange: _learn
        """,
    ),
    _overlay_of("node", "Driver: open start stop"),
    _overlay_of("table", "Lookup:"),
    _overlay_of(
        "discovery",
        """
        Discovery: add_bootstrap add_seed set_address nodes stats
        Upkeep: add_anchor _ask_anchor _learn _sparse _is_calm
        """,
    ),
)

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOME = "compat"  # what every other module imports from
_FIND = """
_COLD = {index}


def overlay(n):
    name = "cold%d" % n
    part = __import__(name, globals(), None, ("",), 1)
    package = sys.modules["picoswarm"]
    setattr(package, name, None)
    delattr(package, name)
    name = "picoswarm." + name
    sys.modules[name] = None
    del sys.modules[name]
    return part


def cold(self, name):
    kind = own = type(self)
    while kind.__bases__:
        n = 0
        for text in _COLD:
            at = text.find(";%s." % kind.__name__)
            if at >= 0 and text.find(".%s." % name, at, text.find(";", at + 1)) >= 0:
                # In its class for a moment: only there MicroPython binds a function to an object. In this place, since a
                # new one could make the dict of the class grow.
                try:
                    own.__getattr__ = getattr(getattr(overlay(n), kind.__name__), name)
                    return self.__getattr__
                finally:
                    own.__getattr__ = cold
            n += 1
        kind = kind.__bases__[0]
    raise AttributeError(name)
"""


def _classes(tree: ast.Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in live(tree, _FUNCTIONS) if isinstance(node, ast.ClassDef)}


def _methods(node: ast.ClassDef) -> dict[str, ast.AST]:
    return {each.name: each for each in node.body if isinstance(each, _FUNCTIONS)}


def _outside(tree: ast.Module) -> set[str]:
    """The names that stand outside of functions."""
    return {node.id for node in live(tree, _FUNCTIONS) if isinstance(node, ast.Name)}


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
            self.stored |= _members(node) - _methods(node).keys()
            self.stored |= {each.name for each in _methods(node).values() if each.decorator_list}
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
        own = _methods(self.classes[name])
        if method not in own:
            return "is no method"
        if own[method].decorator_list or method.startswith("__"):
            return "is looked for by MicroPython itself"
        family = self.family(name)
        if any(method in self.of_self[each] for each in family) or method in self.of_others - self.stored:
            return "is more than called: who keeps it keeps all that was loaded with it"
        bases = [base for base in self.bases(name) if base in self.classes]
        if any(method in _members(self.classes[base]) for base in bases):
            return "is in a base too, which would be found first"
        if any((each, method) in self.of_classes for each in family):
            return "is asked of a class"
        if {each.id for each in ast.walk(own[method]) if isinstance(each, ast.Name)} & (self.changing | {"super"}):
            return "uses a name of its module that changes"
        return ""


def check(modules: Mapping[str, str], plan: Iterable[tuple[str, Methods]]) -> None:
    """Refuse a plan for `modules` (texts under their long names) that would change what they do."""
    trees = {name: ast.parse(text) for name, text in modules.items()}
    library = _Library(trees.values())
    for module, classes in plan:
        here = _classes(trees[module])
        for name, methods in classes.items():
            if name not in here:
                raise Refused(f"overlays: {module}.{name} is no class")
            if methods and "__getattr__" in _members(here[name]):
                raise Refused(f"overlays: {name} has a __getattr__ of its own")
            if not methods and name in _outside(trees[module]):
                raise Refused(f"overlays: {name} is named outside of functions")
            for method in methods:
                if why := library.objection(name, method):
                    raise Refused(f"overlays: {name}.{method} {why}")


def apart() -> str:
    """A text for shrink.name_map in whose eyes all classes of the plan meet: their names say where a method is."""
    return "".join(f"plan.{name} = 0\n" for name in sorted({name for _, moved in PLAN for name in moved}))


def _members(node: ast.ClassDef) -> set[str]:
    stored = {
        each.id
        for part in node.body
        for each in ast.walk(part)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and not isinstance(part, _FUNCTIONS)
    }
    return stored | _methods(node).keys()


def _segment(source: str, node: ast.AST) -> str:
    """The lines of a statement."""
    return "".join(source.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno])


def _consts(tree: ast.Module) -> dict[str, ast.Assign]:
    """Private constants, which leave nothing of their names."""
    found = {}
    for node in live(tree, (*_FUNCTIONS, ast.ClassDef)):
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
    classes = _classes(tree)
    nodes: list[ast.AST] = []
    for name, methods in moved.items():
        own = _methods(classes[name])
        nodes += [own[each] for each in methods] or [classes[name]]
    return nodes


def _outermost(node: ast.AST) -> Iterator[ast.AST]:
    """The functions in a statement that are in no other one."""
    return (each for each in live(node, _FUNCTIONS) if isinstance(each, _FUNCTIONS))


def _mentions(node: ast.AST, bound: set[str]) -> list[ast.Name]:
    """The names in a statement that are no variables of its functions. `bound`: the names of its module."""
    own = set()
    for function in _outermost(node):
        names = variables(function, bound)
        own |= {id(each) for part in function.body for each in ast.walk(part) if getattr(each, "id", "") in names}
    return [each for each in live(node) if isinstance(each, ast.Name) and id(each) not in own]


def _names(nodes: Iterable[ast.AST], bound: set[str]) -> set[str]:
    return {each.id for node in nodes for each in _mentions(node, bound)}


def _helpers(tree: ast.Module, moved: Methods, kept: set[str]) -> list[ast.AST]:
    """The functions that nothing but an overlay calls. `kept`: those that other modules import."""
    functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTIONS) and not node.decorator_list}
    found: list[ast.AST] = []
    bound = bindings(tree)
    every = _mentions(tree, bound)
    while True:
        inside = [*_moved_nodes(tree, moved), *found]
        wanted = _names(inside, bound) & functions.keys() - kept - {node.name for node in found}
        for name in sorted(wanted):
            gone = {id(each) for node in (*inside, functions[name]) for each in ast.walk(node)}
            if name not in {node.id for node in every if id(node) not in gone}:
                found.append(functions[name])
                break
        else:
            return found


def _overlay(home: str, source: str, tree: ast.Module, moved: Methods, helpers: list[ast.AST]) -> str:
    """The text of an overlay."""
    classes, consts, bound = _classes(tree), _consts(tree), bindings(tree)
    whole = {name for name, methods in moved.items() if not methods}
    needed: set[str] = set()
    waiting = [*_moved_nodes(tree, moved), *helpers]
    while waiting:
        names = _names([waiting.pop()], bound) & bound - needed
        needed |= names
        waiting += [consts[name].value for name in names if name in consts]
    own_consts = sorted((consts[name] for name in needed & consts.keys()), key=lambda node: node.lineno)
    lines = [_segment(source, node) for node in own_consts]
    imports = sorted(needed - consts.keys() - {"const", *whole} - {node.name for node in helpers})
    same = sorted(set(imports) & moved.keys())
    if same:
        raise Refused(f"overlays: {same} are used beside methods of theirs")
    if imports:
        lines.append(f"from .{home} import ({', '.join(imports)})\n")
    lines += [_segment(source, node) for node in helpers]
    for name, methods in moved.items():
        if methods:
            own = _methods(classes[name])
            lines.append(f"class {name}:\n    del (__module__, __qualname__)\n")
            lines += [_direct(source, own[each], name, methods) for each in methods]
        else:
            lines.append(_segment(source, classes[name]))
    return "".join(lines)


def _asking(source: str, whole: Mapping[str, int], moved: Mapping[int, Methods]) -> str:
    """A module that asks the overlays for the classes that they have as a whole, by number; but in the overlay itself."""
    tree, edits = ast.parse(source), Edits(source)
    inside = {n: {id(each) for node in _moved_nodes(tree, own) for each in ast.walk(node)} for n, own in moved.items()}
    for node in _mentions(tree, bindings(tree)):
        if node.id in whole and id(node) not in inside[whole[node.id]]:
            edits.replace_node(node, f"overlay({whole[node.id]}).{node.id}")
    return (f"from .{_HOME} import overlay\n" if whole else "") + edits.result()


def _without(source: str, tree: ast.Module, gone: list[ast.AST], partial: set[str]) -> str:
    """A module without these statements, whose classes `partial` find their methods all the same."""
    lines = source.splitlines(keepends=True)
    for node in gone:
        for i in range(node.lineno - 1, node.end_lineno):
            lines[i] = ""
    classes = _classes(tree)
    for name in partial:
        first = classes[name].body[0]
        find = f"    from .{_HOME} import cold as __getattr__\n"
        if ast.unparse(first).startswith("del (__module__"):
            lines[first.end_lineno - 1] += find
        else:
            lines[first.lineno - 1] = find + lines[first.lineno - 1]
    return "".join(lines)


def _redirected(source: str, home: str, at: Mapping[str, int], whole: set[str]) -> str:
    """A module beside, which takes from overlays what its bundle `home` lost; `at`: their numbers by name. A stub hands
    classes on, other modules ask for them where they want one."""
    tree, edits = ast.parse(source), Edits(source)
    stays = whole if _is_stub(source) else whole & _outside(tree)
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
    for node in _mentions(tree, bindings(tree)):
        if node.id in lost:
            edits.replace_node(node, f"overlay({at[node.id]}).{node.id}")
    return (f"from .{_HOME} import overlay\n" if lost else "") + edits.result()


def _is_stub(source: str) -> bool:
    """Of a bundle: one import and nothing else."""
    return [type(node) for node in ast.parse(source).body] == [ast.ImportFrom]


def take_cold(modules: Mapping[str, str], plan: Sequence[tuple[str, Methods]]) -> dict[str, str]:
    """`modules` with what `plan` says, (module, methods by class) for each overlay, in modules of their own. All names are
    those of a board."""
    result = dict(modules)
    real = [ast.parse(text) for text in modules.values() if not _is_stub(text)]
    imports = [node for tree in real for node in live(tree) if isinstance(node, ast.ImportFrom)]
    for home in dict(plan):
        own = {n: moved for n, (module, moved) in enumerate(plan) if module == home}
        whole = {name: n for n, moved in own.items() for name, methods in moved.items() if not methods}
        kept = {alias.name for node in imports if node.module == home for alias in node.names} - whole.keys()
        source = _asking(result[home], whole, own)
        tree = ast.parse(source)
        gone: list[ast.AST] = []
        at = dict(whole)
        for n, moved in own.items():
            helpers = _helpers(tree, moved, kept)
            result[f"cold{n}"] = _overlay(home, source, tree, moved, helpers)
            gone += [*_moved_nodes(tree, moved), *helpers]
            at.update({node.name: n for node in helpers})
        partial = {name for moved in own.values() for name, methods in moved.items() if methods}
        result[home] = _without(source, tree, gone, partial)
        for name in modules:
            if name != home:
                result[name] = _redirected(result[name], home, at, set(whole))
    index = ["".join(f";{name}.{'.'.join(own)}." for name, own in moved.items() if own) + ";" for _, moved in plan]
    result[_HOME] += _FIND.format(index=repr(tuple(index)))
    return result


def planned(modules: Mapping[str, str], names: Mapping[str, str]) -> list[tuple[str, Methods]]:
    """The plan under the names of a board."""
    return [
        (home, {names.get(name, name): tuple(names.get(each, each) for each in own) for name, own in moved.items()})
        for home, moved in PLAN
        if home in modules
    ]
