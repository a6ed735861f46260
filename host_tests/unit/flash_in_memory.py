"""A board's flash, as the store sees it, in memory."""


class MemoryFiles:
    """A file layer in a dict, as a flash image is: `files` are copied. `fault`: the errno that each write ends with."""

    def __init__(self, files=None):
        self.files = dict(files or {})
        self.fault = 0

    def make_folder(self, path):
        pass

    def is_wide(self, path):
        return False

    def read(self, path, limit):
        return self.files.get(path)

    def write(self, path, data):
        if self.fault:
            raise OSError(self.fault)
        self.files[path] = bytes(data)

    def replace(self, old, new):
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        self.files.pop(path, None)

    def sync(self, folder):
        pass
