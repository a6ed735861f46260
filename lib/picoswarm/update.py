"""Updates of the application over the mesh (docs/protocol.md 7.11, docs/updates.md). Loaded by who wants them:

    updater = Updater(node, ["RPI_PICO_W"])    # of a running node
    updater.start()
    await updater.ready.wait()         # a new application is in place: restart, and say `confirm` once it does well

It asks each peer once in a session whether there is an application for this board, fetches it in small pieces from any that
has it, and hands on what it runs itself. What fetching and verifying takes is loaded for that alone.
"""

import sys
from asyncio import Event, create_task
from os import urandom

from .compat import collect, const, sleep_ms, ticks_diff, ticks_ms, unload
from .errors import Malformed

METHOD = "update"

_ASK = const(0)  # the first byte of a request
_NEWS = const(3)
_STATUS = const(4)

_OPEN = const(4)  # a session's stage
_MALFORMED = const(11)  # see reasons.py

_TURN_MS = const(1000)
_SETTLE_MS = const(100)
_IDLE_S = const(10)  # what serving takes goes when nobody asked for so long
_ANSWER_MS = const(10_000)
_AGAIN_S = const(3600)  # a peer is asked again
_NEED_S = const(30)  # the same, while nobody is known to have what is wanted
_RETRY_S = const(60)  # after trouble with the flash; twice as long each time, or a worn one is written to death
_DOUBLED_MOST = const(6)  # times: about an hour
_PER_S = const(40)  # pieces that are handed out in a second, to all together


class _Held:
    """The application that runs here, for neighbours."""

    def __init__(self, files):
        before = list(sys.modules)
        from .fetching import Fetch
        from .serving import piece, wants

        unload(before)
        self.header = Fetch.noted(files)
        self.read = files.read
        self.piece = piece
        self.wants = wants
        self.files = files

    def list(self, at, n):
        return self.files.note(len(self.header.text) + at, n)


class Updater:
    """See the module. `boards`: names that this board answers to: its own, its architecture, what it is for ("door").
    `root`: what stands before app_a and app_b, as "/sd/". `ready`: an Event, set once a restart would start another
    application. `trouble`: the last reason for which an update was not taken, or nothing. `troubles`: with the flash, in a
    row, up to 6: see `remember`."""

    def __init__(self, node, boards=(), root=""):
        self.ready = Event()
        self.trouble = ""
        self.fetch = None  # the update that is on its way
        self.root = root
        self.boards = " ".join(boards).encode()
        self.key = None  # public half of the update key
        self.refused = b""  # id of a signed update that cannot be used
        self._node = node
        self._slot = self._trial = self._version = self.floor = 0  # as in appslots.AppState
        self._held = None  # what runs here, while somebody asks for it
        self._asked = {}  # by id: [session, uptime when it was asked, whether it has what is fetched]
        self._is_asking = False
        self.troubles = 0
        self._rests_s = 0  # until then nothing is begun
        self._second = self._served = 0
        self._task = None

    def start(self):
        """Begin to ask, to fetch and to serve. Raises StoreError where the folder cannot be used, LocalError where the node
        is not running."""
        self.read_state()
        self._node.handle(METHOD, self._serve)
        self._task = create_task(self._run())

    def stop(self):
        """Ask and fetch no more. What came stays, and is gone on with at the next start."""
        if self._task:
            self._task.cancel()
            self._task = None
        self.leave()

    @property
    def version(self):
        """Of the application that runs; 0: it came by no update."""
        return self._version

    def progress(self):
        """(version, chunks that are there, chunks in all) of the update that is on its way, or None."""
        fetch = self.fetch
        return fetch and (fetch.header.version, fetch.number, fetch.header.chunks)

    async def settle(self, timeout_ms):
        """For a board that is about to sleep: until all peers were asked and nothing is left to fetch, or a new application
        is in place, or the time is over. What came so far stays."""
        began = ticks_ms()
        while not self.ready.is_set() and self._uptime >= self._rests_s and ticks_diff(ticks_ms(), began) < timeout_ms:
            peers = self._peers()
            if peers and not self.fetch and len([1 for session in peers if session.id in self._asked]) == len(peers):
                if not self._is_asking:
                    break
            await sleep_ms(_SETTLE_MS)

    def remember(self, troubles):
        """For a board that woke: the `troubles` of the life before its sleep. One wake of 2 ** troubles, by
        chance, tries again, and the others rest; or a worn flash would be written to at each of them."""
        self.troubles = troubles = min(troubles, _DOUBLED_MOST)
        if urandom(1)[0] & (1 << troubles) - 1:
            self._rests_s = self._uptime + (_RETRY_S << troubles)

    def confirm(self):
        """The application that runs does well: it stays, and neighbours may have it. Raises StoreError."""
        store, app, state = self.read_state()
        if state.confirm():
            store.write(app, state.encode())
        self._trial = 0
        create_task(self._tell())

    # State

    def read_state(self):
        """Take over what the folder says. Returns (Store, the kind APP, AppState), which go when the caller is done."""
        before = list(sys.modules)
        from .appslots import APP, UPDATE_KEY, AppState
        from .store import Store

        unload(before)
        folder = self._node._folder
        store = Store(folder) if isinstance(folder, str) else folder
        self.key = store.read(UPDATE_KEY)
        state = AppState.read(store)
        self._slot = state.slot
        self._trial = state.trial
        self._version = state.version
        self.floor = state.floor
        return store, APP, state

    def files(self, is_running):
        """The AppFiles of the folder whose application runs, or of the one to which updates are written."""
        before = list(sys.modules)
        from .appfiles import AppFiles

        unload(before)
        return AppFiles(self.root, "app_b" if self._slot == (2 if is_running else 1) else "app_a")

    def services(self):
        """Of the node. Raises LocalError where it is not running."""
        return self._node._sessions()

    @property
    def _uptime(self):
        return self._node._discovery.uptime

    def _peers(self):
        swarm = self.services().swarm
        return [session for session in swarm.peers.values() if session.stage == _OPEN]

    def offend(self, session):
        """Who passes on what is forged, or gives a wrong piece, did not make sure of it, or lies."""
        services = self.services()
        services.swarm.at(ticks_ms())
        services.swarm.offend(session, _MALFORMED)
        services.links.turn()

    def fail(self, text):
        """Say why an update was not taken."""
        self.trouble = text
        self._node.log("update: " + text)

    # Answers

    def _serve(self, caller, payload):
        kind = payload[0] if payload else _STATUS
        if kind == _STATUS:
            return self._status()
        if kind == _NEWS:
            asked = self._asked.get(caller)
            if asked and int.from_bytes(payload[1:5], "big") > self.floor:
                asked[1] = -_AGAIN_S
            return b""
        if self._second != self._uptime:
            self._second = self._uptime
            self._served = 0
        self._served += 1
        if self._served > _PER_S:
            from .failures import Busy

            raise Busy("later")
        held = self._holds()
        if held is None:
            return b""
        if kind == _ASK:
            return held.header.text if held.wants(held.header, payload) else b""
        return held.piece(held, payload)

    def _holds(self):
        """What runs here, where it is confirmed: a bad application goes no further."""
        if self._held is None and self._slot and not self._trial:
            try:
                self._held = _Held(self.files(True))
            except (Malformed, OSError):
                pass  # it was put there by hand
        return self._held

    def _status(self):
        version, number, chunks = self.progress() or (0, 0, 0)
        out = bytes((self._trial,))
        for each in (self._version, self.floor, version):
            out += each.to_bytes(4, "big")
        return out + number.to_bytes(2, "big") + chunks.to_bytes(2, "big") + self.trouble.encode()[:64]

    async def _tell(self):
        """Peers that asked before may ask again."""
        held = self._holds()
        if held:
            services = self.services()
            news = bytes((_NEWS,)) + held.header.version.to_bytes(4, "big")
            for session in self._peers():
                try:
                    await services.call(session, METHOD, news, _ANSWER_MS)
                except Exception:
                    pass  # it asks by itself, sooner or later

    # Asking and fetching

    async def _run(self):
        services = self.services()
        is_first = True
        while not services.swarm.is_closing and not self.ready.is_set():
            try:
                if self._held and self._uptime - self._second > _IDLE_S:
                    self._held = None
                if self._trial:
                    self.read_state()
                    if not self._trial:  # whoever supervises the board has confirmed it
                        await self._tell()
                if self.key and not self._trial:
                    if is_first:
                        is_first = False
                        await self._work()[1](self)
                    if self._uptime >= self._rests_s:
                        await self._turn(services)
            except MemoryError:
                collect()
            except Exception as error:
                self.rest()
                self.fail(repr(error))
            await sleep_ms(_TURN_MS)

    async def _turn(self, services):
        peers = self._peers()
        has_source = self._is_asking = False
        for id32 in list(self._asked):
            asked = self._asked[id32]
            if asked[0] not in peers:
                del self._asked[id32]
            else:
                has_source |= asked[2]
        again_s = _NEED_S if self.fetch and not has_source else _AGAIN_S
        for session in peers:
            asked = self._asked.get(session.id)
            if asked is None or self._uptime - asked[1] >= again_s:
                self._asked[session.id] = asked = [session, self._uptime, False]
                self._is_asking = True
                asked[2] = await self._ask(services, session)
                self._is_asking = False
        for asked in list(self._asked.values()):
            if asked[2] and self.fetch:
                asked[2] = await self._work()[2](self, asked[0])

    async def _ask(self, services, session):
        """Ask a peer what there is, and begin with it. True: it has what is fetched."""
        payload = bytes((_ASK,)) + self.floor.to_bytes(4, "big") + self.boards
        try:
            text = await services.call(session, METHOD, payload, _ANSWER_MS)
        except Exception:
            return False  # it has no updates, or is gone
        return len(text) > 0 and await self._work()[0](self, session, text)

    def _work(self):
        """`consider`, `resume` and `pull` of taking.py, which goes again when they are done."""
        before = list(sys.modules)
        from .taking import consider, pull, resume

        unload(before)
        return consider, resume, pull

    def rest(self):
        """Nothing is begun for a while, longer each time, and then everybody is asked anew."""
        self._rests_s = self._uptime + (_RETRY_S << self.troubles)
        self.troubles = min(self.troubles + 1, _DOUBLED_MOST)
        self._asked.clear()

    def leave(self):
        """Give up the update that is on its way. What came stays in its folder."""
        if self.fetch:
            self.fetch.files.close()
            self.fetch = None
            collect()
