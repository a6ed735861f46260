"""The screen of `picoswarm top`: families, rates, the table of nodes, and a log or messages, live."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.css.query import NoMatches
from textual.widgets import DataTable, Footer, Input, RichLog, Sparkline, Static

from .client import Client, NoAnswer
from .figures import COLUMNS, QUIET, Figures, clean, columns, count, line_of, row, size, span

EVERY_S = 1.0  # the table is read
RETRY_S = 2.0
HISTORY = 120  # values of a graph
LINES = 500
MARKS = {"up": ("●", "green"), "starting": ("○", "yellow"), "down": ("■", "red")}
STATES = {"session": ("●", "green"), "live": ("○", "yellow"), "gone": ("·", QUIET)}


class Top(App[None]):
    """See the module."""

    TITLE = "picoswarm top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #head { height: 1; padding: 0 1; text-style: bold; }
    #families { height: auto; max-height: 3; padding: 0 1; }
    #trouble { height: 1; padding: 0 1; background: $error; color: $text; display: none; }
    #trouble.shown { display: block; }
    #graphs { height: 3; }
    #graphs Static { width: auto; padding: 0 1; height: 3; }
    #graphs Sparkline { width: 1fr; height: 3; margin: 0 1 0 0; }
    #nodes { height: 2fr; }
    #filter { display: none; height: 3; }
    #filter.shown { display: block; }
    #log-title { height: 1; padding: 0 1; background: $panel; }
    #log { height: 1fr; padding: 0 1; }
    """
    BINDINGS = [
        Binding("q", "quit", "Quit"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter"),
        Binding("l", "log", "Log of the node"),
        Binding("m", "messages", "Messages"),
        Binding("p", "ping", "Ping"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, client: Client, every_s: float = EVERY_S) -> None:
        super().__init__()
        self.client = client
        self.every_s = every_s
        self.figures = Figures()
        self.by = "name"
        self.is_reversed = False
        self.word = ""
        self.log_of: str | None = None  # a node's id; None: the gateway
        self.has_messages = False
        self.trouble = ""
        self._rates = {name: deque([0.0] * HISTORY, HISTORY) for name in ("messages", "in", "out")}
        self._order: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="families")
        yield Static(id="trouble")
        with Horizontal(id="graphs"):
            for name in self._rates:
                yield Static(name, id=f"rate-{name}")
                yield Sparkline(list(self._rates[name]), id=f"graph-{name}")
        yield DataTable(id="nodes", cursor_type="row", zebra_stripes=True)
        yield Input(id="filter", placeholder="a part of a name, id, address or firmware")
        yield Static(id="log-title")
        yield RichLog(id="log", max_lines=LINES, wrap=True, markup=False, highlight=False)
        yield Footer()

    def on_mount(self) -> None:
        table = self.query_one("#nodes", DataTable)
        for name, title, _ in COLUMNS:
            table.add_column(title, key=name)
        table.focus()
        self._begin("read", self._read_for_ever())
        self._begin("follow", self._follow_for_ever())
        self._begin("log", self._show_log())

    def _begin(self, group: str, work: Coroutine[Any, Any, None]) -> None:
        """Let work run in the place of what ran in its group. It ends with the screen, whose parts it then misses."""

        async def run() -> None:
            with suppress(NoMatches):
                await work

        self.run_worker(run(), group=group, exclusive=True)

    # From the gateway

    async def _read_for_ever(self) -> None:
        while True:
            try:
                self.figures.take(await self.client.get("/api/state"), await self.client.get("/api/nodes"))
                self._set_trouble("")
            except NoAnswer as error:
                self._set_trouble(str(error))
            else:
                for name, value in zip(self._rates, self.figures.rates(), strict=True):
                    self._rates[name].append(value)
                self._draw()
            await asyncio.sleep(self.every_s)

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                async for name, data in self.client.events("log", "message"):
                    if isinstance(data, dict):
                        self._on_event(name, data)
            except NoAnswer:
                pass  # reading says so
            await asyncio.sleep(RETRY_S)

    def _on_event(self, name: str, data: dict[str, Any]) -> None:
        log = self.query_one("#log", RichLog)
        if name == "message" and self.has_messages:
            origin = clean(data.get("name") or self.figures.name(str(data.get("origin", ""))))
            text = Text.assemble((f"{clean(data.get('topic', ''))} ", "cyan"), clean(data.get("payload", "")))
            log.write(text.append(f"  {origin}", QUIET))
        elif name == "log" and data.get("node") == self.log_of:
            for line in str(data.get("text", "")).splitlines():
                log.write(line_of(line))

    async def _show_log(self) -> None:
        """The log pane from the beginning: what the gateway kept of the log that is shown."""
        title = self.query_one("#log-title", Static)
        log = self.query_one("#log", RichLog)
        log.clear()
        of = self.figures.name(self.log_of) if self.log_of else "the gateway"
        title.update(Text(f"Log of {of}{', messages' if self.has_messages else ''}"))
        try:
            told = await self.client.get("/api/log", **({"node": self.log_of} if self.log_of else {}))
        except NoAnswer as error:
            log.write(Text(clean(str(error)), "red"))
            return
        for line in str(told.get("text", "")).splitlines()[-LINES:]:
            log.write(line_of(line))

    def _set_trouble(self, text: str) -> None:
        self.trouble = text
        strip = self.query_one("#trouble", Static)
        strip.update(Text(clean(text) and f"{clean(text)}. What you see is older; it is tried again."))
        strip.set_class(bool(text), "shown")

    # To the screen

    def _draw(self) -> None:
        figures = self.figures
        state, nodes = figures.state, figures.nodes.values()
        there = sum(node["state"] != "gone" for node in nodes)
        sessions = sum(node["state"] == "session" for node in nodes)
        messages, came, went = (self._rates[name][-1] for name in self._rates)
        self.query_one("#head", Static).update(
            Text(
                f"{clean(state.get('name', ''))} {state.get('id', '')[:8]}   up {span(state.get('uptime_s', 0))}   "
                f"epoch {state.get('epoch', '–')}   {there} nodes   {sessions} sessions"
            )
        )
        for name, text in (
            ("messages", f"messages\n{messages:.1f}/s"),
            ("in", f"in\n{size(came)}/s"),
            ("out", f"out\n{size(went)}/s"),
        ):
            self.query_one(f"#rate-{name}", Static).update(Text(text))
            self.query_one(f"#graph-{name}", Sparkline).data = list(self._rates[name])
        self._draw_families(state.get("families", {}))
        self._draw_nodes()

    def _draw_families(self, families: dict[str, dict[str, Any]]) -> None:
        text = Text()
        for name, facts in sorted(families.items()):
            mark, colour = MARKS.get(facts.get("state", ""), ("?", "white"))
            told = [f"{key.replace('_', ' ')} {count(value)}" for key, value in facts.items() if type(value) is int]
            text.append(f"{mark} ", colour).append(f"{clean(name)} {clean(facts.get('state', ''))}", "bold")
            trouble = clean(facts.get("trouble") or "")
            text.append(f" {trouble or ', '.join(told[:3])}   ", "red" if trouble else QUIET)
        self.query_one("#families", Static).update(text or Text("no families", QUIET))

    def _draw_nodes(self) -> None:
        table = self.query_one("#nodes", DataTable)
        found = self.figures.found(self.word, self.by, self.is_reversed)
        order = [node["id"] for node in found]
        if order != self._order:
            self._fill(table, found)
            self._order = order
            return
        for node in found:
            for name, cell in zip(columns(), self._cells(node), strict=True):
                if table.get_cell(node["id"], name) != cell:
                    table.update_cell(node["id"], name, cell, update_width=True)

    def _fill(self, table: DataTable, found: list[dict[str, Any]]) -> None:
        """All rows anew; the cursor stays on its node."""
        had = self.selected()
        table.clear()
        for node in found:
            table.add_row(*self._cells(node), key=node["id"])
        if had in self.figures.nodes and any(node["id"] == had for node in found):
            table.move_cursor(row=table.get_row_index(had), animate=False)

    def _cells(self, node: dict[str, Any]) -> list[Text]:
        mark, colour = STATES.get(node["state"], ("?", "white"))
        style = QUIET if node["state"] == "gone" else ""
        cells = []
        for (_name, _title, is_number), text in zip(COLUMNS, row(node, self.figures), strict=True):
            cells.append(Text(text, style, justify="right" if is_number else "left", no_wrap=True))
        cells[0] = Text.assemble((f"{mark} ", colour), (cells[0].plain, style))
        return cells

    def selected(self) -> str | None:
        """The id of the node under the cursor."""
        table = self.query_one("#nodes", DataTable)
        if not table.row_count or not 0 <= table.cursor_row < table.row_count:
            return None
        return table.coordinate_to_cell_key((table.cursor_row, 0)).row_key.value

    # Keys

    def action_sort(self) -> None:
        """By the next column."""
        names = columns()
        self.by = names[(names.index(self.by) + 1) % len(names)]
        self.is_reversed = False
        self.notify(f"by {dict((name, title) for name, title, _ in COLUMNS)[self.by]}", timeout=1.5)
        self._draw_nodes()

    def action_reverse(self) -> None:
        self.is_reversed = not self.is_reversed
        self._draw_nodes()

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("shown")
        field.focus()

    def action_back(self) -> None:
        """Out of the filter, then out of the log of a node."""
        field = self.query_one("#filter", Input)
        if field.has_class("shown"):
            field.value = ""
            field.remove_class("shown")
            self.query_one("#nodes", DataTable).focus()
        elif self.log_of:
            self.log_of = None
            self._begin("log", self._show_log())

    def on_input_changed(self, event: Input.Changed) -> None:
        self.word = event.value.strip().lower()
        self._draw_nodes()

    def on_input_submitted(self) -> None:
        self.query_one("#nodes", DataTable).focus()

    def action_log(self) -> None:
        chosen = self.selected()
        self.log_of = None if chosen == self.log_of else chosen
        self._begin("log", self._show_log())

    def action_messages(self) -> None:
        self.has_messages = not self.has_messages
        self._begin("log", self._show_log())

    def action_ping(self) -> None:
        if chosen := self.selected():
            self._begin("ping", self._ping(chosen))

    async def _ping(self, node: str) -> None:
        name = self.figures.name(node)
        try:
            answer = await self.client.post("/api/ping", {"id": node})
        except NoAnswer as error:
            hint = "; start it with --token" if error.status == 401 else ""
            self.notify(f"{name}: {clean(str(error))}{hint}", severity="error", markup=False)
        else:
            self.notify(f"{name} answers in {answer['rtt_ms']} ms", markup=False)
