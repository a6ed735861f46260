"""What makes a unix MicroPython look like a board to mpremote: run as `micropython board_shim.py FLASH BLOCKS MODE CUT`.

FLASH is a file that holds BLOCKS blocks of 4096 bytes, mounted as littlefs at / (made if it holds none). MODE `hard` runs
boot.py and main.py as a start does; `raw` boot.py alone, and answers in the raw REPL, as a soft reset from there does. CUT
more than 0: at that erase or program operation the power goes, with half of it done. Exit codes: 10 a soft reset from the
raw REPL, 11 one from the prompt, 12 machine.reset().
"""

import os
import sys
import vfs

BLOCK = 4096
RAW, SOFT, HARD = 10, 11, 12


class Flash:
    """A block device in a file, that counts what changes it."""

    def __init__(self, path, blocks, cut):
        self.file = open(path, "r+b")
        self.blocks = blocks
        self.cut = cut

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * BLOCK + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self._change(block * BLOCK + offset, buf)

    def _change(self, at, data):
        self.file.seek(at)
        self.cut -= 1
        if self.cut == 0:
            self.file.write(memoryview(data)[: len(data) // 2])
            self.file.flush()
            os.system("kill -9 $PPID")
        self.file.write(data)
        self.file.flush()

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6:
            self._change(arg * BLOCK, b"\xff" * BLOCK)
        return 0


class Machine:
    """The part of `machine` that tools ask for."""

    reset_cause = staticmethod(lambda: 0)
    freq = staticmethod(lambda: 125000000)
    unique_id = staticmethod(lambda: b"on a pty")

    @staticmethod
    def reset():
        sys.exit(HARD)

    soft_reset = reset


class Vfs:
    """The module `vfs` with a ROM partition, which the unix port has not: its bytes are a file beside the flash."""

    def __init__(self, path):
        for name in ("VfsLfs2", "VfsRom", "mount", "umount"):
            setattr(self, name, getattr(vfs, name))
        self.file = open(path, "r+b")
        self.size = self.file.seek(0, 2)

    def is_empty(self):
        self.file.seek(0)
        return self.file.read(3) != b"\xd2\xcd\x31"

    def rom_ioctl(self, op, *arguments):
        if op == 1:
            return 1
        if op == 2:
            self.file.seek(0)
            return memoryview(self.file.read())
        if op == 3:
            self.file.seek(0)
            self.file.write(b"\xff" * self.size)
            return 4
        if op == 4:
            _, offset, data = arguments
            self.file.seek(offset)
            self.file.write(data)
        self.file.flush()
        return 0


def mount(flash):
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(flash, progsize=256), "/")
    except OSError:
        vfs.VfsLfs2.mkfs(flash, progsize=256)
        vfs.mount(vfs.VfsLfs2(flash, progsize=256), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]


def run(path, names):
    """Run a file of the board as a start does, whatever becomes of it."""
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        return
    try:
        exec(compile(text, path, "exec"), names)
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error)


def say(data):
    out = sys.stdout.buffer
    done = 0
    while done < len(data):
        done += out.write(data[done:]) or 0


def get():
    while True:
        try:
            byte = sys.stdin.buffer.read(1)
            if not byte:
                sys.exit(0)
            return byte
        except KeyboardInterrupt:
            pass


def pasted():
    """A program by the raw paste mode, in which the board says how much it takes at a time."""
    window = 1024
    say(b"R\x01" + window.to_bytes(2, "little") + b"\x01")
    text, room = bytearray(), window
    while True:
        byte = get()
        if byte == b"\x04":
            say(b"\x04")
            return bytes(text)
        text += byte
        room -= 1
        if not room:
            say(b"\x01")
            room = window


def raw_repl(names):
    """Returns at Ctrl-B."""
    say(b"raw REPL; CTRL-B to exit\r\n>")
    text = b""
    while True:
        byte = get()
        if byte == b"\x02":
            return
        if byte == b"\x01":
            say(b"raw REPL; CTRL-B to exit\r\n>")
            text = b""
        elif byte == b"\x05" and not text:
            get()
            get()
            execute(pasted(), names)
        elif byte == b"\x04" and not text.strip():
            say(b"OK\r\nMPY: soft reboot\r\n")
            sys.exit(RAW)
        elif byte == b"\x04":
            say(b"OK")
            execute(text, names)
            text = b""
        elif byte != b"\r" or text:
            text += byte


def execute(text, names):
    try:
        exec(compile(text.decode(), "<stdin>", "exec"), names)
        say(b"\x04")
    except SystemExit:
        raise
    except BaseException as error:
        say(b"\x04")
        sys.print_exception(error)
    say(b"\x04>")


def main(image, blocks, mode, cut):
    flash = Flash(image, int(blocks), int(cut))
    rom = Vfs(image + ".rom")
    Machine.flash = flash
    sys.modules["machine"] = Machine
    sys.modules["vfs"] = rom
    names = {"__name__": "__main__"}
    mount(flash)
    if not rom.is_empty():
        rom.mount(rom.VfsRom(rom.rom_ioctl(2, 0)), "/rom")
        sys.path.extend(["/rom", "/rom/lib"])
    run("boot.py", names)
    if mode == "hard":
        run("main.py", names)
    else:
        raw_repl(names)
    say(b"MicroPython on a pty\r\n>>> ")
    while True:
        try:
            prompt(names)
        except KeyboardInterrupt:
            say(b"\r\n>>> ")


def prompt(names):
    """The friendly REPL, as far as tools use it."""
    text = b""
    while True:
        byte = get()
        text = text + byte if byte >= b" " else text
        if byte == b"\r":
            exec(text, names)
            text = b""
        elif byte == b"\x01":
            raw_repl(names)
            say(b"\r\n>>> ")
        elif byte == b"\x04":
            say(b"MPY: soft reboot\r\n")
            sys.exit(SOFT)


main(*sys.argv[1:])
