"""The keys of a node once more, where a wiped or corrupt file system does not reach: the NVS of an ESP32. Only there it is
loaded (store.py). A Pico has no such place."""

from esp32 import NVS

from .compat import const

_SPACE = "picoswarm"
_SIZE = const(2064)  # of the longest slot file


class Vault:
    """Slot files by the name of their kind. Every method may raise OSError, but for `recall`."""

    def __init__(self):
        self._nvs = NVS(_SPACE)

    def recall(self, name):
        """The bytes that were kept last under a name, or None."""
        buf = bytearray(_SIZE)
        try:
            n = self._nvs.get_blob(name, buf)
        except OSError:
            return None
        return bytes(buf[:n])

    def keep(self, name, data):
        """Keep `data`, which is on the medium when this returns. What is there already is not written again."""
        if self.recall(name) != data:
            self._nvs.set_blob(name, data)
            self._nvs.commit()

    def forget(self, name):
        """Remove what is kept under a name, if anything is."""
        if self.recall(name) is not None:
            self._nvs.erase_key(name)
            self._nvs.commit()
