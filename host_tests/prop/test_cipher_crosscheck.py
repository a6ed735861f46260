"""The ciphers and hashes of every back end against `cryptography` and `hashlib`, on random inputs (cipher_cases.py).

PICOSWARM_LONG=1 takes 10^5 cases of every kernel, and fewer where a runtime is slow at it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.poly1305 import Poly1305
from picoswarm_tools import mpy, qemu, runtimes
from prop import cipher_cases

LONG = os.environ.get("PICOSWARM_LONG") == "1"
SCRIPT = Path(__file__).with_name("cipher_cases.py")


def reference(case: cipher_cases.Case) -> dict[str, bytes]:
    """What each kernel must give."""
    block = case.counter.to_bytes(4, "little") + case.nonce
    return {
        "ChaCha20": Cipher(ChaCha20(case.key, block), None).encryptor().update(case.text),
        "poly1305": Poly1305.generate_tag(case.key, case.text),
        "Aead": ChaCha20Poly1305(case.key).encrypt(case.nonce, case.text, case.ad),
        "equal": b"\x01\x00",
        "sha512": hashlib.sha512(case.text).digest(),
        "Hmac": hmac.digest(case.text, case.ad, "sha256")
        + hmac.digest(case.key[case.cut & 15 :][:16], case.ad + case.text, "sha256"),
        "hkdf": HKDF(SHA256(), case.size, case.nonce[: case.cut], case.ad).derive(case.text) if case.size else b"",
    }


def check(output: str, cases: int, kernels: set[str]) -> None:
    """`output` of the device for cases 0 to `cases` is what the reference gives, line by line."""
    lines = output.splitlines()
    assert lines and lines[-1] == "done", output[-2000:]
    expected = [line for line in cipher_cases.digests(reference, 0, cases) if line.split()[0] in kernels]
    assert lines[:-1] == expected


def wanted(module: str) -> set[str]:
    return set(cipher_cases.KERNELS[module.split("_")[0]])


@pytest.mark.parametrize(
    ("bits", "module", "cases"),
    [
        (32, "cipher_viper", 100_000 if LONG else 400),
        (32, "aead_viper", 100_000 if LONG else 400),
        (32, "sha512_viper", 100_000 if LONG else 400),
        (32, "crypto", 100_000 if LONG else 400),
        (32, "cipher_int", 20_000 if LONG else 100),
        (32, "aead_int", 20_000 if LONG else 100),
        (32, "sha512_int", 20_000 if LONG else 100),
    ]
    # `make test-long` builds the 64-bit one
    + [(64, module, 100_000) for module in ("cipher_int", "aead_int", "sha512_int")] * LONG,
)
def test_back_end_on_micropython_agrees_with_cryptography(tmp_path, bits, module, cases):
    arch = "x86" if bits == 32 else "x64"
    mpy.compile_beside([SCRIPT], tmp_path, arch)
    env = {"MICROPYPATH": f"{mpy.compile_library(arch).resolve()}:{tmp_path}:.frozen"}
    done = runtimes.run_micropython(["-m", SCRIPT.stem, module, "0", str(cases)], 256, env, timeout=1800, bits=bits)
    check(done.stdout, cases, wanted(module))


@pytest.mark.parametrize("board", ["m0", "m3"])
@pytest.mark.parametrize("module", ["cipher_viper", "aead_viper", "sha512_viper"])
def test_machine_code_on_an_emulated_board_agrees_with_cryptography(board, module):
    cases = 10_000 if LONG else 100
    files = qemu.library_files(board)
    files["cipher_cases.mpy"] = mpy.compile_program(SCRIPT, qemu.arch(board))
    output = qemu.run(board, files, f"import cipher_cases\ncipher_cases.report({module!r}, 0, {cases})\n", 1800)
    check(output, cases, wanted(module))


@pytest.mark.parametrize("module", ["cipher_viper", "aead_viper"])
def test_armv6m_code_runs_on_a_cortex_m3_alike(module):
    # What a Pico 2 W loads: the armv6m files, since MicroPython 1.25 mis-encodes long branches for armv7m.
    cases = 2_000 if LONG else 100
    files = qemu.library_files("m0")
    files["cipher_cases.mpy"] = mpy.compile_program(SCRIPT, "armv6m")
    output = qemu.run("m3", files, f"import cipher_cases\ncipher_cases.report({module!r}, 0, {cases})\n", 1800)
    check(output, cases, wanted(module))


@pytest.mark.parametrize("module", ["kernels_host", "cipher_int", "aead_int", "sha512_int", "crypto"])
def test_back_end_on_cpython_agrees_with_cryptography(module, capsys):
    cases = 100_000 if LONG else 300
    cipher_cases.report(module, 0, cases)
    check(capsys.readouterr().out, cases, wanted(module))
