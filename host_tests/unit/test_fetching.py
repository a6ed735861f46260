"""Fetching an update piece by piece, against peers that have it, lie, or go away (docs/protocol.md 7.11)."""

from picoswarm.errors import Malformed
from picoswarm.fetching import Fetch
from picoswarm.manifest import Header
from picoswarm.serving import piece, wants
from support import raises
from updating import MemoryFiles, Whole, make_header

APP = [("app.py", bytes(range(250)) * 5), ("empty", b""), ("lib/a.mpy", b"m" * 256), ("lib/b", b"end")]


def begun(whole, files=None):
    fetch = Fetch(whole.header, files or MemoryFiles())
    fetch.begin()
    return fetch


def drive(fetch, whole, pieces=10_000):
    """Fetch at most so many pieces. Returns how many it took."""
    taken = 0
    while taken < pieces and not fetch.is_complete:
        assert fetch.take(piece(whole, fetch.question()))
        taken += 1
    return taken


def is_sound(fetch):
    damaged = []
    for _ in fetch.check(damaged):
        pass
    return not damaged


def test_an_application_arrives_whole():
    whole = Whole(APP)
    fetch = begun(whole)
    drive(fetch, whole)
    assert fetch.question() == b"" and is_sound(fetch)
    assert fetch.files.content() == dict(APP)


def test_who_hands_on_reads_its_list_once_for_each_file_and_not_for_each_piece():
    whole = Whole([("f%d" % i, bytes(900)) for i in range(6)])
    fetch = begun(whole)
    reads = []
    read = whole.list

    def counting(at, n):
        reads.append(at)
        return read(at, n)

    whole.list = counting
    drive(fetch, whole)
    assert fetch.files.content() == whole.files and whole.header.chunks == 24
    assert len(reads) < 6 * (1 + 2 * 6)
    for number in (23, 0, 14, 3):  # of other neighbours, in any order
        question = b"\2" + whole.header.id + number.to_bytes(2, "big")
        assert piece(whole, question) == bytes(132 if number % 4 == 3 else 256)


def test_a_list_of_several_pieces_arrives():
    files = [("f%02d" % i, b"%d" % i) for i in range(40)]
    whole = Whole(files)
    assert whole.header.listed > 1024
    fetch = begun(whole)
    drive(fetch, whole)
    assert fetch.files.content() == dict(files) and is_sound(fetch)


def test_a_cut_at_every_chunk_loses_at_most_that_chunk():
    whole = Whole(APP)
    total = drive(begun(whole), whole)
    listing = total - whole.header.chunks
    for cut in range(total):
        files = MemoryFiles()
        drive(begun(whole, files), whole, cut)
        again = begun(whole, files)  # after the boot
        rest = drive(again, whole)
        assert rest == total - cut if cut >= listing else total, cut
        assert files.content() == dict(APP) and is_sound(again)


def test_a_torn_write_is_fetched_again():
    whole = Whole(APP)
    for kept in (1, 100, 255):
        files = MemoryFiles()
        drive(begun(whole, files), whole, 3)
        files.files["app.py"] = files.files["app.py"][: -256 + kept]
        drive(begun(whole, files), whole)
        assert files.content() == dict(APP)


def test_a_wrong_chunk_of_a_lying_neighbour_is_not_written():
    whole = Whole(APP)
    fetch = begun(whole)
    drive(fetch, whole, 2)
    before = dict(fetch.files.files)
    right = piece(whole, fetch.question())
    for wrong in (b"", right[:-1], right + b"x", bytes(len(right)), right[:-1] + bytes((right[-1] ^ 1,))):
        assert not fetch.take(wrong)
        assert fetch.files.files == before
    assert fetch.take(right)
    drive(fetch, whole)
    assert fetch.files.content() == dict(APP)


def test_a_wrong_list_is_asked_for_again_from_its_beginning():
    whole = Whole([("f%02d" % i, b"%d" % i) for i in range(40)])
    fetch = begun(whole)
    liar = Whole([("f%02d" % i, b"%d" % i) for i in range(39)] + [("f39", b"evil")])
    liar.header = whole.header
    results = []
    while not results or results[-1]:
        results.append(fetch.take(piece(liar, fetch.question())))
    assert len(results) == (whole.header.listed + 255) // 256, "found out at its end"
    assert fetch.files.content() == {}
    drive(fetch, whole)
    assert fetch.files.content() == whole.files


def test_pieces_of_the_list_from_two_peers_are_not_mixed():
    whole = Whole([("f%02d" % i, b"%d" % i) for i in range(40)])
    fetch = begun(whole)
    assert fetch.take(bytes(256))  # of a liar, who then goes
    fetch.restart()
    drive(fetch, whole)
    assert fetch.files.content() == whole.files


def test_path_traversal_in_a_signed_list_writes_nothing():
    for name in ("../boot.py", "/boot.py", "lib/../../boot.py"):
        whole = Whole([("app.py", b"x" * 300), (name, b"evil")])
        fetch = begun(whole)
        raises(Malformed, drive, fetch, whole)
        assert fetch.files.content() == {}


def test_a_file_that_is_larger_than_it_says_writes_nothing():
    whole = Whole([("app.py", b"x" * 300)], size_of={"app.py": 1 << 20})
    fetch = begun(whole)
    raises(Malformed, drive, fetch, whole)
    assert fetch.files.content() == {}


def test_a_full_flash_is_an_error_and_can_be_gone_on_with():
    whole = Whole(APP)
    files = MemoryFiles(room=900)
    fetch = begun(whole, files)
    raises(OSError, drive, fetch, whole)
    files.room = 1 << 20
    drive(begun(whole, files), whole)
    assert files.content() == dict(APP)


def test_what_the_flash_gives_back_otherwise_is_fetched_again():
    whole = Whole(APP)
    fetch = begun(whole)
    drive(fetch, whole)
    fetch.files.files["lib/a.mpy"] = b"M" + fetch.files.files["lib/a.mpy"][1:]
    del fetch.files.files["lib/b"]
    assert not is_sound(fetch) and not fetch.is_complete
    assert drive(fetch, whole) == 2
    assert is_sound(fetch) and fetch.files.content() == dict(APP)


def test_a_folder_of_another_update_is_begun_anew():
    old = Whole(APP, 1)
    files = MemoryFiles()
    drive(begun(old, files), old, 4)
    new = Whole(APP, 2)
    drive(begun(new, files), new)
    assert Fetch.noted(files).version == 2 and files.content() == dict(APP)


def test_a_folder_without_a_whole_note_has_no_header():
    for text in (b"", b"\1" + bytes(20), bytes(200)):
        files = MemoryFiles()
        files.files[".update"] = text
        raises(Malformed, Fetch.noted, files)


def test_who_has_an_update_answers_what_is_there_and_nothing_else():
    whole = Whole(APP)
    ask = b"\1" + whole.header.id
    assert piece(whole, ask + b"\0\0") == whole.list(0, 256)
    for bad in (b"", b"\1", ask, ask + b"\0", ask + b"\xff\xff", ask + bytes(3), b"\1" + bytes(10)):
        assert piece(whole, bad) == b"", bad
    ask = b"\2" + whole.header.id
    assert piece(whole, ask + b"\0\0") == APP[0][1][:256]
    assert piece(whole, ask + (6).to_bytes(2, "big")) == b"end"
    assert piece(whole, ask + (7).to_bytes(2, "big")) == b""


def test_a_board_is_told_of_higher_versions_for_it():
    header = Header(make_header(bytes(100), 5, 7, b"door armv6m"))
    assert wants(header, b"\0" + (6).to_bytes(4, "big") + b"RPI_PICO_W armv6m")
    assert not wants(header, b"\0" + (7).to_bytes(4, "big") + b"armv6m")
    assert not wants(header, b"\0" + (6).to_bytes(4, "big") + b"xtensawin")
    assert not wants(header, b"\0")
