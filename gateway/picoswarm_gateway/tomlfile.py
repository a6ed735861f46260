"""TOML files that are read strictly into msgspec structs: every mistake is named at once, each with its line.

A struct of a whole file may have a method `check(found)`, which adds (dotted path of the field, what is wrong with it) for
all that no type can tell; there a field of a wrong type is None.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

Kind = TypeVar("Kind", bound=msgspec.Struct)


class Mistakes(Exception):
    """What is wrong with a configuration: `found`, a list of (line or 0, text)."""

    def __init__(self, path: Path, found: list[tuple[int, str]]) -> None:
        self.found = sorted(found)
        super().__init__("\n".join(f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in self.found))


def file_of(text: str) -> Path:
    """The file that a configuration names. systemd names its folder of secrets by a variable of the environment."""
    return Path(os.path.expandvars(text)).expanduser()


def is_missing(text: str | None) -> bool:
    """Whether a configuration names a file that is not there, as far as a shell can tell: a service has variables that it
    has not."""
    path = text and file_of(text)
    return bool(path) and "$" not in str(path) and not path.is_file()


def _line(text: str, path: str) -> int:
    """The line of a TOML text where the value of a dotted path stands (`a.b[2].c`: in the third table [[a.b]]); that of its
    table where it is not found, or 0."""
    array, _, rest = path.partition("[")
    number_of_table = rest.partition("]")[0]
    index = int(number_of_table) if number_of_table.isdecimal() else 0  # "..." is any value of a table
    path = re.sub(r"\[[^]]*\]", "", path)
    *tables, name = path.split(".")
    table, inside, best = ".".join(tables), not tables, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if header:
            title = header[1].replace('"', "").replace(" ", "")
            if title == array and rest:
                index -= 1
                if index >= 0:
                    continue
            inside = title == table and index >= -1
            if inside or title == path:
                best = best or number
            if title == path:
                return number
        key = re.match(r'\s*"?([\w.-]+)"?\s*=', line)
        if key and ((inside and key[1] == name) or (not table and key[1] == path)):
            return number
    return best


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_table(value: Any) -> bool:
    """Whether a value was written as [table], or as one or more [[table]]."""
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _convert(kind: Any, value: Any, path: str, found: list[tuple[str, str]]) -> Any:
    """A struct from a table, field by field, so that one mistake does not hide the next."""
    parts = get_args(kind) if get_origin(kind) is list else ()
    if parts and _is_struct(parts[0]) and isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return [_convert(parts[0], part, f"{path}[{number}]", found) for number, part in enumerate(value)]
    if parts and _is_struct(parts[0]) and isinstance(value, dict):
        found.append((path, f"may stand several times, each as [[{path}]]"))
        return []
    if _is_struct(kind) and _is_table(value) and isinstance(value, list):
        found.append((path, f"stands once, as [{path}]"))
        return kind()
    if not (_is_struct(kind) and isinstance(value, dict)):
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            text, _, where = str(error).partition(" - at `$")
            found.append((path + where.rstrip("`"), text))
            return kind() if _is_struct(kind) else None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values = {}
    for key, part in value.items():
        here = f"{path}.{key}" if path else key
        if key in fields:
            values[fields[key].name] = _convert(fields[key].type, part, here, found)
        else:
            what = "table" if not path and _is_table(part) else "key"
            found.append((here, f"there is no such {what}; known: {', '.join(fields)}"))
    for key, field in fields.items():
        if field.required and key not in value:
            found.append((path, f"{key} is missing"))
            values[field.name] = None
    return kind(**values)


def read(kind: type[Kind], text: str, path: Path) -> Kind:
    """A struct from the text of a TOML file; `path` stands in what is said of mistakes. Raises Mistakes."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise Mistakes(path, [(int(line[1]) if line else 0, re.sub(r" \(at .*\)", "", str(error)))]) from None
    found: list[tuple[str, str]] = []
    whole = _convert(kind, tables, "", found)
    if hasattr(whole, "check"):
        whole.check(found)
    if found:
        raise Mistakes(path, [(_line(text, where), f"{where}: {what}") for where, what in found])
    return whole


def read_file(kind: type[Kind], path: Path) -> Kind:
    """A struct from a TOML file. Raises Mistakes."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistakes(path, [(0, f"cannot be read: {error}")]) from None
    return read(kind, text, path)
