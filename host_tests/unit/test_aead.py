"""ChaCha20-Poly1305 in place, by the vectors of RFC 8439 section 2.8.2 and appendices A.4, A.5, on each back end."""

from support import back_ends, raises, unhex

RUNTIMES = ("cpython", "micropython", "qemu")

_SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
)
_DRAFTS = (
    b"Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by "
    b"other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other "
    b"than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d"
)
_VECTORS = (  # key, nonce, ad, plaintext, ciphertext and tag
    (
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        _SUNSCREEN,
        """d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
        3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
        92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
        3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691""",
    ),
    (
        "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
        "000000000102030405060708",
        "f33388860000000000004e91",
        _DRAFTS,
        """64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2
        4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf
        332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
        9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4
        b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e
        af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
        0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10
        49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29
        a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38""",
    ),
)


def test_aead_seals_the_texts_of_rfc_8439_in_place():
    for kernels in back_ends("aead"):
        for key, nonce, ad, plain, sealed in _VECTORS:
            for start in (0, 1, 2, 3, 5):
                buf = bytearray(b"\xaa" * start + plain + bytes(16) + b"\x55")
                end = kernels.Aead(unhex(key)).seal(unhex(nonce), unhex(ad), buf, start, start + len(plain))
                assert end == start + len(plain) + 16
                assert buf == b"\xaa" * start + unhex(sealed) + b"\x55", (kernels.__name__, start)


def test_aead_opens_the_texts_of_rfc_8439_in_place():
    for kernels in back_ends("aead"):
        for key, nonce, ad, plain, sealed in _VECTORS:
            for start in (0, 1, 2, 3, 5):
                buf = bytearray(b"\xaa" * start + unhex(sealed) + b"\x55")
                end = kernels.Aead(unhex(key)).open(unhex(nonce), unhex(ad), buf, start, len(buf) - 1)
                assert end == start + len(plain), kernels.__name__
                assert buf[:end] == b"\xaa" * start + plain and buf[end + 16 :] == b"\x55", (kernels.__name__, start)


def test_aead_key_of_poly1305_is_block_zero():
    # Appendix A.4: an empty message without associated data has the tag of its two zero sizes under that key.
    for key, nonce, one_time in (
        ("00" * 32, "00" * 12, "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"),
        ("00" * 31 + "01", "00" * 11 + "02", "ecfa254f845f647473d3cb140da9e87606cb33066c447b87bc2666dde3fbb739"),
        (_VECTORS[1][0], "00" * 11 + "02", "965e3bc6f9ec7ed9560808f4d229f94b137ff275ca9b3fcbdd59deaad23310ae"),
    ):
        for kernels in back_ends("aead"):
            buf = bytearray(16)
            assert kernels.Aead(unhex(key)).seal(unhex(nonce), b"", buf, 0, 0) == 16
            assert buf == kernels.poly1305(unhex(one_time), bytes(16)), kernels.__name__


def test_aead_refuses_a_flipped_bit_anywhere_and_decrypts_nothing():
    for kernels in back_ends("aead"):
        aead, nonce, ad = kernels.Aead(bytes(range(32))), bytes(range(12)), b"header"
        sealed = bytearray(b"twenty bytes of text" + bytes(16))
        aead.seal(nonce, ad, sealed, 0, 20)
        for i in range(36):
            bad = bytearray(sealed)
            bad[i] ^= 1 << (i & 7)
            before = bytes(bad)
            assert aead.open(nonce, ad, bad, 0, 36) == -1, (kernels.__name__, i)
            assert bad == before, (kernels.__name__, i)
        assert aead.open(nonce, b"Header", bytearray(sealed), 0, 36) == -1, kernels.__name__
        assert aead.open(nonce, b"header\x00", bytearray(sealed), 0, 36) == -1, kernels.__name__
        assert aead.open(bytes(12), ad, bytearray(sealed), 0, 36) == -1, kernels.__name__
        assert kernels.Aead(bytes(32)).open(nonce, ad, bytearray(sealed), 0, 36) == -1, kernels.__name__
        assert aead.open(nonce, ad, sealed, 0, 36) == 20 and sealed[:20] == b"twenty bytes of text", kernels.__name__


def test_aead_sizes_around_block_borders_agree_with_the_definition():
    # RFC 8439 section 2.8, put together from the two parts.
    key, nonce = bytes(range(32)), b"\x01" * 12
    for ciphers, kernels in zip(back_ends("cipher"), back_ends("aead")):
        cipher, aead = ciphers.ChaCha20(key), kernels.Aead(key)
        for size in (0, 1, 15, 16, 17, 63, 64, 65, 128):
            ad = bytes(range(size % 19))
            text = bytearray(size)
            cipher.xor(nonce, 0, 1, text, 0, size)
            one_time = bytearray(32)
            cipher.xor(nonce, 0, 0, one_time, 0, 32)
            padded = ad + bytes(-len(ad) % 16) + text + bytes(-size % 16)
            padded += len(ad).to_bytes(8, "little") + size.to_bytes(8, "little")
            buf = bytearray(size + 16)
            assert aead.seal(nonce, ad, buf, 0, size) == size + 16
            assert buf == text + kernels.poly1305(one_time, padded), (kernels.__name__, size)
            assert aead.open(nonce, ad, buf, 0, size + 16) == size and buf[:size] == bytes(size), (kernels.__name__, size)


def test_aead_is_the_same_after_a_refusal():
    for kernels in back_ends("aead"):
        aead = kernels.Aead(bytes(32))
        buf = bytearray(48)
        assert aead.open(bytes(12), b"", buf, 0, 48) == -1
        raises(ValueError, aead.seal, bytes(12), b"", buf, 0, 33)
        aead.seal(bytes(12), b"", buf, 0, 32)
        fresh = bytearray(48)
        kernels.Aead(bytes(32)).seal(bytes(12), b"", fresh, 0, 32)
        assert buf == fresh, kernels.__name__
