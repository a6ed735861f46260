"""Inputs for the curve kernels, half of them at the edges, and what a back end makes of them: runs on MicroPython and on
CPython.

    micropython curve_cases.py curve_viper 0 1000

prints, for each twenty cases and each kernel of the module, one SHA-256 over all results. The inputs of case `i` follow
from `i` alone, so that test_curve_crosscheck.py works out the same results with other people's code.
"""

import sys
from hashlib import sha256

BUNCH = 20
P = 2**255 - 19

# Whole elements at which a reduction, a carry or a comparison goes wrong first.
_EDGES = [0, 1, 2, 3, 9, 18, 19, 20, 608, P // 2, P // 2 + 1, 2**255 - 1, 2**256 - 1, 2**256 - 38, 2**254, 2**254 - 1]
_EDGES += [P - k for k in range(1, 21)] + [P + k for k in range(19)]


def _bytes(number):
    return number.to_bytes(32, "little")


def _digest(i, name):
    return sha256(f"{i} {name}".encode()).digest()


def element(i, name):
    """32 bytes of case `i`: random, an edge of the field, a power of two, or limbs of 13 bits at their own edges."""
    random = _digest(i, name)
    kind = random[0] & 7
    if kind == 0:
        return _bytes(_EDGES[(random[1] | random[2] << 8) % len(_EDGES)])
    if kind == 1:
        power, offset = random[1], random[2] % 9 - 4
        return _bytes(max(2**power + offset, 0))
    if kind == 2:
        number = 0
        for at in range(20):
            number |= (0, 1, 4095, 4096, 4097, 8190, 8191, random[2])[random[3 + at] & 7] << 13 * at
        return _bytes(number & (2**256 - 1 if random[1] & 1 else 2**255 - 1))
    return _digest(i, name + " random")


class Case:
    """The inputs of case `i`."""

    def __init__(self, i):
        self.private = element(i, "private")
        self.u = element(i, "u")
        self.y = element(i, "y")
        choices = _digest(i, "choices")
        self.message = _digest(i, "message") * (choices[0] % 9)
        self.message = self.message[: len(self.message) - choices[1] % 32]
        self.flip = choices[2] | choices[3] << 8  # the bit that is turned in a signature


def _run(job):
    while job.step():
        pass
    return job.result


def _x25519(kernels, case):
    return _run(kernels.X25519(case.private, case.u))


def _x25519_base(kernels, case):
    return _run(kernels.X25519(case.private))


def _u_from_id(kernels, case):
    return kernels.u_from_id(case.y)


def _id_from_u(kernels, case):
    return kernels.id_from_u(case.u)


def _sign(kernels, case):
    public = _run(kernels.PublicKey(case.private))
    return public + _run(kernels.Sign(case.private, public, case.message))


def _verify(kernels, case):
    signed = _sign(kernels, case)
    public, signature = signed[:32], signed[32:]
    turned = bytearray(signature)
    turned[case.flip >> 3 & 63] ^= 1 << (case.flip & 7)
    answers = [kernels.Verify(public, each, case.message) for each in (signature, bytes(turned))]
    # An arbitrary key: half of them are no points.
    answers.append(kernels.Verify(case.y, signature, case.message))
    return bytes([_run(answer) for answer in answers])


_CURVE = {"X25519": _x25519, "X25519 of the base point": _x25519_base, "u_from_id": _u_from_id}
_SIGNATURE = {"Sign": _sign, "Verify": _verify}
# By the first word of a module's name.
KERNELS = {
    "curve": _CURVE,
    "keymap": {"id_from_u": _id_from_u},
    "ed25519": _SIGNATURE,
    "kernels": dict(list(_CURVE.items()) + list(_SIGNATURE.items())),
}


def digests(results, first, last):
    """For each bunch of cases, one line: kernel, first case, SHA-256 of what `results(case)` gave, a dict by kernel."""
    for start in range(first, last, BUNCH):
        sums = {}
        for i in range(start, min(start + BUNCH, last)):
            for name, result in results(Case(i)).items():
                # Chained by hand: a hash object of stock firmware cannot be asked twice.
                sums[name] = sha256(sums.get(name, b"") + (b"refused" if result is None else result)).digest()
        for name in sorted(sums):
            yield f"{name}, {start}: {int.from_bytes(sums[name], 'big'):x}"


def report(module, first, last):
    """Print the digests of the library's module `module` for cases `first` to `last`."""
    __import__("picoswarm.crypto")  # what a node has long loaded, and too deep for a board inside a function
    kernels = __import__("picoswarm." + module, None, None, (module,))
    present = KERNELS[module.split("_")[0]]

    def results(case):
        return {name: function(kernels, case) for name, function in present.items()}

    for line in digests(results, first, last):
        print(line)
    print("done")


if __name__ == "__main__":
    report(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
