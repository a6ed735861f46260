"""Want of memory at a chosen line, for tests on CPython. On a leaf any call can lack it, that for the part of the library
where it stands."""

import ast
import sys
from functools import cache

from support import LONG

# Calls of the runtime that take no memory.
_TAKE_NONE = ("remove", "pop", "ticks_add", "ticks_diff", "len", "min", "max")


@cache
def _lines_that_take_memory(path, resident):
    """Those with a call, a slice, or something new in them."""
    lines = set()
    with open(path) as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if getattr(node.func, "attr", getattr(node.func, "id", "")) not in _TAKE_NONE + resident:
                lines.add(node.lineno)
        elif isinstance(node, (ast.Slice, ast.List, ast.Dict, ast.ListComp)):
            lines.add(node.lineno)
        elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
            lines.add(node.lineno)
    return lines


class Hunger:
    """Lines of these modules of the library that take memory find none: `count` of them, from the `first` on. Of `resident`
    functions, which are in no overlay, none does."""

    def __init__(self, modules, resident=(), first=sys.maxsize, count=1):
        self.modules = modules
        self.resident = resident
        self.steps = []  # (file, line), of each
        self.first = first
        self.count = count

    def _enter(self, frame, event, arg):
        """As a trace function of the interpreter: of each function that is called."""
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        folder, _, module = path.removesuffix(".py").rpartition("/")
        is_meant = module in self.modules and folder.endswith("picoswarm") and name not in self.resident
        return self._step if is_meant else None

    def _step(self, frame, event, arg):
        path = frame.f_code.co_filename
        if event == "line" and frame.f_lineno in _lines_that_take_memory(path, self.resident):
            self.steps.append((path, frame.f_lineno))
            if self.first <= len(self.steps) < self.first + self.count:
                raise MemoryError
        return self._step

    def __call__(self, call, *arguments):
        """What a call returns, or raises for want of memory."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return call(*arguments)
        finally:
            sys.settrace(before)


def starve_each(modules, scenario, check, resident=(), every=1):
    """Play `check(*scenario(hunger))` with want of memory at each line, the first time that it is come to; long: the last
    time too, and at every so many steps."""
    whole = Hunger(modules, resident)
    check(*scenario(whole))
    steps = whole.steps
    assert len(set(steps)) > 200  # lines, or the tracing sees nothing
    first = {step: i for i, step in reversed(list(enumerate(steps)))}
    last = {step: i for i, step in enumerate(steps)}
    chosen = {*first.values(), *last.values(), *range(0, len(steps), every)} if LONG else first.values()
    for i in sorted(chosen):
        for count in (1, 30) if LONG else (1 + 29 * (i % 2),):
            try:
                check(*scenario(Hunger(modules, resident, i + 1, count)))
            except Exception as error:
                path, line = steps[i]
                raise AssertionError(f"{count} times no memory from {path.rpartition('/')[2]}:{line} on") from error
