"""`picoswarm provision --port`: a board becomes a member of a mesh, on a 32-bit MicroPython at a pty."""

import json

import pytest
from click.testing import CliRunner
from picoswarm.membership import Membership
from picoswarm.slots import NETWORK, SEED, decode_slot
from picoswarm.store import Store
from picoswarm_tools.cli import main
from picoswarm_tools.shipping.exits import Failed
from picoswarm_tools.shipping.invite import accept, invitation
from picoswarm_tools.shipping.remote import Remote
from pty_board import PtyBoard


@pytest.fixture
def there(tmp_path):
    with PtyBoard(tmp_path / "flash") as board:
        yield board


def run(*arguments, **more):
    """(exit status, output) of a command."""
    done = CliRunner().invoke(main, [str(word) for word in arguments], **more)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def file_of(board, path):
    """The bytes of a file of the board; none where there is no such file."""
    program = f"import os\ntry: print(open({path!r}, 'rb').read().hex())\nexcept OSError: print()"
    return bytes.fromhex(Remote(board.port).execute(program).strip())


def test_a_board_gets_the_key_of_the_mesh_its_name_and_its_network(there, tmp_path):
    folder = tmp_path / "house"
    command = ["provision", "--folder", folder, "--port", there.port, "--name", "kitchen", "--wifi", "home"]
    command += ["--country", "DE", "--bootstrap", "192.0.2.7:20742", "--json"]
    code, output = run(*command, env={"PICOSWARM_WIFI_PASSWORD": "correct horse"})
    assert code == 0, output
    facts = json.loads(output)
    assert facts["board"]["has_node_key"] is False and "correct horse" not in output
    held = Store(str(folder))
    assert decode_slot(NETWORK, file_of(there, "/swarm/network.0"))[1] == held.read(NETWORK)
    assert file_of(there, "/swarm/network.1") == (folder / "network.1").read_bytes()
    assert decode_slot(SEED, file_of(there, "/swarm/seed.0"))[1] != held.read(SEED)  # randomness of its own
    assert file_of(there, "/swarm/identity.0") == b""
    config = json.loads(file_of(there, "/picoswarm.json"))
    assert config == {
        "name": "kitchen",
        "wifi": {"ssid": "home", "password": "correct horse", "country": "DE"},
        "bootstrap": ["192.0.2.7:20742"],
    }
    # Once more: nothing to do. And what is not said stays.
    code, output = run("provision", "--folder", folder, "--port", there.port, "--json")
    assert code == 0 and json.loads(output)["board"]["changed"] == [], output
    run("provision", "--folder", folder, "--port", there.port, "--name", "cellar")
    assert json.loads(file_of(there, "/picoswarm.json")) == config | {"name": "cellar"}


def test_a_board_of_another_mesh_keeps_its_key_unless_forced(there, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("provision", "--folder", first, "--port", there.port)[0] == 0
    code, output = run("provision", "--folder", second, "--port", there.port)
    assert code == 1 and "--force" in output
    assert file_of(there, "/swarm/network.0") == (first / "network.0").read_bytes()
    assert run("provision", "--folder", second, "--port", there.port, "--force")[0] == 0
    key = decode_slot(NETWORK, file_of(there, "/swarm/network.0"))[1]
    assert key == Store(str(second)).read(NETWORK)


def test_a_dry_run_leaves_the_board_as_it_is(there, tmp_path):
    code, output = run("provision", "--folder", tmp_path / "house", "--port", there.port, "--dry-run")
    assert code == 0 and "Would write" in output and file_of(there, "/swarm/network.0") == b""


def test_nobody_at_the_port_is_no_device(tmp_path):
    assert run("provision", "--folder", tmp_path / "house", "--port", tmp_path / "ttyUSB7")[0] == 3


def test_settings_of_a_board_without_a_port_are_wrong_usage(tmp_path):
    assert run("provision", "--folder", tmp_path / "house", "--name", "kitchen")[0] == 2


def test_an_invitation_makes_another_folder_a_member(tmp_path):
    code, output = run("provision", "--folder", tmp_path / "house", "--invite", "--json")
    assert code == 0
    url = json.loads(output)["invitation"]
    code, output = run("provision", "--folder", tmp_path / "friend", "--join", url, "--json")
    assert code == 0, output
    ours, theirs = Store(str(tmp_path / "house")), Store(str(tmp_path / "friend"))
    assert ours.read(NETWORK) == theirs.read(NETWORK)
    assert run("provision", "--folder", tmp_path / "third", "--join", "-", input=f"{url}\n")[0] == 0
    assert Store(str(tmp_path / "third")).read(NETWORK) == ours.read(NETWORK), "and no shell's history has it"
    assert not (tmp_path / "friend.operator").exists()  # the key that signs changes stays with its owner
    code, output = run("provision", "--folder", tmp_path / "house", "--invite")
    assert code == 0 and url in output and "█" in output, output


def test_a_mistyped_invitation_is_refused(tmp_path):
    run("provision", "--folder", tmp_path / "house")
    url = invitation(Membership.decode(Store(str(tmp_path / "house")).read(NETWORK)), None)
    assert accept(url)[0].encode() == Store(str(tmp_path / "house")).read(NETWORK)
    for wrong in (url[:-3], url.replace(url[60], "-" if url[60] != "-" else "_"), "https://example.org", "picoswarm:join"):
        with pytest.raises(Failed):
            accept(wrong)
