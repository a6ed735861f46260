"""The commands that ask a running gateway, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from picoswarm_gateway.graphs import write
from picoswarm_gateway.topology import LOOKS, Mesh, parse_about
from picoswarm_tools.cli import main
from running_mesh import TOKEN, RunningMesh
from small_mesh import free_port

A, B, C, D = (bytes([letter]) * 32 for letter in b"abcd")
GRAPH = {
    "nodes": [
        {"id": "aa", "name": 'the "gate" <1>', "kind": "gateway"},
        {"id": "bb", "name": "b\\oard", "kind": "node"},
        {"id": "cc", "name": "", "kind": "node"},
    ],
    "links": [
        {"a": "aa", "b": "bb", "rtt_ms": 12.5, "quality": 1.0},
        {"a": "bb", "b": "cc", "rtt_ms": None, "quality": 0.5},
    ],
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory) -> Iterator[RunningMesh]:
    with RunningMesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


def call(mesh: RunningMesh, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--url", mesh.url], env={"PICOSWARM_TOKEN": TOKEN})


def test_nodes_lists_them_for_people_and_for_programs(mesh):
    shown = call(mesh, "nodes")
    assert shown.exit_code == 0 and "board" in shown.output and mesh.other.id.hex()[:12] in shown.output
    rows = json.loads(call(mesh, "nodes", "--json").output)
    assert {row["name"] for row in rows} == {"board", "other"}


def test_ping_prints_each_time_and_a_summary(mesh):
    shown = call(mesh, "ping", "board", "-c", "2")
    assert shown.exit_code == 0 and len(shown.output.splitlines()) == 3
    timed = json.loads(call(mesh, "ping", "board", "-c", "3", "--json").output)
    assert len(timed["rtt_ms"]) == 3 and timed["least"] <= timed["mean"] <= timed["most"]


def test_trace_and_log_ask_one_node(mesh):
    mesh.log("a line")
    shown = call(mesh, "log", "board")
    assert shown.exit_code == 0 and shown.output == "a line\n"
    shown = call(mesh, "trace", "board")
    assert shown.exit_code == 0 and mesh.board.id.hex() in shown.output
    assert json.loads(call(mesh, "trace", "board", "--json").output)["path"]
    assert call(mesh, "log").exit_code == 0


def test_find_says_that_there_is_no_family_libp2p(mesh):
    shown = call(mesh, "find", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")
    assert shown.exit_code == 1 and "libp2p.enabled" in shown.output


def test_export_writes_to_a_file(mesh, tmp_path):
    path = tmp_path / "mesh.json"
    assert call(mesh, "export", "-o", str(path)).exit_code == 0
    assert {node["name"] for node in json.loads(path.read_text())["nodes"]} == {"gateway", "board", "other"}
    assert call(mesh, "export", "--format", "dot").output.startswith("graph mesh {")


def test_exit_codes_tell_what_went_wrong(mesh):
    assert call(mesh, "ping", "nobody").exit_code == 1
    refused = CliRunner().invoke(main, ["ping", "board", "--url", mesh.url], env={"PICOSWARM_TOKEN": "wrong"})
    assert refused.exit_code == 1 and "Authorization" in refused.output
    assert call(mesh, "export", "--format", "png").exit_code == 2
    nobody = CliRunner().invoke(main, ["nodes", "--url", f"http://127.0.0.1:{free_port()}"])
    assert nobody.exit_code == 3 and "no gateway answers" in nobody.output
    assert CliRunner().invoke(main, ["nodes", "--url", "nonsense"]).exit_code == 3


def test_dot_quotes_what_its_readers_would_take_for_the_end():
    text = write(GRAPH, "dot")
    assert '"aa" [label="the \\"gate\\" <1>" shape=box]' in text and '"b\\\\oard"' in text
    assert '"aa" -- "bb" [label="12 ms"]' in text and '"bb" -- "cc"\n' in text


def test_graphml_is_xml_with_all_nodes_and_links():
    space = "{http://graphml.graphdrawing.org/xmlns}"
    tree = xml.fromstring(write(GRAPH, "graphml").encode())
    nodes = list(tree.iter(f"{space}node"))
    assert [node.get("id") for node in nodes] == ["aa", "bb", "cc"]
    assert nodes[0].find(f"{space}data[@key='name']").text == 'the "gate" <1>'
    edges = list(tree.iter(f"{space}edge"))
    assert len(edges) == 2 and edges[1].find(f"{space}data[@key='rtt_ms']") is None


def test_csv_has_a_line_for_each_link():
    rows = list(csv.DictReader(io.StringIO(write(GRAPH, "csv"))))
    assert [(row["a_name"], row["rtt_ms"]) for row in rows] == [('the "gate" <1>', "12.5"), ("b\\oard", "")]


def told(mesh: Mesh) -> dict[bytes, float]:
    """The quality of each link, by both ends one after the other."""
    return {bytes.fromhex(link["a"] + link["b"]): link["quality"] for link in mesh.links({}, lambda peer: None)}


def test_links_are_what_either_end_tells_and_the_own_ones_what_one_sees():
    mesh = Mesh()
    mesh.own = A
    mesh.tell(A, {B: True})
    mesh.tell(B, {A: False, C: True})
    mesh.tell(C, {A: True})  # which has ended meanwhile
    assert set(told(mesh)) == {A + B, B + C}
    assert mesh.path(C) == [A, B, C] and mesh.path(A) == [A] and mesh.path(D) == []
    mesh.forget(B)
    assert set(told(mesh)) == {A + B} and mesh.path(C) == []


def test_the_quality_of_a_link_is_how_often_it_was_there_and_how_little_was_lost():
    mesh = Mesh()
    mesh.own = A
    mesh.tell(A, {B: True})
    assert told(mesh)[A + B] == 1
    mesh.tell(A, {})
    mesh.tell(A, {})
    assert not told(mesh)
    mesh.tell(A, {B: True})
    assert told(mesh)[A + B] == (LOOKS - 2) / LOOKS
    (link,) = mesh.links({B: 7.0}, lambda peer: 0.5)
    assert link["quality"] == (LOOKS - 2) / LOOKS / 2 and link["rtt_ms"] == 7.0


@pytest.mark.parametrize("answer", [b"", b"\xff", b"\x02ab", b"\x02ab\x00", b"\x00\x00\x05" + bytes(40), bytes(range(200))])
def test_an_answer_that_makes_no_sense_gives_less(answer):
    text, total, links = parse_about(answer)
    assert text.isprintable() and total >= 0 and all(len(id32) == 32 for id32 in links)


def test_an_answer_of_a_node_is_understood():
    answer = b"\x03abc\x00\x02" + b"\x01" + B + b"\x02" + C
    assert parse_about(answer) == ("abc", 2, {B: True, C: False})


WITHOUT = "import sys; sys.modules.update(dict.fromkeys(('msgspec', 'httpx', 'textual', 'aiomqtt'))); "
RUN = "from picoswarm_tools.cli import main; main()"


def test_where_the_packages_of_the_gateway_are_missing_help_works_and_commands_say_what_to_install():
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", WITHOUT + RUN, *arguments], capture_output=True, text=True, timeout=180)

    shown = run("--help")
    assert shown.returncode == 0 and "provision" in shown.stdout and "Run a bridge" in shown.stdout and not shown.stderr
    for command in (["gateway", "run", "--config", "a.toml"], ["top", "--help"], ["demo"]):
        refused = run(*command)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr
        assert "pip install '.[gateway" in " ".join(refused.stderr.split())
