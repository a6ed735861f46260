# How a board loads overlays. overlays.py puts this before the module `picoswarm.compat`, and the numbers in their places.
import os
import sys
from hashlib import sha256

_COLD = b""  # of each method: two bytes of a digest of "Class.method", and the number of its overlay
_FROM = const(0)  # where they stand in the digest: so that none has those of another
_OVERLAYS_KEPT = const(0)  # so many stay that were loaded last, until others come or memory is short: they come again soon
_OVERLAYS_TWO = const(_OVERLAYS_KEPT >> 1)


class _shelf:
    # A file system for the time of an import, in which every overlay has the same path: MicroPython keeps the path of each
    # file that it imports, and the names of each module, for good.
    def mount(self, *_):
        pass

    def open(self, path, mode=None):
        path = self.folder + path.replace("/cold.", self.name)
        return open(path, mode) if mode else os.stat(path)

    umount = mount
    stat = open


_shelf = _shelf()


def overlay(n):
    package = sys.modules["picoswarm"]
    folder = package.__path__
    name = "cold%d" % n
    _shelf.name = "/%s." % name
    is_file = not folder.startswith(".frozen")  # there the names are in ROM
    if is_file:
        import vfs  # not where nothing is loaded by parts

        _shelf.folder = folder
        name = "cold"
        vfs.mount(_shelf, "/cold")
        package.__path__ = "/cold"
    try:
        part = __import__(name, globals(), None, ("",), 1)
    except ImportError:  # also where there was no memory to ask whether it is there
        os.stat(folder + _shelf.name + "mpy")
        raise MemoryError
    finally:
        if is_file:
            package.__path__ = folder
            vfs.umount("/cold")
    setattr(package, name, None)
    delattr(package, name)
    name = "picoswarm." + name
    sys.modules[name] = None
    del sys.modules[name]
    # Its classes. A method that runs keeps the module, but not these; what came as a whole is the module's own.
    own = getattr(part, "values", part)
    if own is not part:
        del part.values
    return own


if _OVERLAYS_KEPT:
    _LATEST = [None] * (2 * _OVERLAYS_KEPT)  # number and what `overlay` gave, the latest first
    _load = overlay

    def overlay(n):
        latest = _LATEST
        if latest[0] != n:
            part = None
            if _OVERLAYS_TWO:
                if latest[2] == n:
                    part = latest[3]
                latest[2] = latest[0]
                latest[3] = latest[1]
            latest[0] = latest[1] = None
            latest[1] = part or _load(n)
            latest[0] = n
        return latest[1]


def cold(self, name):
    # The `__getattr__` of a class that has methods in overlays. Of any other name it may load one in vain.
    kind = own = type(self)
    while kind.__bases__:
        key = sha256("%s.%s" % (kind.__name__, name)).digest()[_FROM : _FROM + 2]
        at = _COLD.find(key)
        while at >= 0:
            if not at % 3:
                # In its class for a moment: only there MicroPython binds a function to an object. In this place, since a
                # new one could make the dict of the class grow.
                try:
                    own.__getattr__ = getattr(overlay(_COLD[at + 2]).get(kind.__name__), name)
                    return self.__getattr__
                finally:
                    own.__getattr__ = cold
            at = _COLD.find(key, at + 1)
        kind = kind.__bases__[0]
    if hasattr(own, "missing"):  # its class has a __getattr__ of its own
        return own.missing(self, name)
    raise AttributeError(name)
