"""X25519, Ed25519 and the key map of every back end against `cryptography` and plain arithmetic (curve_cases.py).

PICOSWARM_LONG=1 takes 10^5 cases of every kernel, and fewer where a runtime is slow at it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from picoswarm_tools import mpy, qemu, runtimes
from prop import curve_cases
from prop.curve_cases import P

LONG = os.environ.get("PICOSWARM_LONG") == "1"
SCRIPT = Path(__file__).with_name("curve_cases.py")
CURVE = {"X25519", "X25519 of the base point", "u_from_id"}
KEYMAP = {"u_from_id", "id_from_u"}
ED25519 = {"Sign", "Verify"}


def _exchange(private: X25519PrivateKey, u: bytes) -> bytes | None:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(u))
    except ValueError:  # all zeros
        return None


def _quotient(a: int, b: int) -> bytes | None:
    return (a * pow(b, -1, P) % P).to_bytes(32, "little") if b % P else None


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _of_ed25519(case: curve_cases.Case) -> dict[str, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(case.private)
    public, signature = key.public_key().public_bytes_raw(), key.sign(case.message)
    turned = bytearray(signature)
    turned[case.flip >> 3 & 63] ^= 1 << (case.flip & 7)
    answers = [_verifies(public, each, case.message) for each in (signature, bytes(turned))]
    answers.append(_verifies(case.y, signature, case.message))
    return {"Sign": public + signature, "Verify": bytes(answers)}


def _of_curve(case: curve_cases.Case) -> dict[str, bytes | None]:
    private = X25519PrivateKey.from_private_bytes(case.private)
    u, y = int.from_bytes(case.u, "little"), int.from_bytes(case.y, "little")
    return {
        "X25519": _exchange(private, case.u),
        "X25519 of the base point": private.public_key().public_bytes_raw(),
        "u_from_id": _quotient(1 + y, 1 - y) if y < P else None,
        "id_from_u": _quotient(u - 1, u + 1) if u < P else None,
    }


def check(output: str, cases: int, kernels: set[str]) -> None:
    """`output` of the device for cases 0 to `cases` is what the reference gives, line by line."""
    lines = output.splitlines()
    assert lines and lines[-1] == "done", output[-2000:]

    def reference(case):
        results = (_of_curve(case) if kernels & (CURVE | KEYMAP) else {}) | (_of_ed25519(case) if kernels & ED25519 else {})
        return {name: result for name, result in results.items() if name in kernels}

    assert lines[:-1] == list(curve_cases.digests(reference, 0, cases))


def wanted(module: str) -> set[str]:
    return set(curve_cases.KERNELS[module.split("_")[0]])


@pytest.mark.parametrize(
    ("bits", "module", "cases"),
    [
        (32, "curve_viper", 100_000 if LONG else 200),
        (32, "keymap", 10_000 if LONG else 60),
        (32, "ed25519", 100_000 if LONG else 60),
        (32, "curve_int", 1_000 if LONG else 20),
        (32, "ed25519_int", 1_000 if LONG else 20),
    ]
    + [(64, "curve_int", 10_000), (64, "ed25519_int", 10_000)] * LONG,  # `make test-long` builds the 64-bit one
)
def test_back_end_on_micropython_agrees_with_cryptography(tmp_path, bits, module, cases):
    arch = "x86" if bits == 32 else "x64"
    mpy.compile_beside([SCRIPT], tmp_path, arch)
    env = {"MICROPYPATH": f"{mpy.compile_library(arch).resolve()}:{tmp_path}:.frozen"}
    done = runtimes.run_micropython(["-m", SCRIPT.stem, module, "0", str(cases)], 256, env, timeout=7200, bits=bits)
    check(done.stdout, cases, wanted(module))


@pytest.mark.parametrize("board", ["m0", "m3"])
@pytest.mark.parametrize("module", ["curve_viper", "ed25519"])
def test_machine_code_on_an_emulated_board_agrees_with_cryptography(board, module):
    cases = 1_000 if LONG else 20
    files = qemu.library_files(board)
    files["curve_cases.mpy"] = mpy.compile_program(SCRIPT, qemu.arch(board))
    output = qemu.run(board, files, f"import curve_cases\ncurve_cases.report({module!r}, 0, {cases})\n", 1800)
    check(output, cases, wanted(module))


def test_armv6m_code_runs_on_a_cortex_m3_alike():
    # What a Pico 2 W loads: the armv6m files, since MicroPython 1.25 mis-encodes long branches for armv7m.
    cases = 1_000 if LONG else 20
    files = qemu.library_files("m0")
    files["curve_cases.mpy"] = mpy.compile_program(SCRIPT, "armv6m")
    output = qemu.run("m3", files, f"import curve_cases\ncurve_cases.report('curve_viper', 0, {cases})\n", 1800)
    check(output, cases, wanted("curve_viper"))


@pytest.mark.parametrize("module", ["kernels_host", "curve_int", "keymap", "ed25519_int"])
def test_back_end_on_cpython_agrees_with_cryptography(module, capsys):
    cases = 100_000 if LONG else 100
    curve_cases.report(module, 0, cases)
    check(capsys.readouterr().out, cases, wanted(module))
