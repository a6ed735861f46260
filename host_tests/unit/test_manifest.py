"""The header and the list of an update (docs/protocol.md 7.11)."""

from picoswarm.errors import Malformed
from picoswarm.manifest import CHUNK, LIST_MAX, Header, entries, is_chunk, is_name
from support import raises
from updating import Whole, make_header, make_list


def test_a_header_says_what_is_signed():
    header = Header(make_header(bytes(100), 5, 7, b"RPI_PICO_W armv6m", bytes(range(64))))
    assert (header.version, header.listed, header.chunks) == (7, 100, 5)
    assert header.boards == b"RPI_PICO_W armv6m" and header.signature == bytes(range(64))
    assert header.signed_text()[:19] == b"picoswarm update v1" and header.id == header.signed_text()[19:27]
    assert header.hash_of(0) == 20 and header.hash_of(4) == 84


def test_what_is_no_header_is_malformed():
    good = make_header(bytes(100), 5)
    Header(good)
    for bad in (b"", good[:-1], good + b"x", b"\2" + good[1:], good[:41] + b"\0" + good[42:], bytes(300)):
        raises(Malformed, Header, bad)
    for numbers in ((0, 100, 5), (1 << 30, 100, 5), (1, 0, 0), (1, 80, 5), (1, LIST_MAX + 1, 5)):
        text = b"\1" + numbers[0].to_bytes(4, "big") + numbers[1].to_bytes(2, "big") + numbers[2].to_bytes(2, "big")
        raises(Malformed, Header, text + good[9:])
    raises(Malformed, Header, make_header(bytes(100), 5, boards=b"x" * 97))


def test_an_update_is_for_the_boards_that_it_names():
    header = Header(make_header(bytes(100), 5, boards=b"RPI_PICO_W armv7m"))
    assert header.is_for(b"door RPI_PICO_W") and header.is_for(b"armv7m")
    for wrong in (b"", b"RPI_PICO", b"RPI_PICO_W2 armv7", b"*"):
        assert not header.is_for(wrong), wrong
    assert Header(make_header(bytes(100), 5, boards=b"*")).is_for(b"")


def test_no_name_leads_out_of_the_folder():
    for name in (b"app.py", b"lib/x.mpy", b"a/b/c/d", b"_-.9", b"x" * 64):
        assert is_name(name), name
    for name in (b"", b"/", b"/app.py", b"a//b", b"a/", b"..", b"../app.py", b"a/../../b", b".update", b"a/.x", b"./a"):
        assert not is_name(name), name
    for name in (b"a\\b", b"a b", b"a\0", b"\xc3\xa4", b"a/b/c/d/e", b"x" * 65, b"C:x", b"~", b"a\n"):
        assert not is_name(name), name


def test_a_list_names_files_and_their_chunks():
    whole = Whole([("a.py", bytes(600)), ("empty", b""), ("lib/b", b"xyz")])
    found = list(entries(whole.header, whole.list))
    assert [(name, size, first) for name, size, _, first in found] == [("a.py", 600, 0), ("empty", 0, 3), ("lib/b", 3, 3)]
    assert is_chunk(b"xyz", whole.list(whole.header.hash_of(3), 16))
    assert not is_chunk(b"xyZ", whole.list(whole.header.hash_of(3), 16))


def refused(files, listed=None, chunks=None, **more):
    made, count = make_list(files, **more)
    listed = listed if listed is not None else made
    header = Header(make_header(listed, count if chunks is None else chunks))
    raises(Malformed, list, entries(header, lambda at, n: listed[at : at + n]))


def test_path_traversal_in_a_list_is_malformed():
    for name in ("../boot.py", "/boot.py", "lib/../../x", ".update", "a/./b"):
        refused([(name, b"evil")])
        refused([("a.py", b"good"), (name, b"evil")])


def test_a_list_that_contradicts_itself_is_malformed():
    refused([("b", b"1"), ("a", b"2")])  # the order shows that no name stands there twice
    refused([("a", b"1"), ("a", b"2")])
    refused([("a", b"1")], chunks=0)
    refused([("a", bytes(512))], chunks=1)
    refused([("a", bytes(512))], size_of={"a": 100})
    refused([("a", b"1")], listed=bytes(40))
    refused([("a", b"1")], listed=b"\1" + bytes(60))
    refused([("a", b"1")], listed=b"\xff" + make_list([("a", b"1")])[0][1:])


def test_a_file_that_is_larger_than_its_chunks_is_malformed():
    for size in (257, 1 << 20, 0xFFFFFFFF):
        refused([("a", b"1")], size_of={"a": size})
    assert CHUNK == 256
