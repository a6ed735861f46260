"""The names that are given: MicroPython's own, those that the public API promises, and those that programs use."""

from __future__ import annotations

import ast
import builtins
import itertools
import socket
from collections.abc import Iterable
from functools import cache

from .runtimes import run_micropython

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BY_STRING = {"getattr", "setattr", "hasattr", "delattr"}
# What dir() of the unix port does not tell: names of `machine` and `network`, and what C code gives to a Task.
_UNTOLD = {"active", "config", "ifconfig", "isconnected", "status", "unique_id", "coro", "data", "ph_key", "state"}
# Of math, text and sets: what hardly a program calls an attribute of its own.
_RARE = (
    *("acosh", "asinh", "atanh", "copysign", "erfc", "expm1", "fabs", "fmod", "frexp", "isclose", "isfinite", "isinf"),
    *("isnan", "ldexp", "lgamma", "modf", "rindex", "rpartition", "isalpha", "islower", "isspace", "isupper"),
    *("splitlines", "isdisjoint", "issubset", "issuperset", "difference_update", "intersection_update"),
    *("symmetric_difference", "symmetric_difference_update", "erf", "log2", "log10"),
)
_VIPER_TYPES = {"ptr", "ptr8", "ptr16", "ptr32", "uint"}
_ASK_RUNTIME = """
import asyncio.core, asyncio.stream, binascii, builtins, collections, errno, gc, hashlib, io, json, machine, micropython
import os, random, select, socket, struct, sys, time
for module in list(sys.modules.values()) + [
    asyncio, binascii, builtins, collections, errno, gc, hashlib, io, json, machine, micropython, os, random, select,
    socket, struct, sys, time, sys.implementation
]:
    for name in dir(module):
        print(name, *dir(getattr(module, name)))
"""


class Refused(Exception):
    """Source text that cannot be made smaller safely; the message says where and why."""


def arguments_of(arguments: ast.arguments) -> list[ast.arg]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [argument for argument in every if argument]


def _ask(program: str) -> list[str]:
    told = run_micropython(["-c", program])
    if told.returncode:
        raise Refused(f"MicroPython does not tell its names:\n{told.stdout}")
    return told.stdout.split()


@cache
def rom_names() -> tuple[str, ...]:
    """Names of constants and exceptions that every firmware has in ROM, where they cost no heap; shortest first, and then
    those of rare functions. Where one lacks a name, it costs what any other does. Raises runtimes.Missing."""
    told = _ask("import builtins, errno, select, uctypes\nfor m in builtins, errno, select, uctypes: print(*dir(m))")
    names = sorted({name for name in told if name[0].isupper()}, key=lambda name: (len(name), name))
    told = _ask("import math\nprint(*dir(math), *dir(str), *dir(set))")
    return (*names, *(name for name in _RARE if name in told))


@cache
def runtime_names() -> frozenset[str]:
    """Every name that MicroPython or its standard modules define, as far as an interpreter can tell, and some of CPython's.
    Raises runtimes.Missing."""
    import asyncio

    names = set(_ask(_ASK_RUNTIME)) | _UNTOLD | _VIPER_TYPES
    for module in (asyncio, builtins, socket):
        for name in dir(module):
            names |= {name, *dir(getattr(module, name))}
    return frozenset(names)


def names_in_stub(source: str) -> set[str]:
    """The names that a type stub promises: of classes, functions and values."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        found |= {getattr(node, field, None) for field in ("name", "id", "attr", "asname")}
    return found - {None}


def arguments_in_stub(source: str) -> set[tuple[str, str]]:
    """(function, argument) that a type stub promises."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS)]
    return {(function.name, argument.arg) for function in functions for argument in arguments_of(function.args)}


def names_in_programs(sources: Iterable[str]) -> tuple[set[str], set[str]]:
    """(names by which programs that are not translated may know the library: what they import, and all attributes but those
    that one of them defines; these, which are the programs' own where no stub promises them)."""
    found: set[str] = set()
    attributes: set[str] = set()
    own: set[str] = set()
    for node in itertools.chain.from_iterable(ast.walk(ast.parse(source)) for source in sources):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("picoswarm"):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            (attributes if isinstance(node.ctx, ast.Load) else own).add(node.attr)
        elif isinstance(node, FUNCTIONS):
            own.add(node.name)
    return found | attributes - own, own


def keywords_of(call: ast.Call) -> set[tuple[str, str]]:
    """(what is called, argument) for each argument that a call names."""
    called = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return {(called, keyword.arg) for keyword in call.keywords if keyword.arg}


def keywords_in_programs(sources: Iterable[str]) -> set[tuple[str, str]]:
    """The same for all calls of programs."""
    nodes = itertools.chain.from_iterable(ast.walk(ast.parse(source)) for source in sources)
    return set().union(*(keywords_of(node) for node in nodes if isinstance(node, ast.Call)))


def imported(source: str) -> set[str]:
    """The modules that a text imports, the first part of their names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def imported_from_library(programs: Iterable[str]) -> set[str]:
    """The names that programs import from modules of the library."""
    nodes = [node for text in programs for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes if (node.module or "").startswith("picoswarm.") for alias in node.names}


def class_level(tree: ast.AST) -> Iterable[tuple[ast.AST, str]]:
    """(node, name) of what class bodies define."""
    for each in ast.walk(tree):
        for node in each.body if isinstance(each, ast.ClassDef) else ():
            if isinstance(node, FUNCTIONS):
                yield node, node.name
            elif isinstance(node, ast.Assign):
                yield from ((target, target.id) for target in node.targets if isinstance(target, ast.Name))


def seen_from_outside(tree: ast.AST, shown_as: str) -> tuple[set[str], set[tuple[str, str]], set[str]]:
    """(attributes that a text gives to objects, (what is called, argument that it names), names from strings)."""
    attributes, keywords, strings = {name for _, name in class_level(tree)}, set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            attributes.add(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Profile":
            continue  # which knows its numbers by both names
        elif isinstance(node, ast.Call):
            keywords |= keywords_of(node)
            if getattr(node.func, "id", "") in BY_STRING:
                if not isinstance(node.args[1], ast.Constant):
                    raise Refused(f"{shown_as}, line {node.lineno}: {node.func.id}() may use any name: write the name out")
                strings.add(node.args[1].value)
    return attributes, keywords, strings
