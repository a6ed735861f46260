"""The plots of a run as SVG or PNG files, by matplotlib, for papers and slides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

STYLE = {
    "figure.figsize": (6.4, 3.6),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "svg.hashsalt": "picoswarm",  # the same plot is the same file
    "svg.fonttype": "none",
    "axes.prop_cycle": plt.cycler(color=["#0b6bb8", "#c2500a", "#0a7f5a", "#8d4bb0"]),
}
SHARES = {
    "join": ("Joining", ("join.seconds", "session.seconds", "rejoin.seconds")),
    "lookup": ("Look-ups", ("lookup.seconds",)),
    "latency": ("Latency", ("publish.seconds", "request.seconds")),
}
LINES = {
    "nodes": ("Nodes", "nodes", ("on", "joined", "largest")),
    "tables": ("Entries that a node hands out", "nodes", ("live",)),
    "sessions": ("Sessions of a node", "sessions", ("links",)),
}


def write(lines: list[dict[str, Any]], folder: Path, form: str) -> Iterator[Path]:
    """Write each plot that the run has figures for; `form` is svg or png."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = [line for line in lines if "sample" in line]
    quantiles = lines[-1]["quantiles"]
    with plt.rc_context(STYLE):
        for name, (title, metrics) in SHARES.items():
            found = {metric: quantiles[metric] for metric in metrics if metric in quantiles}
            if found:
                axes = _axes(title, "s", "share, %")
                for metric, values in found.items():
                    axes.step([max(value, 1e-3) for value in values], range(101), where="post", label=metric)
                axes.set_xscale("log")
                yield _save(axes, folder / f"{name}.{form}")
        minutes = [line["t"] / 60 for line in samples]
        for name, (title, unit, keys) in LINES.items():
            axes = _axes(title, "virtual minutes", unit)
            for key in keys:
                axes.plot(minutes, [line["sample"][key] for line in samples], label=key)
            axes.set_ylim(bottom=0)
            yield _save(axes, folder / f"{name}.{form}")
        axes = _axes("Bytes that a node sends", "virtual minutes", "B in an hour")
        for key, label in (("udp_bytes", "datagrams"), ("tcp_bytes", "sessions")):
            axes.plot(minutes, list(_hourly(samples, key)), label=label)
        axes.set_ylim(bottom=0)
        yield _save(axes, folder / f"bytes.{form}")


def _hourly(samples: list[dict[str, Any]], key: str) -> Iterator[float]:
    before = 0.0
    for line in samples:
        yield line["sample"][key] / max(1, line["sample"]["on"]) / (line["t"] - before) * 3600
        before = line["t"]


def _axes(title: str, x: str, y: str) -> Any:
    axes = plt.figure().add_subplot()
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes


def _save(axes: Any, path: Path) -> Path:
    if len(axes.get_lines()) > 1:
        axes.legend(frameon=False)
    axes.figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(axes.figure)
    return path
