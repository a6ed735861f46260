"""Random inputs for the ciphers and hashes, and what a back end makes of them: runs on MicroPython and on CPython.

    micropython cipher_cases.py aead_viper 0 1000

prints, for each hundred cases and each kernel of the module, one SHA-256 over all results. The inputs of case `i` follow
from `i` alone, so that test_cipher_crosscheck.py works out the same results with other people's code.
"""

import sys
from binascii import hexlify
from hashlib import sha256

BUNCH = 100


def material(i, name, n):
    """`n` bytes of case `i`. One piece of 32 in four is all ones and one all zeros, so that carries run far."""
    out = b""
    piece = sha256(f"{i} {name}".encode()).digest()
    while len(out) < n:
        out += (piece, piece, b"\xff" * 32, bytes(32))[piece[0] & 3]
        piece = sha256(piece).digest()
    return out[:n]


class Case:
    """The inputs of case `i`."""

    def __init__(self, i):
        choices = sha256(f"{i} choices".encode()).digest()
        self.key = material(i, "key", 32)
        self.nonce = material(i, "nonce", 12)
        self.before = choices[0] & 7  # bytes before the text in its buffer
        self.nonce_at = choices[1] & 7
        self.counter = (choices[2] | choices[3] << 8 | choices[4] << 16) << (choices[5] & 5)
        size = choices[6] | choices[7] << 8
        self.text = material(i, "text", size % 1101 if i & 7 == 0 else size % 200)
        self.ad = material(i, "ad", choices[8] % 50)
        self.flip = choices[9] | choices[10] << 8  # the bit that is turned in a sealed text
        self.cut = choices[11] % (len(self.ad) + 1)
        self.size = choices[12] % 200  # of derived keys


def _chacha20(kernels, case):
    end = case.before + len(case.text)
    buf = bytearray(case.before) + case.text + b"\x77" * 5
    nonce = bytes(case.nonce_at) + case.nonce + b"\x77"
    kernels.ChaCha20(case.key).xor(nonce, case.nonce_at, case.counter, buf, case.before, end)
    assert buf[: case.before] == bytes(case.before) and buf[end:] == b"\x77" * 5
    return buf[case.before : end]


def _poly1305(kernels, case):
    return kernels.poly1305(case.key, memoryview(bytes(case.before) + case.text)[case.before :])


def _aead(kernels, case):
    aead, start, end = kernels.Aead(case.key), case.before, case.before + len(case.text)
    buf = bytearray(start) + case.text + bytes(16) + b"\x77" * 5
    assert aead.seal(case.nonce, case.ad, buf, start, end) == end + 16
    assert buf[:start] == bytes(start) and buf[end + 16 :] == b"\x77" * 5
    sealed = buf[start : end + 16]
    at = case.flip % (8 * len(sealed))
    buf[start + at // 8] ^= 1 << at % 8
    assert aead.open(case.nonce, case.ad, buf, start, end + 16) == -1
    buf[start + at // 8] ^= 1 << at % 8
    assert aead.open(case.nonce, case.ad, buf, start, end + 16) == end
    assert buf[start:end] == case.text
    return sealed


def _equal(kernels, case):
    a = case.text + case.key
    b = bytearray(case.nonce_at) + a
    same = kernels.equal(a, memoryview(b)[case.nonce_at :])
    at = case.flip % (8 * len(a))
    b[case.nonce_at + at // 8] ^= 1 << at % 8
    return bytes((same, kernels.equal(a, memoryview(b)[case.nonce_at :])))


def _sha512(kernels, case):
    return kernels.sha512(memoryview(bytes(case.before) + case.text)[case.before :])


def _hmac(kernels, case):
    # Keys of all sizes around a block: the text is the key, and a message of the other kind.
    mac = kernels.Hmac(case.text)
    mac.prefix = case.ad[: case.cut]
    tag = mac.digest(case.ad[case.cut :])
    buf = bytearray(case.before) + case.text + b"\x77" * 40
    end = case.before + len(case.text)
    mac.rekey(case.key, case.cut & 15, 16)
    mac.prefix = case.ad
    mac.sign(buf, case.before, end, end + 1)
    assert buf[:end] == bytes(case.before) + case.text and buf[end] == 0x77 and buf[end + 33 :] == b"\x77" * 7
    at = case.flip % 256
    assert mac.check(buf, case.before, end, end + 1)
    buf[end + 1 + at // 8] ^= 1 << at % 8
    assert not mac.check(buf, case.before, end, end + 1)
    buf[end + 1 + at // 8] ^= 1 << at % 8
    return tag + buf[end + 1 : end + 33]


def _hkdf(kernels, case):
    return kernels.hkdf(case.text, case.ad, case.size, case.nonce[: case.cut])


# By the first word of a module's name.
KERNELS = {
    "cipher": {"ChaCha20": _chacha20, "Hmac": _hmac},
    "aead": {"poly1305": _poly1305, "Aead": _aead, "equal": _equal},
    "sha512": {"sha512": _sha512},
    "crypto": {"hkdf": _hkdf},
}
KERNELS["kernels"] = {name: group[name] for word, group in list(KERNELS.items()) if word != "crypto" for name in group}


def digests(results, first, last):
    """For each bunch of cases, one line: kernel, first case, SHA-256 of what `results(case)` gave, a dict by kernel."""
    for start in range(first, last, BUNCH):
        sums = {}
        for i in range(start, min(start + BUNCH, last)):
            for name, result in results(Case(i)).items():
                # Chained by hand: a hash object of stock firmware cannot be asked twice.
                sums[name] = sha256(sums.get(name, b"") + result).digest()
        for name in sorted(sums):
            yield f"{name} {start} {hexlify(sums[name]).decode()}"


def report(module, first, last):
    """Print the digests of the library's module `module` for cases `first` to `last`."""
    kernels = __import__("picoswarm." + module, None, None, (module,))
    present = KERNELS[module.split("_")[0]]

    def results(case):
        return {name: function(kernels, case) for name, function in present.items()}

    for line in digests(results, first, last):
        print(line)
    print("done")


if __name__ == "__main__":
    report(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
