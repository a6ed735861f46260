"""A board from its boot to its end: network, node, program; who watches over them, and what happens when one fails.

One coroutine looks at everything once a second and decides by the pure parts (link, health, boots); all else is tasks that
it starts. A life ends in one of four ways: restart, deep sleep, a person at the REPL, each in order, or the watchdog.
"""

import asyncio
import gc
import sys
from asyncio import sleep_ms
from time import ticks_diff, ticks_ms

from . import led
from .board import Board
from .health import Health
from .link import NOTHING, REBOOT, RESET, Link

_PACKAGE = "swarmboard"
_TURN_MS = 1000
_STEP_MS = 100
_LOOK_TURNS = 5  # between two looks at the node's counters and the heap
_READ_MS = 5000  # in which the log of a program that failed can still be read
_IDENTIFY_MS = 10_000
_REFUSED_MOST = 3  # calls to the interface in a row that failed themselves
RESTART = "restart", 0
REPL = "repl", 0


def forget(*names):
    """Forget modules of this package: their memory is wanted."""
    for name in names:
        if sys.modules.pop(_PACKAGE + "." + name, None):
            try:
                delattr(sys.modules[_PACKAGE], name)
            except AttributeError:
                pass


class Supervisor:
    """One life of a board. `run` gives how it ended: RESTART, REPL or ("sleep", milliseconds)."""

    def __init__(self, settings, is_safe, light, watchdog):
        self.settings = settings
        self.is_safe = is_safe
        self.board = Board(settings["name"], settings["app"])
        self.node = self.station = None
        self.is_keyless = False  # there is no network key
        self.updater = None  # which fetches the next program
        self._light = light
        self._watchdog = watchdog
        self._numbers = settings["supervisor"]
        self._health = Health(self._numbers["low_bytes"])
        self._link = Link()
        self._line = self._line_task = self._question = None  # who serves the serial line; who asks the router
        self._tasks = []
        self._answers = 0  # of the router
        self._refused = 0
        self._received = 0  # datagrams
        self._progress = None
        self._life_ms = self._identify_ms = 0
        self._fails_in_ms = None
        self._is_good = False

    async def run(self):
        """Live. Raises nothing but KeyboardInterrupt."""
        try:
            from .station import station

            self.station = station(self.settings)
            self._begin(self._light.run())
            if not self.station.wifi or self.is_safe:
                self._serve_line()
            self._begin(self._work())
            return await self._watch()
        finally:
            for task in self._tasks:
                task.cancel()
            if self.node:
                await self.node.close()
            if self.station:
                self.station.stop()

    def _begin(self, coroutine):
        self._tasks.append(asyncio.create_task(coroutine))
        return self._tasks[-1]

    # Watching

    async def _watch(self):
        turn = 0
        before = ticks_ms()
        ending = await self._tend_link(0)
        while not ending:
            for _ in range(_TURN_MS // _STEP_MS):
                if not self.board.ending:  # a board that goes to sleep is not to be kept awake
                    await sleep_ms(_STEP_MS)
            now = ticks_ms()
            passed = ticks_diff(now, before)
            before = now
            turn += 1
            self._life_ms = min(self._life_ms + passed, 1 << 29)
            self._identify_ms = max(0, self._identify_ms - passed)
            looks = turn % _LOOK_TURNS == 0
            if looks and self.node:
                stats = self.node.stats()
                self._received, self._progress = stats["received"], stats["uptime"]
            # Between two looks nothing is new, and nothing is held against the node.
            if self._health.step(passed * _LOOK_TURNS if looks else 0, self._progress):
                self._watchdog.feed()
            ending = await self._tend_link(passed) or (looks and self._look_at_heap()) or self._judge(passed)
            self._light.code = self._code()
        return ending

    async def _tend_link(self, passed):
        """Do what link.py decides. Returns how this life ends by it, or None."""
        station, link = self.station, self._link
        if not station.wifi or (self._line and self._line.is_busy):
            return None
        action = link.step(passed, station.is_up(), self._received + self._answers)
        if self._line and link.is_proven and not self.is_safe:
            self._line_task.cancel()  # Wi-Fi works after all
        if link.wants_answer() and (self._question is None or self._question.done()):
            self._question = asyncio.create_task(self._ask())
        if action == REBOOT:
            self.board.log("network: no sign of life for too long; the board restarts")
            if not self.node and not self.is_safe:
                self._count("good")  # the program never ran: an access point that is away is not held against it
            return RESTART
        if action == NOTHING:
            return None
        if link.tries > 1:
            what = "the radio is reset" if action == RESET else "connecting again"
            self.board.log("network: %s; %s, try %d" % (station.why(), what, link.tries))
        if link.tries == 3 and not link.is_proven:
            self._serve_line()  # perhaps the password is wrong
        try:
            if action == RESET:
                await station.reset()
            else:
                station.connect()
            self._refused = 0
        except OSError as error:
            self.board.log("network: %r" % error)
            self._refused += 1
            if self._refused == _REFUSED_MOST:  # such as lwIP's PPP after a soft reset: only a whole one helps
                return RESTART
        return None

    async def _ask(self):
        from .question import is_answered

        self._answers += await is_answered(self.station.address()[1])
        forget("question")

    def _look_at_heap(self):
        gc.collect()
        asks = self._health.memory(gc.mem_free())
        if asks:
            self.board.log("memory: %d bytes are free" % gc.mem_free())
        return RESTART if asks == "restart" else None

    def _judge(self, passed):
        """How this life ends now, or None."""
        if self.board.ending:
            self._prove()
            if self.board.ending[0] == "sleep" and self.updater and self.updater.troubles:
                self._count("say", self.updater.troubles)
            return self.board.ending
        if self._fails_in_ms is not None:
            self._fails_in_ms -= passed
            return RESTART if self._fails_in_ms <= 0 else None
        if self.is_safe:
            if self._life_ms >= self._numbers["safe_min"] * 60_000:
                self.board.log("safe mode: trying the program once more")
                self._count("try_again")
                return RESTART
        elif self.node and self._life_ms >= self._numbers["good_s"] * 1000:
            self._prove()
        if self.updater and self.updater.ready.is_set():
            self.board.log("update: a new program is here; the board restarts with it")
            self._count("good")
            return RESTART
        return None

    def _count(self, what, *more):
        """Say to the count of bad boots what came of this one."""
        from .boots import Boots

        getattr(Boots(limit=self._numbers["bad_boots"]), what)(*more)
        forget("boots")

    def _prove(self):
        """This boot is a good one, and so is the program that it runs."""
        if not self._is_good and not self.is_safe and self._fails_in_ms is None:
            self._is_good = True
            try:
                if "apps" in sys.modules:
                    sys.modules["apps"].confirm()
            except Exception as error:  # a full or worn flash: the program runs, and an update of it is on trial still
                self.tell(error)
            self._count("good")

    def _code(self):
        if self._identify_ms:
            return led.IDENTIFY
        if self._fails_in_ms is not None:
            return led.FAILED
        if self.is_safe:
            return led.SAFE
        if "mistake" in self.settings:
            return led.MISTAKE
        if not self.station.wifi:
            return led.NO_WIFI
        if self.is_keyless:
            return led.NO_KEY
        if not self.node or not self.station.is_up():
            return led.JOINING
        return led.JOINED if self.node.sessions() or self.node.peers() else led.ALONE

    # The serial line

    def _serve_line(self):
        if self._line is None and hasattr(self.station, "scan"):
            from .provisioning import Provisioning
            from .starting import about

            self._line = Provisioning(self.station, about(self.settings["name"]))
            self._line_task = self._begin(self._until_told())

    async def _until_told(self):
        try:
            await self._line.run()
        except KeyboardInterrupt:
            self.board.ending = REPL
        except Exception as error:
            self.tell(error)
        finally:  # the network works by now, if this task was cancelled
            self._line = None
            forget("provisioning", "improv", "config")

    # The work

    async def _work(self):
        """Node and program. What goes wrong is told, and ends this life in a moment; not in safe mode, which is the last
        one to be left."""
        from . import starting

        try:
            await starting.start_node(self)
            forget("starting")
            if self.is_safe:
                self.board.log("safe mode: too many boots in a row went wrong, so the program does not run")
            else:
                await starting.run_program(self.board)
        except Exception as error:
            self.tell(error)
            if not self.is_safe:
                self._fails_in_ms = _READ_MS

    def identify(self, _caller, _payload):
        """The method "identify" of a board: its LED says which one it is."""
        self._identify_ms = _IDENTIFY_MS
        return b""

    def tell(self, error):
        """Log an exception, line by line."""
        from io import StringIO

        text = StringIO()
        sys.print_exception(error, text)
        for line in text.getvalue().split("\n"):
            if line:
                self.board.log(line)
