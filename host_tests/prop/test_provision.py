"""`picoswarm provision`: one key for one mesh, never lost by accident, never shown unasked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from picoswarm.appslots import UPDATE_KEY
from picoswarm.changes import REVOKE, ROTATE
from picoswarm.crypto import run as crypto_run
from picoswarm.ed25519 import Verify
from picoswarm.membership import Membership
from picoswarm.slots import NETWORK, OPERATOR, SEED
from picoswarm.store import Store
from picoswarm_gateway.keychange import OPERATOR_SEED, Operator
from picoswarm_tools import runtimes
from picoswarm_tools.cli import main
from picoswarm_tools.keyfolder import new_network_key, save
from picoswarm_tools.provision import provision


def run(*arguments: object) -> Result:
    return CliRunner().invoke(provision, [str(argument) for argument in arguments])


def said(done: Result) -> str:
    """What a run printed, without the frame and the line breaks that depend on the terminal's width."""
    return " ".join(done.output.replace("│", " ").split())


def membership_of(folder: Path) -> Membership:
    return Membership.decode(Store(str(folder)).read(NETWORK))


def test_a_first_key_is_made_for_its_owner_only(tmp_path):
    folder = tmp_path / "deep" / "node"
    done = run("--folder", folder)
    assert done.exit_code == 0, done.output
    held = membership_of(folder)
    assert (held.highest.epoch, held.lower) == (0, None)
    assert held.highest.fingerprint() in said(done)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert len(Store(str(folder)).read(SEED)) == 32


def test_a_board_reads_what_the_host_wrote(tmp_path):
    run("--folder", tmp_path / "a")
    run("--folder", tmp_path / "a", "--new-epoch")
    script = """
import sys
from picoswarm.keys import gather, load_membership
from picoswarm.store import Store
store = Store(sys.argv[1])
held = load_membership(store)
print(held.highest.fingerprint(), held.lower.fingerprint(), gather(store).ready)
"""
    env = {"MICROPYPATH": f"{runtimes.ROOT / 'lib'}:.frozen"}
    done = runtimes.run_micropython(["-c", script, tmp_path / "a"], env=env)
    held = membership_of(tmp_path / "a")
    assert done.stdout.split() == [held.highest.fingerprint(), held.lower.fingerprint(), "True"]


def test_every_mesh_has_its_own_key_and_every_folder_its_own_seed(tmp_path):
    for name in "abc":
        assert run("--folder", tmp_path / name).exit_code == 0
    assert len({membership_of(tmp_path / name).highest.key for name in "abc"}) == 3
    assert len({Store(str(tmp_path / name)).read(SEED) for name in "abc"}) == 3


def test_a_key_is_not_replaced_without_force(tmp_path):
    run("--folder", tmp_path / "a")
    before = membership_of(tmp_path / "a").encode()
    refused = run("--folder", tmp_path / "a")
    assert refused.exit_code == 1 and "--new-epoch" in said(refused) and "--force" in said(refused)
    assert membership_of(tmp_path / "a").encode() == before
    assert run("--folder", tmp_path / "a", "--force").exit_code == 0
    assert membership_of(tmp_path / "a").encode() != before


def test_a_new_epoch_keeps_the_present_key_as_the_lower_one(tmp_path):
    run("--folder", tmp_path / "a")
    for epoch in range(1, 20):
        before = membership_of(tmp_path / "a")
        assert run("--folder", tmp_path / "a", "--new-epoch").exit_code == 0
        after = membership_of(tmp_path / "a")
        assert after.highest.epoch == epoch % 16
        assert after.lower.key == before.highest.key and after.highest.key != before.highest.key


def test_a_second_node_joins_and_follows_a_mesh(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    run("--folder", first)
    assert run("--folder", second, "--copy-from", first).exit_code == 0
    assert membership_of(second).encode() == membership_of(first).encode()
    assert sorted(path.name for path in second.iterdir()) == [
        *("network.0", "network.1", "operator.0", "operator.1", "seed.0", "seed.1"),
    ]
    again = run("--folder", second, "--copy-from", first)
    assert again.exit_code == 0 and "Kept" in said(again)
    run("--folder", first, "--new-epoch")
    assert run("--folder", second, "--copy-from", first).exit_code == 0, "a rotation reaches the other nodes without --force"
    assert membership_of(second).encode() == membership_of(first).encode()


def test_a_newer_key_is_not_lost_by_copying_the_wrong_way_round(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    run("--folder", first)
    run("--folder", second, "--copy-from", first)
    run("--folder", first, "--new-epoch")
    before = membership_of(first).encode()
    refused = run("--folder", first, "--copy-from", second)
    assert refused.exit_code == 1 and "newer" in said(refused)
    assert membership_of(first).encode() == before
    assert run("--folder", first, "--copy-from", second, "--force").exit_code == 0


def test_a_stolen_key_is_forgotten_at_once(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    run("--folder", first)
    assert run("--folder", first, "--drop-lower").exit_code == 1, "there is none"
    run("--folder", second, "--copy-from", first)
    run("--folder", first, "--new-epoch")
    assert run("--folder", second, "--copy-from", first, "--drop-lower").exit_code == 0
    assert run("--folder", first, "--drop-lower").exit_code == 0
    for folder in (first, second):
        assert membership_of(folder).lower is None and membership_of(folder).highest.epoch == 1


def test_another_mesh_is_not_joined_by_accident(tmp_path):
    run("--folder", tmp_path / "a")
    run("--folder", tmp_path / "b")
    before = membership_of(tmp_path / "b").encode()
    assert run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a").exit_code == 1
    assert membership_of(tmp_path / "b").encode() == before
    assert run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a", "--force").exit_code == 0
    assert membership_of(tmp_path / "b").encode() == membership_of(tmp_path / "a").encode()


def test_no_output_holds_a_key_unless_it_is_asked_for(tmp_path):
    runs = [run("--folder", tmp_path / "a")]
    for options in ((), ("--json",), ("--new-epoch",), ("--new-epoch", "--json")):
        runs.append(run("--folder", tmp_path / "a", *options))
    runs.append(run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a", "--json"))
    held = membership_of(tmp_path / "a")
    text = "".join(done.output for done in runs)
    for secret in (held.highest.key, held.lower.key, held.highest.psk, Store(str(tmp_path / "a")).read(SEED)):
        assert secret.hex() not in text and secret.hex()[:16] not in text
    shown = run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a", "--show", "--json")
    assert [key["key"] for key in json.loads(shown.output)["keys"]] == [held.highest.key.hex(), held.lower.key.hex()]


def test_json_is_one_object_with_what_the_text_says(tmp_path):
    facts = json.loads(run("--folder", tmp_path / "a", "--json").output)
    fingerprint = membership_of(tmp_path / "a").highest.fingerprint()
    keys = [{"epoch": 0, "fingerprint": fingerprint}]
    assert facts == {"folder": str(tmp_path / "a"), "changed": True, "keys": keys, "operator": str(tmp_path / "a.operator")}


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        (["--new-epoch"], 1, "no network key"),
        (["--new-epoch", "--force"], 2, "--new-epoch"),
        (["--copy-from", "missing-folder"], 2, "missing-folder"),
    ],
)
def test_what_cannot_be_done_says_why(tmp_path, options, status, text):
    done = run("--folder", tmp_path / "a", *options)
    assert done.exit_code == status and text in said(done)


def test_an_empty_folder_is_no_source(tmp_path):
    Store(str(tmp_path / "empty"))
    done = run("--folder", tmp_path / "a", "--copy-from", tmp_path / "empty")
    assert done.exit_code == 1 and "no network key" in said(done)


def test_a_damaged_key_is_not_silently_replaced(tmp_path):
    run("--folder", tmp_path / "a")
    for path in (tmp_path / "a").glob("network.*"):
        path.write_bytes(path.read_bytes()[:-1])
    done = run("--folder", tmp_path / "a")
    assert done.exit_code == 1 and "wrong length" in said(done) and "--force" in said(done)
    assert run("--folder", tmp_path / "a", "--force").exit_code == 0


def test_a_folder_that_others_may_read_is_refused(tmp_path):
    folder = tmp_path / "wide"
    folder.mkdir(mode=0o755)
    done = run("--folder", folder)
    assert done.exit_code == 1 and "mode 700" in said(done)
    assert list(folder.iterdir()) == []


def operator_of(folder: Path) -> bytes | None:
    return Store(str(folder)).read(OPERATOR)


def test_the_first_key_of_a_mesh_comes_with_an_operator_key_whose_seed_stays_out_of_the_nodes_folder(tmp_path):
    done = run("--folder", tmp_path / "a")
    beside = tmp_path / "a.operator"
    assert str(beside) in said(done).replace(" ", "") or "a.operator" in said(done)
    assert not list((tmp_path / "a").glob("opseed*"))
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in beside.iterdir()) and beside.stat().st_mode & 0o777 == 0o700
    operator = Operator(beside)
    assert operator.store.read(OPERATOR) == operator_of(tmp_path / "a") and len(operator_of(tmp_path / "a")) == 32
    assert operator.membership.encode() == membership_of(tmp_path / "a").encode()
    change = operator.make(REVOKE, [b"i" * 32])
    assert (change.serial, change.epoch, change.revoked) == (1, 1, b"i" * 16)
    assert crypto_run(Verify(operator_of(tmp_path / "a"), change.signature, change.signed_text()))


def test_a_copied_folder_obeys_the_same_operator_and_knows_the_last_change(tmp_path):
    first, second, third = (tmp_path / name for name in "abc")
    run("--folder", first)
    change = Operator(tmp_path / "a.operator").make(ROTATE)
    Store(str(first)).write(OPERATOR, operator_of(first) + change.text)
    assert run("--folder", second, "--copy-from", first).exit_code == 0
    assert operator_of(second) == operator_of(first) and not (tmp_path / "b.operator").exists()
    Store(str(first)).write(OPERATOR, operator_of(first)[:32])
    assert run("--folder", second, "--copy-from", first).exit_code == 0
    assert operator_of(second)[32:] == change.text  # the later one stays
    run("--folder", third)
    Store(str(third)).write(NETWORK, membership_of(first).encode())
    refused = run("--folder", third, "--copy-from", first)
    assert refused.exit_code == 1 and "another operator key" in said(refused)
    assert run("--folder", third, "--copy-from", first, "--force").exit_code == 0
    assert operator_of(third)[:32] == operator_of(first)[:32]


def test_a_mesh_without_an_operator_key_loads_and_gets_one_when_asked(tmp_path):
    save(Store(str(tmp_path / "a")), Membership(new_network_key()))
    assert operator_of(tmp_path / "a") is None
    before = membership_of(tmp_path / "a").encode()
    assert run("--folder", tmp_path / "a").exit_code == 1
    assert run("--folder", tmp_path / "a", "--operator", tmp_path / "op").exit_code == 0
    assert membership_of(tmp_path / "a").encode() == before == membership_of(tmp_path / "op").encode()
    assert len(operator_of(tmp_path / "a")) == 32


def test_an_operator_key_is_not_overwritten(tmp_path):
    run("--folder", tmp_path / "a")
    seed = Store(str(tmp_path / "a.operator")).read(OPERATOR_SEED)
    refused = run("--folder", tmp_path / "b", "--operator", tmp_path / "a.operator")
    assert refused.exit_code == 1 and "--operator" in said(refused) and operator_of(tmp_path / "b") is None
    assert Store(str(tmp_path / "b")).read(NETWORK) is None
    assert Store(str(tmp_path / "a.operator")).read(OPERATOR_SEED) == seed


def test_the_list_of_the_revoked_grows_to_16_and_then_loses_the_oldest(tmp_path):
    run("--folder", tmp_path / "a")
    operator = Operator(tmp_path / "a.operator")
    for n in range(1, 20):
        operator.last = operator.make(REVOKE, [bytes((n,)) * 32])
    assert operator.last.serial == 19
    assert operator.last.revoked == b"".join(bytes((n,)) * 16 for n in range(4, 20))


def test_commands_name_what_is_missing(tmp_path):
    run("--folder", tmp_path / "a")
    for arguments, status, word in (
        (["rekey", "--folder", tmp_path / "a"], 1, "a.operator"),
        (["rekey", "--folder", tmp_path / "nowhere"], 1, "no folder"),
        (["revoke", "--folder", tmp_path / "a.operator"], 2, "--again"),
        (["revoke", "--folder", tmp_path / "a.operator", "--again", "1f8c03d2"], 2, "--again"),
        (["rekey", "--folder", tmp_path / "a.operator", "--again"], 1, "No change"),
    ):
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == status and word in said(done), said(done)


def test_the_public_update_key_is_copied_with_the_mesh_and_not_replaced_without_force(tmp_path):
    run("--folder", tmp_path / "a")
    Store(str(tmp_path / "a")).write(UPDATE_KEY, b"k" * 32)
    assert run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a").exit_code == 0
    assert Store(str(tmp_path / "b")).read(UPDATE_KEY) == b"k" * 32
    Store(str(tmp_path / "b")).write(UPDATE_KEY, b"o" * 32)
    refused = run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a")
    assert refused.exit_code == 1 and "update key" in said(refused)
    assert run("--folder", tmp_path / "b", "--copy-from", tmp_path / "a", "--force").exit_code == 0
    assert Store(str(tmp_path / "b")).read(UPDATE_KEY) == b"k" * 32
