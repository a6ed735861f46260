"""The table of the configuration in docs/gateway.md, from the structs that read it: each key with its default, and
as its meaning the comment behind it.

    python -m picoswarm_tools.manual [--check]
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from picoswarm_gateway.config import Config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
BEGIN = "<!-- the table below is made by `make docs` from the gateway's sources -->\n"
END = "<!-- end of the table -->\n"
HEAD = "| key | default | meaning |\n|---|---|---|\n"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def comments(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The comment behind each field of a struct. `of NAMES` in it becomes what the constant of that name lists."""
    source = inspect.getsource(kind)
    at_line = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    names = vars(sys.modules[kind.__module__])

    def listed(match: re.Match[str]) -> str:
        return "one of " + ", ".join(f"`{word}`" for word in names[match[1]])

    found = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign):
            found[node.target.id] = re.sub(r"\bof ([A-Z]+)\b", listed, at_line.get(node.end_lineno, ""))
    return found


def keys(kind: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, str, str]]:
    """(dotted path, default as TOML has it or "", meaning) of all keys. `[]` stands behind a list of tables."""
    meanings = comments(kind)
    for field in msgspec.structs.fields(kind):
        here = f"{path}.{field.name}".lstrip(".")
        if _is_struct(field.type):
            yield from keys(field.type, here)
            continue
        default = ""
        if field.default is not msgspec.NODEFAULT and field.default is not None:
            default = msgspec.json.encode(field.default).decode()
        elif field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.json.encode(field.default_factory()).decode()
        yield here, default, meanings.get(field.name, "")
        for part in get_args(field.type):
            if _is_struct(part):
                yield from keys(part, f"{here}[]")


def table() -> str:
    """The table in Markdown."""
    rows = []
    for path, default, meaning in keys(Config):
        shown = f"`{default}`" if default else ""
        rows.append(f"| `{path}` | {shown} | {meaning.replace('|', chr(92) + '|')} |\n")
    return HEAD + "".join(rows)


def put(text: str, begin: str, made: str, end: str) -> str:
    """A page with `made` in place of what stood between two of its lines."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + made + end + after


def page() -> str:
    """The whole page, with the table of now."""
    return put(PAGE.read_text("utf-8"), BEGIN, "\n" + table() + "\n", END)


def settle(path: Path, text: str, check: bool) -> int:
    """Write a page, or with `check` only say that it is not as it should be; 1 then."""
    if not check:
        path.write_text(text, "utf-8")
    elif path.read_text("utf-8") != text:
        print(f"docs/{path.name} is out of date: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(settle(PAGE, page(), "--check" in sys.argv[1:]))
