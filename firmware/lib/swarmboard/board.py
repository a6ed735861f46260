"""What a program gets of its board: `async def main(board)` in app.py."""

from asyncio import Event


class Board:
    """`node`: the running Node. `config`: the object "app" of picoswarm.json. `name`: the board's, or ""."""

    def __init__(self, name, config):
        self.name = name
        self.config = config
        self.node = None
        self.ending = None  # what the program asked for: ("restart", 0) or ("sleep", milliseconds)
        self._early = []  # lines from before the node runs

    def log(self, text):
        """A line for the serial console, and for whoever reads this node's log over the mesh."""
        print(text)
        if self.node:
            self._keep(text)
        elif len(self._early) < 16:
            self._early.append(text)

    def started(self, node):
        """The node runs: it takes what was said before."""
        self.node = node
        for line in self._early:
            self._keep(line)
        self._early = []

    def _keep(self, line):
        try:
            self.node.log(line)
        except Exception:
            pass  # LocalError of a profile without sessions: nobody could read it

    async def restart(self):
        """Leave the mesh in order and start the board anew. Does not return."""
        await self._end("restart", 0)

    async def sleep(self, seconds):
        """Leave the mesh in order and sleep deeply: the board starts anew afterwards. Does not return."""
        await self._end("sleep", max(1, int(seconds * 1000)))  # 0 is for ever

    async def _end(self, how, ms):
        self.ending = how, ms
        await Event().wait()  # the supervisor ends this task with the others
