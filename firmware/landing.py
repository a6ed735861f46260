"""Moves the files of a deployment into their places; boot.py calls `land` first of all, so that a power cut does no harm.

A host puts the new files into /.stage, with a `list` that says where each belongs, and renames the folder to /.ready once
all of them are there and whole. That rename is the moment: before it the board is as it was, after it every start brings
the files to their places until the folder is gone. A line of the list is `name path`, or `- path` for a file that has to go.
"""

import os

READY = "/.ready"


def land():
    """Finish a deployment, if there is one. True: files were moved. Raises OSError for a flash that fails."""
    try:
        names = os.listdir(READY)
    except OSError:
        return False
    try:
        # Cut inside a move between folders, littlefs (2.11) lists the file in neither until something is to be changed.
        os.remove(READY + "/-")  # which is not there
    except OSError:
        names = os.listdir(READY)
    if "list" in names:
        with open(READY + "/list") as file:
            for line in file:
                name, _, path = line.strip().partition(" ")
                if name == "-":
                    _remove(path)
                elif name in names:
                    _move(READY + "/" + name, path)
    names = os.listdir(READY)
    names.sort(key=lambda name: name == "list")  # the list goes last: without it nothing more would land
    for name in names:
        os.remove(READY + "/" + name)
    os.rmdir(READY)
    return True


def _move(source, target):
    parts = target.split("/")
    for i in range(2, len(parts)):
        try:
            os.mkdir("/".join(parts[:i]))
        except OSError:
            pass  # it is there
    try:
        os.rename(source, target)
    except OSError:  # FAT: the name is taken
        os.remove(target)
        os.rename(source, target)


def _remove(path):
    try:
        os.remove(path)
        os.rmdir(path.rpartition("/")[0])  # an empty folder would hide a package of that name elsewhere
    except OSError:
        pass  # it is gone already, or the folder is not empty
