"""The field engine of the curve kernels at the bounds that it promises, limb by limb, against plain integers."""

from picoswarm.compat import KERNELS, sha256
from support import Skip

if KERNELS != "viper":
    raise Skip("the viper back end needs 32-bit words; this runtime takes " + KERNELS)

from picoswarm.field_viper import CHAIN, INVERSE, compute, pack, repeat, unpack  # noqa: E402

RUNTIMES = ("micropython", "qemu")

_P = 2**255 - 19
_workspace = bytearray(80 * 8)


def _put(letter, limbs):
    at = 80 * (ord(letter) - 65)
    for limb in limbs:
        _workspace[at : at + 4] = (limb & 0xFFFFFFFF).to_bytes(4, "little")
        at += 4


def _limbs(letter):
    at = 80 * (ord(letter) - 65)
    words = [int.from_bytes(_workspace[i : i + 4], "little") for i in range(at, at + 80, 4)]
    return [word - 2**32 if word & 2**31 else word for word in words]


def _value(limbs):
    return sum([limb << 13 * i for i, limb in enumerate(limbs)]) % _P


def _patterns(factor):
    """Limbs of up to `factor` times those of a carried element: all at a bound, in every order of signs that lines up."""
    most = 4096 * factor
    yield [most] * 20
    yield [-most] * 20
    yield [most, -most] * 10
    yield [most] * 10 + [-most] * 10
    yield [0] * 19 + [most]
    yield [most - 1] * 19 + [-most]
    yield [0] * 20
    for seed in range(2):
        random = sha256(bytes((seed, factor))).digest()
        yield [most if bit & 1 else -most for bit in random[:20]]


def _check_carried(letter):
    for i, limb in enumerate(_limbs(letter)):
        assert -4096 - 4 * (i == 2) <= limb <= 4095 + 4 * (i == 2), (i, limb)


def test_products_at_the_bounds_of_their_operands_do_not_overflow():
    for m, n in ((1, 1), (1, 2), (2, 2), (2, 3), (3, 2), (1, 6)):
        for a in _patterns(m):
            for b in _patterns(n):
                _put("A", a)
                _put("B", b)
                compute(b"*CAB;", _workspace)
                _check_carried("C")
                assert _value(_limbs("C")) == _value(a) * _value(b) % _P, (m, n, a, b)


def test_squares_at_the_bounds_do_not_overflow():
    for m in (1, 2):
        for a in _patterns(m):
            _put("A", a)
            compute(b"^CA ;", _workspace)
            _check_carried("C")
            assert _value(_limbs("C")) == _value(a) ** 2 % _P, (m, a)


def test_small_multiples_are_carried():
    for a in _patterns(2):
        for b in _patterns(2):
            _put("A", a)
            _put("B", b)
            for program, k in ((b"aCAB;", 121665), (b"9CAB;", 9), (b"0CAB;", 0)):
                compute(program, _workspace)
                _check_carried("C")
                assert _value(_limbs("C")) == (_value(a) + k * _value(b)) % _P, (a, b)


def test_operations_are_done_one_after_another():
    a, b = [list(_patterns(1))[i] for i in (2, 7)]
    _put("A", a)
    _put("B", b)
    compute(b"+CAB*AAB*BBA^CC ^DD ;", _workspace)
    x, y = _value(a), _value(b)
    expected = [x * y, x * y * y, (x + y) ** 2, (x - y) ** 2]
    assert [_value(_limbs(letter)) for letter in "ABCD"] == [value % _P for value in expected]


def test_a_product_is_done_as_often_as_the_byte_before_it_says():
    for n in (1, 2, 99):
        _put("A", list(_patterns(1))[7])
        x = _value(_limbs("A"))
        compute(b"0BAA" + bytes((128 + n,)) + b"^BB *CBA;", _workspace)
        assert _value(_limbs("C")) == x * pow(x, 2**n, _P) % _P, n


def test_a_selection_follows_two_bits():
    a, b = [list(_patterns(1))[i] for i in (0, 1)]
    _put("A", a)
    _put("B", b)
    bits = b"\x00\x06" + bytes(30)  # bits 9 and 10
    for i in range(14, 0, -1):
        repeat(b"?CAB;", _workspace, bits, i, 1)
        assert _limbs("C") == (b if i in (9, 11) else a), i


def test_elements_are_packed_below_p():
    for number in (0, 1, 18, 19, _P - 1, _P, _P + 1, 2**255 - 1, 2**254):
        unpack(_workspace, number.to_bytes(32, "little"))
        out = bytearray(32)
        assert (pack(out, _workspace) == 0) == (number % _P == 0), number
        assert int.from_bytes(out, "little") == number % _P, number
    for factor in (1, 2, 3, 4):
        for a in _patterns(factor):
            _put("A", a)
            out = bytearray(32)
            pack(out, _workspace)
            assert int.from_bytes(out, "little") == _value(a), a
            assert _value(_limbs("A")) == _value(a), a


def test_powers_are_those_of_the_exponents():
    for number in (2, _P - 1, 9):
        for end, power in ((INVERSE, _P - 2), (b";", 2**250 - 1)):
            unpack(_workspace, number.to_bytes(32, "little"))
            compute(CHAIN, _workspace)
            compute(end, _workspace)
            assert _value(_limbs("C")) == pow(number, power, _P), number
