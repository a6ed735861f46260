"""The tables of docs/simulator.md, from the structs that read scenarios and the names of figures.

python -m picoswarm_tools.sim.manual [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import get_args

import msgspec

from ..manual import comments, put, settle
from ..runtimes import ROOT
from . import metrics
from .scenario import Scenario

PAGE = ROOT / "docs" / "simulator.md"
TABLES = "<!-- the tables below are made by `make docs` from the simulator's sources -->\n", "<!-- end of the tables -->\n"
METRICS = (
    "<!-- the metrics below are made by `make docs` from the simulator's sources -->\n",
    "<!-- end of the metrics -->\n",
)


def _rows(kind: type[msgspec.Struct], skipped: set[str]) -> Iterator[str]:
    meanings = comments(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in skipped:
            continue
        if field.required:
            default = "needed"
        else:
            made = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            default = "" if made is None else f"`{msgspec.json.encode(made).decode()}`"
        yield f"| `{field.name}` | {default} | {meanings.get(field.name, '')} |\n"


def tables() -> str:
    """One table for the head of a file and one for each kind of table in it."""
    parts, inner = [], {}
    for field in msgspec.structs.fields(Scenario):
        kinds = [each for each in (field.type, *get_args(field.type)) if isinstance(each, type)]
        kind = next((each for each in kinds if issubclass(each, msgspec.Struct)), None)
        if kind is not None:
            inner[field.name] = kind
    for title, kind in (("At the top of the file", Scenario), *((kind.__doc__ or "", kind) for kind in inner.values())):
        skipped = set(inner) if kind is Scenario else set()
        head = (
            f"{title.rstrip('.').replace('`[[', '**`[[').replace(']]`', ']]`**')}:" if kind is not Scenario else f"{title}:"
        )
        head = head.replace("`[internet]`", "**`[internet]`**").replace("`[lookups]`", "**`[lookups]`**")
        parts.append(f"{head}\n\n| key | default | meaning |\n|---|---|---|\n{''.join(_rows(kind, skipped))}")
    return "\n" + "\n".join(parts) + "\n"


def figures() -> str:
    """All names."""
    rows = [f"| `{name}` | {unit} | {what} |\n" for name, (unit, what) in metrics.SINGLE.items()]
    rows += [f"| `{name}.p90` ... | {unit} | {what} |\n" for name, (unit, what) in metrics.SPREAD.items()]
    return "\n| figure | unit | what |\n|---|---|---|\n" + "".join(rows) + "\n"


def page() -> str:
    """The whole page, with the tables of now."""
    text = PAGE.read_text("utf-8")
    for (begin, end), made in ((TABLES, tables()), (METRICS, figures())):
        text = put(text, begin, made, end)
    return text


if __name__ == "__main__":
    sys.exit(settle(PAGE, page(), "--check" in sys.argv[1:]))
