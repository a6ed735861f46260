"""Other public-key work in the place of the library's own, for tests of what is asked of it."""

import sys


class KeyWork:
    """`with KeyWork(x25519, u_from_id)`: in the place of these two, None for as it is, wherever the library has their names;
    a bundle has them elsewhere than its parts."""

    def __init__(self, x25519=None, u_from_id=None):
        self._x25519 = x25519
        self._u_from_id = u_from_id
        self._changed = []

    def __enter__(self):
        for name in list(sys.modules):
            module = sys.modules[name]
            if name.startswith("picoswarm."):
                if self._x25519 and hasattr(module, "X25519"):
                    self._changed.append((module, module.X25519, None))
                    module.X25519 = self._x25519
                if self._u_from_id and hasattr(module, "u_from_id"):
                    self._changed.append((module, None, module.u_from_id))
                    module.u_from_id = self._u_from_id

    def __exit__(self, *exception):
        for module, x25519, u_from_id in self._changed:
            if x25519:
                module.X25519 = x25519
            else:
                module.u_from_id = u_from_id
