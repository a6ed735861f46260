# How a board loads overlays. overlays.py puts this before the module `picoswarm.compat`, and the numbers in their places.
import sys
from binascii import crc32

_COLD = b""  # of each method: its key, two bytes, and the number of its overlay
_SHIFT = const(0)  # where the key stands in the CRC-32 of class and method: so that none has that of another
_OVERLAYS_KEPT = const(0)  # so many stay that were loaded last, until others come or memory is short: they come again soon
_OVERLAYS_ROOM = const(0)  # with less free than so many bytes
_OVERLAYS_LEAST = const(0)  # only so many of them stay


_shelf = None
if not sys.modules["picoswarm"].__path__.startswith(".frozen"):  # there the names are in ROM

    class _shelf:
        # A file system for the time of an import, in which every overlay has the same path: MicroPython keeps the path of
        # each file that it imports, and the names of each module, for good. What an overlay imports comes from it, too.
        facts = [0] * 10

        def mount(self, *_):
            pass

        umount = mount

        def stat(self, path):
            # Of a module m MicroPython asks for m, m.py and m.mpy. It shall open the last: m is no folder, and m.py no file.
            self.facts[0] = 0x4000 if path.endswith(".py") else 0x8000
            return self.facts

        def open(self, path, mode):
            return open(self.folder + path.replace("/cold.", self.name), mode)

    _shelf = _shelf()


def overlay(n):
    package = sys.modules["picoswarm"]
    folder = package.__path__
    name = "cold%d" % n
    if _shelf:
        import vfs  # not where nothing is loaded by parts

        _shelf.folder = folder
        _shelf.name = "/%s." % name
        name = "cold"
        vfs.mount(_shelf, "/cold")
        package.__path__ = "/cold"
    try:
        part = __import__(name, globals(), None, ("",), 1)
    finally:
        if _shelf:
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
    import gc

    _LATEST = [None] * (2 * _OVERLAYS_KEPT)  # number and what `overlay` gave, the latest first
    if _OVERLAYS_ROOM:
        _ROOM = [0, False]  # after so many loads it is asked again whether memory is scarce: that takes as long as a load
    _load = overlay

    def overlay(n):
        latest = _LATEST
        at = 0
        while latest[at] != n and at < 2 * _OVERLAYS_KEPT - 2:
            at += 2
        part = latest[at + 1]
        if latest[at] != n:
            if _OVERLAYS_ROOM:
                if not _ROOM[0]:
                    _ROOM[0] = 8
                    _ROOM[1] = gc.mem_free() < _OVERLAYS_ROOM
                _ROOM[0] -= 1
            for i in range(2 * _OVERLAYS_LEAST - 2 if _OVERLAYS_ROOM and _ROOM[1] else at, len(latest)):
                latest[i] = None
            part = _load(n)
        while at:
            at -= 2
            latest[at + 2] = latest[at]
            latest[at + 3] = latest[at + 1]
        latest[0] = n
        latest[1] = part
        return part


def cold(self, name):
    # The `__getattr__` of a class that has methods in overlays. Of any other name it may load one in vain.
    kind = own = type(self)
    while kind.__bases__:
        key = crc32(kind.__name__ + name) >> _SHIFT
        key = bytes((key >> 8 & 255, key & 255))
        at = _COLD.find(key)
        while at >= 0:
            if not at % 3:
                # In its class for a moment: only there MicroPython binds a function to an object. In this place, since a
                # new one could make the dict of the class grow.
                try:
                    own.__getattr__ = getattr(overlay(_COLD[at + 2]).get(kind.__name__), name, cold)
                    if own.__getattr__ is not cold:  # or the key is another one's
                        return self.__getattr__
                finally:
                    own.__getattr__ = cold
            at = _COLD.find(key, at + 1)
        kind = kind.__bases__[0]
    if hasattr(own, "missing"):  # its class has a __getattr__ of its own
        return own.missing(self, name)
    raise AttributeError(name)
