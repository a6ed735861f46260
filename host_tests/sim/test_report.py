"""The command `picoswarm sim`: its status, its files, its sweeps, and its report in a browser."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from picoswarm_tools import browser
from picoswarm_tools.runtimes import Missing
from picoswarm_tools.sim import command, heap, page, scenario, sweep
from picoswarm_tools.sim.play import load

PAIR = """
minutes = 0.2
settle_min = 0.1
[[nodes]]
name = "first"
role = "bootstrap"
[[nodes]]
name = "other"
"""

TINY = """
about = "A bootstrap node and four others <script>."
minutes = 2
settle_min = 1
[[site]]
name = "den"
kind = "internet"
[[nodes]]
name = "first"
role = "bootstrap"
[[nodes]]
name = "others"
count = 4
site = "den"
within_s = 2
[lookups]
per_min = 20
[[traffic]]
kind = "publish"
every_s = 5
[[fault]]
kind = "wifi"
groups = ["others"]
share = 0.25
at_min = 1
for_s = 5
[[attack]]
kind = "flood"
count = 1
at_min = 1
[[expect]]
metric = "join.share"
at_least = 1
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(what the command said, its folder)"""
    folder = tmp_path_factory.mktemp("sim")
    (folder / "tiny.toml").write_text(TINY)
    result = CliRunner().invoke(command.sim, [str(folder / "tiny.toml"), "--out", str(folder), "--plots", "svg"])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output, folder


def test_a_run_leaves_results_a_report_and_plots(done):
    output, folder = done
    assert "join.share" in output
    lines = load(folder / "results.jsonl")
    assert lines[0]["scenario"] == "tiny" and lines[-1]["summary"]["join.share"] == 1
    assert lines[-1]["summary"]["attack.answers"] == 0
    text = (folder / "report.html").read_text()
    assert not re.search(r"(src|href)\s*=|https?://(?!www\.w3\.org/2000/svg)|url\(", text), "the report loads nothing"
    assert {path.name for path in (folder / "plots").iterdir()} >= {"join.svg", "nodes.svg", "bytes.svg", "lookup.svg"}


def test_what_is_missed_is_said_and_ends_the_command_with_1(tmp_path):
    (tmp_path / "hard.toml").write_text(
        TINY.replace('metric = "join.share"\nat_least = 1', 'metric = "table.live"\nat_least = 9')
    )
    result = CliRunner().invoke(command.sim, [str(tmp_path / "hard.toml"), "--out", str(tmp_path), "--seed", "3"])
    assert result.exit_code == 1
    assert "table.live = 4 nodes, at least 9 expected, missed by 5" in result.output
    assert "--seed 3" in result.output


def test_a_mistake_in_a_file_is_said_with_its_line(tmp_path):
    (tmp_path / "bad.toml").write_text('[[nodes]]\nname = "a"\ncuont = 3\n')
    result = CliRunner().invoke(command.sim, [str(tmp_path / "bad.toml")])
    assert result.exit_code == 1 and "bad.toml:3" in re.sub(r"[\s│]", "", result.output)


def test_a_sweep_in_processes_gives_what_single_runs_give(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    result = CliRunner().invoke(
        command.sim, [str(tmp_path / "tiny.toml"), "--seeds", "2", "--jobs", "2", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (tmp_path / "sweep.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [1, 2] and lines[0]["digest"] != lines[1]["digest"]
    assert lines[0]["digest"] == sweep.one("tiny", scenario.as_dict(scenario.parse(TINY)), 1).digest


def test_a_sweep_of_more_seeds_than_a_process_runs_comes_to_its_end(tmp_path):
    (tmp_path / "pair.toml").write_text(PAIR)
    picoswarm = Path(sys.executable).with_name("picoswarm")
    arguments = ["sim", tmp_path / "pair.toml", "--seeds", "9", "--jobs", "1", "--out", tmp_path]
    with subprocess.Popen([picoswarm, *arguments], stdout=subprocess.DEVNULL, start_new_session=True) as sweeping:
        try:
            assert sweeping.wait(150) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(sweeping.pid, signal.SIGKILL)
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == 9


def test_the_same_sweep_runs_on_a_dask_cluster():
    distributed = pytest.importorskip("distributed", reason="the extra [dask], which make setup installs")
    what = scenario.parse(TINY)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        runs = list(sweep.on_dask("tiny", what, [1, 2], cluster.scheduler_address))
    assert [run.seed for run in runs] == [1, 2]
    assert runs[0].digest == sweep.one("tiny", scenario.as_dict(what), 1).digest


def test_without_micropython_the_report_says_why_it_has_no_heap(monkeypatch):
    def predict(*_arguments, **_options):
        raise Missing("make micropython")

    monkeypatch.setattr("picoswarm_tools.size.predict", predict)
    group = {"name": "a", "board": "RPI_PICO_W", "profile": {}, "sessions": 3}
    assert heap.estimates([group]) == ([], "make micropython")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_report_draws_in_a_browser_without_an_error(done, width, scheme):
    import asyncio

    async def look():
        async with browser.chromium() as chromium:
            shown = await chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            troubles = []
            shown.on("pageerror", lambda error: troubles.append(str(error)))
            shown.on("console", lambda message: troubles.append(message.text))
            await shown.goto((done[1] / "report.html").as_uri())
            await shown.wait_for_selector(".chart svg path")
            titles = await shown.eval_on_selector_all("h2", "all => all.map(each => each.textContent)")
            wide = await shown.evaluate("document.documentElement.scrollWidth")
            await shown.evaluate("showFrame(0)")
            first = await shown.text_content("#clock")
            await shown.click("#play")
            await shown.wait_for_function("document.querySelector('#time').value > 0")
            return troubles, titles, wide, first, await shown.text_content("#about")

    try:
        troubles, titles, wide, first, about = asyncio.run(look())
    except Missing as missing:
        pytest.skip(str(missing))
    assert troubles == [] and wide == width and first == "0:10" and about.endswith("<script>.")
    assert {"The mesh", "Joining", "Look-ups", "Delivery", "Latency", "Bytes", "Tables"} <= set(titles)


def test_a_mesh_too_large_to_draw_is_drawn_in_part():
    nodes = [{"id": f"{i:08x}", "group": "a", "site": "", "role": "board" if i else "gateway"} for i in range(2000)]
    shown = page.topology({"nodes": nodes, "sites": []}, [{"t": 1, "states": {"0": "on"}, "opened": [[0, 1]], "closed": []}])
    assert shown["all"] == 2000 and len(shown["nodes"]) == 600 and shown["nodes"][0]["role"] == "gateway"
    assert all(0 <= each["x"] <= 1000 and 0 <= each["y"] <= 1000 for each in shown["nodes"])
