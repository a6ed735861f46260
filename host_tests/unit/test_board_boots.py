"""Boots in a row that went wrong are counted where a reset leaves them, and end in safe mode."""

import os

from support import raises
from swarmboard import boots
from swarmboard.boots import BackupMemory, Boots, FileMemory, RtcMemory


class Rtc:
    def __init__(self, content=b""):
        self.content = content

    def memory(self, content=None):
        if content is None:
            return self.content
        self.content = content


def kept_in_backup_memory():
    return BackupMemory(memoryview(bytearray(b"\xa7" * 28)))  # what power-on leaves there is anything


def kept_by_the_rtc():
    return RtcMemory(Rtc(b""))


def test_a_count_survives_in_each_kind_of_memory():
    for make in (kept_in_backup_memory, kept_by_the_rtc):
        memory = make()
        for count in range(1, 4):
            one = Boots(memory)
            one.begin()
            assert one.count == count
        assert Boots(memory).count == 3


def test_a_count_survives_in_a_file():
    try:
        for count in range(1, 4):
            one = Boots(FileMemory())
            one.begin()
            assert one.count == count
    finally:
        os.remove("boots.dat")
    assert Boots(FileMemory()).count == 0


def test_who_pulls_the_plug_again_and_again_has_no_bad_boots():
    cause = boots.was_switched_on
    try:
        boots.was_switched_on = lambda: True
        for _ in range(9):
            one = Boots(FileMemory())
            one.begin()
        assert one.count == 1 and not one.is_safe()
        boots.was_switched_on = lambda: False  # it resets itself now
        one = Boots(FileMemory())
        one.begin()
        assert one.count == 2
    finally:
        boots.was_switched_on = cause
        os.remove("boots.dat")


def test_safe_mode_comes_after_so_many_bad_boots_and_not_before():
    memory = kept_in_backup_memory()
    seen = []
    for _ in range(8):
        one = Boots(memory, limit=6)
        one.begin()
        seen.append(one.is_safe())
    assert seen == [False] * 6 + [True] * 2


def test_a_boot_that_proves_itself_clears_the_count():
    memory = kept_in_backup_memory()
    for _ in range(5):
        Boots(memory).begin()
    one = Boots(memory)
    one.good()
    assert Boots(memory).count == 0


def test_after_safe_mode_the_program_has_one_try():
    memory = kept_in_backup_memory()
    for _ in range(7):
        one = Boots(memory, limit=6)
        one.begin()
    assert one.is_safe()
    one.try_again()
    states = []
    for _ in range(2):
        one = Boots(memory, limit=6)
        one.begin()
        states.append(one.is_safe())
    assert states == [False, True]


def test_what_power_on_leaves_in_memory_is_no_count():
    for content in (b"", b"\0" * 28, b"\xff" * 28, os.urandom(28), b"ps", boots.encode(7, 1)[:4]):
        assert boots.decode(content) == (0, 0)
    damaged = bytearray(boots.encode(7, 1))
    for at in range(len(damaged)):
        damaged[at] ^= 4
        assert boots.decode(damaged) == (0, 0)
        damaged[at] ^= 4
    assert boots.decode(damaged + b"others") == (7, 1)


def test_what_others_keep_in_the_memory_of_the_rtc_stays():
    rtc = Rtc(boots.encode(0, 0) + b"of the program")
    Boots(RtcMemory(rtc)).begin()
    assert rtc.content[5:] == b"of the program" and boots.decode(rtc.content) == (1, 0)


def test_flash_is_written_only_where_the_count_changes():
    class Counting(BackupMemory):
        writes = 0

        def write(self, record):
            Counting.writes += 1
            BackupMemory.write(self, record)

    memory = Counting(memoryview(bytearray(28)))
    one = Boots(memory)
    one.begin()
    one.good()
    one.good()
    assert Counting.writes == 2


def test_the_count_ends_before_it_overflows():
    memory = kept_in_backup_memory()
    for _ in range(300):
        Boots(memory).begin()
    assert Boots(memory).count == 200
    assert raises(ValueError, boots.encode, 300, 0)
