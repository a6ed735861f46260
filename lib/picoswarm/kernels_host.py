"""The kernels on CPython: thin adapters over the `cryptography` package, with the interface and the refusals of the
device back ends (see crypto.py)."""

from functools import lru_cache
from hashlib import sha256 as _sha256
from hashlib import sha512 as _sha512
from hmac import compare_digest as equal

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20 as _ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

_KEY = 32
_NONCE = 12
_TAG = 16
_BLOCK = 64  # of SHA-256
_DIGEST = 32
_IDS = 1 << 14  # whose X25519 keys are remembered: to work one out costs half a key agreement
_COUNTER_END = 1 << 30  # blocks under one nonce: the device keeps the counter in a small int
_P = 2**255 - 19
_INNER = bytes(x ^ 0x36 for x in range(256))
_OUTER = bytes(x ^ 0x5C for x in range(256))


class ChaCha20:
    """ChaCha20 (RFC 8439 section 2.4) under one 32-byte key."""

    def __init__(self, key):
        if len(key) != _KEY:
            raise ValueError("chacha20: key")
        self._stream = Cipher(_ChaCha20(bytes(key), bytes(16)), None).encryptor()

    def xor(self, nonce, at, counter, buf, start, end):
        """XOR buf[start:end] in place with the key stream that begins at block `counter`; the 12 nonce bytes are
        nonce[at:at+12]. Raises ValueError for a range outside its buffer or a counter that would pass 2**30."""
        if at < 0 or at + _NONCE > len(nonce) or start < 0 or end < start or end > len(buf):
            raise ValueError("chacha20: range")
        if counter < 0 or counter + (end - start + 63 >> 6) > _COUNTER_END:
            raise ValueError("chacha20: range")
        stream = self._stream
        stream.reset_nonce(counter.to_bytes(4, "little") + nonce[at : at + _NONCE])
        buf[start:end] = stream.update(buf[start:end])


class Aead:
    """ChaCha20-Poly1305 (RFC 8439 section 2.8) in place, under one 32-byte key."""

    def __init__(self, key):
        if len(key) != _KEY:
            raise ValueError("aead: key")
        self._aead = ChaCha20Poly1305(bytes(key))

    def seal(self, nonce, ad, buf, start, end):
        """Encrypt buf[start:end] and write the tag to buf[end:end+16]; `ad` is authenticated with it. Returns end + 16.
        Raises ValueError for a range outside its buffer or a nonce that is not 12 bytes."""
        if len(nonce) != _NONCE or start < 0 or end < start or end + _TAG > len(buf):
            raise ValueError("aead: range")
        buf[start : end + _TAG] = self._aead.encrypt(bytes(nonce), bytes(buf[start:end]), ad)
        return end + _TAG

    def open(self, nonce, ad, buf, start, end):
        """Decrypt what `seal` left in buf[start:end], tag included. Returns the end of the plaintext, end - 16, or -1
        when the tag is wrong: the buffer is then as it was. Raises ValueError as `seal` does."""
        if len(nonce) != _NONCE or start < 0 or end - _TAG < start or end > len(buf):
            raise ValueError("aead: range")
        try:
            plain = self._aead.decrypt(bytes(nonce), bytes(buf[start:end]), ad)
        except InvalidTag:
            return -1
        buf[start : end - _TAG] = plain
        return end - _TAG


class Hmac:
    """HMAC-SHA256 (RFC 2104) under one key of any size, for one message after another: `prefix` (bytes), and what is named
    of a buffer. The tag, of `size` bytes (1 to 32), stands in the same buffer."""

    def __init__(self, key, size=_DIGEST, prefix=b""):
        self.size = size
        self.prefix = prefix
        if len(key) > _BLOCK:
            key = _sha256(key).digest()
        self.rekey(key, 0, len(key))

    def rekey(self, buf, at, n):
        """Take the key buf[at:at+n] instead, 0 to 64 bytes. Raises ValueError for another size or a range outside `buf`."""
        if at < 0 or not 0 <= n <= _BLOCK or at + n > len(buf):
            raise ValueError("hmac: key")
        key = bytes(buf[at : at + n]).ljust(_BLOCK, b"\0")
        self._inner = key.translate(_INNER)  # to hash a block again costs less than a copy of what has hashed it
        self._outer = key.translate(_OUTER)

    def sign(self, buf, start, end, at):
        """Write the tag of prefix || buf[start:end] to buf[at:at+size]. Raises ValueError for a range outside the buffer."""
        buf[at : at + self.size] = self._tag(buf, start, end, at)

    def check(self, buf, start, end, at):
        """Whether buf[at:at+size] is what `sign` would write, in constant time. Raises as `sign` does."""
        return equal(self._tag(buf, start, end, at), bytes(buf[at : at + self.size]))

    def _tag(self, buf, start, end, at):
        n = self.size
        if start < 0 or end < start or end > len(buf) or at < 0 or not 0 < n <= _DIGEST or at + n > len(buf):
            raise ValueError("hmac: range")
        return self.digest(memoryview(buf)[start:end])[:n]

    def digest(self, data):
        """The whole tag of prefix || data (any buffer), 32 bytes."""
        inner = _sha256(b"".join((self._inner, self.prefix, data))).digest()
        return _sha256(self._outer + inner).digest()


def poly1305(key, data):
    """The 16-byte Poly1305 tag of `data` under a 32-byte one-time key (RFC 8439 section 2.5)."""
    if len(key) != _KEY:
        raise ValueError("poly1305: key")
    return Poly1305.generate_tag(bytes(key), data)


def sha512(data):
    """The 64-byte SHA-512 digest of `data`."""
    return _sha512(data).digest()


def agreed(key, u32):
    """The shared secret of a loaded key and a public one, 32 bytes; None for one of zeros."""
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(u32))
    except ValueError:
        return None


class KeyAgreements:
    """X25519 of private keys that are given as bytes. To load one costs as much as to use it, so some stay loaded: the `own`
    ones used last, and `begun` ones whose public key was asked for. Those are a handshake's ephemeral keys, which have two
    uses more and are forgotten with the last: who reads the memory later shall not find them."""

    def __init__(self, own, begun):
        self._own = {}
        self._begun = {}  # private key: it loaded, uses that are left
        self._most = own, begun

    def public(self, private32):
        """The public key, 32 bytes."""
        key = X25519PrivateKey.from_private_bytes(private32)
        self._keep(self._begun, private32, (key, 2), self._most[1])
        return key.public_key().public_bytes_raw()

    def exchange(self, private32, u32):
        """The shared secret, 32 bytes; None for one of zeros."""
        key, left = self._begun.pop(private32, (None, 0))
        if left > 1:
            self._begun[private32] = key, left - 1
        elif not left:
            key = self._own.pop(private32, None) or X25519PrivateKey.from_private_bytes(private32)
            self._keep(self._own, private32, key, self._most[0])
        return agreed(key, u32)

    def _keep(self, keys, private32, key, most):
        keys[private32] = key
        if len(keys) > most:
            keys.pop(next(iter(keys)), None)  # another thread may have been faster


agreements = KeyAgreements(4, 32)


class X25519:
    """RFC 7748 X25519 as a job of one step; `u32=None` means the base point. An all-zero result is refused: None."""

    def __init__(self, private32, u32=None):
        if len(private32) != 32 or (u32 is not None and len(u32) != 32):
            raise ValueError("x25519: size")
        self._private = bytes(private32)
        self._u = None if u32 is None else bytes(u32)
        self.result = None

    def step(self):
        """Do the work; False: nothing is left."""
        if self._u is None:
            self.result = agreements.public(self._private)
        else:
            self.result = agreements.exchange(self._private, self._u)
        return False


def u_from_id(id32):
    """The X25519 key of an Ed25519 key, u = (1+y)/(1-y); None when the top bit is set, y >= p or y = 1."""
    if len(id32) != 32:
        raise ValueError("u_from_id: size")
    return _u_from_id(bytes(id32))


@lru_cache(_IDS)
def _u_from_id(id32):
    y = int.from_bytes(id32, "little")
    if y >= _P or y == 1:
        return None
    return ((1 + y) * pow(1 - y, -1, _P) % _P).to_bytes(32, "little")


class PublicKey:
    """The Ed25519 public key of a seed as a job of one step (see ed25519.py)."""

    def __init__(self, seed):
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.result = None

    def step(self):
        """Do the work; False: nothing is left."""
        self.result = self._key.public_key().public_bytes_raw()
        return False


class Sign:
    """The Ed25519 signature of a message as a job of one step. Raises ValueError for a public key that is not the seed's:
    the device back ends would give the secret away, so host tests must not pass with one."""

    def __init__(self, seed, public, message):
        self._key, self._message = Ed25519PrivateKey.from_private_bytes(seed), bytes(message)
        if self._key.public_key().public_bytes_raw() != bytes(public):
            raise ValueError("ed25519: the public key is not the seed's")
        self.result = None

    def step(self):
        """Do the work; False: nothing is left."""
        self.result = self._key.sign(self._message)
        return False


class Verify:
    """The check of an Ed25519 signature as a job of one step."""

    def __init__(self, public, signature, message):
        self._arguments = signature, bytes(message)
        self._public = public
        self.result = False

    def step(self):
        """Do the work; False: nothing is left."""
        try:
            Ed25519PublicKey.from_public_bytes(self._public).verify(*self._arguments)
            self.result = True
        except (InvalidSignature, ValueError):
            self.result = False
        return False
