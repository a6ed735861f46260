"""Updates of the application over the mesh (docs/protocol.md 7.11, docs/updates.md). Loaded by who wants them:

    updater = Updater(node, ["RPI_PICO_W"])    # of a running node
    updater.start()
    await updater.ready.wait()         # a new application is in place: restart, and say `confirm` once it does well

It asks each peer once in a session whether there is an application for this board, fetches it in small pieces from any that
has it, and hands on what it runs itself. What fetching and verifying takes is loaded for that alone.
"""

import sys
from asyncio import Event, create_task

from .appslots import APP, FOLDERS, UPDATE_KEY, AppState
from .compat import collect, const, sleep_ms, ticks_diff, ticks_ms, unload
from .errors import Malformed

METHOD = "update"

_ASK = const(0)  # the first byte of a request
_NEWS = const(3)
_STATUS = const(4)

_OPEN = const(4)  # a session's stage
_MALFORMED = const(11)  # see reasons.py
_BUSY = const(4)  # status of an answer
_ENOSPC = const(28)

_TURN_MS = const(1000)
_SETTLE_MS = const(100)
_IDLE_S = const(10)  # what serving takes goes when nobody asked for so long
_PAUSE_MS = const(40)  # between two pieces: at most 6 KB in a second
_ANSWER_MS = const(10_000)
_AGAIN_S = const(3600)  # a peer is asked again
_NEED_S = const(30)  # the same, while nobody is known to have what is wanted
_RETRY_S = const(60)  # after trouble with the flash
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
        self._files = files

    def list(self, at, n):
        return self._files.note(len(self.header.text) + at, n)


class Updater:
    """See the module. `boards`: names that this board answers to: its own, its architecture, what it is for ("door").
    `root`: where app_a and app_b are. `ready`: an Event, set once a restart would start another application. `trouble`: the
    last reason for which an update was not taken, or nothing."""

    def __init__(self, node, boards=(), root=""):
        self.ready = Event()
        self.trouble = ""
        self._fetch = None  # the update that is on its way
        self._node = node
        self._root = root
        self._boards = " ".join(boards).encode()
        self._key = None
        self._state = AppState()
        self._held = None  # what runs here, while somebody asks for it
        self._asked = {}  # by id: [session, uptime when it was asked, whether it has what is fetched]
        self._refused = b""  # id of a signed update that cannot be used
        self._is_asking = False
        self._rests_s = 0  # until then nothing is begun
        self._second = self._served = 0
        self._task = None

    def start(self):
        """Begin to ask, to fetch and to serve. Raises StoreError where the folder cannot be used, LocalError where the node
        is not running."""
        self._key = self._store().read(UPDATE_KEY)
        self._read_state()
        self._node.handle(METHOD, self._serve)
        self._task = create_task(self._run())

    def stop(self):
        """Ask and fetch no more. What came stays, and is gone on with at the next start."""
        if self._task:
            self._task.cancel()
            self._task = None
        self._leave()

    @property
    def version(self):
        """Of the application that runs; 0: it came by no update."""
        return self._state.version

    def progress(self):
        """(version, chunks that are there, chunks in all) of the update that is on its way, or None."""
        fetch = self._fetch
        return fetch and (fetch.header.version, fetch.number, fetch.header.chunks)

    async def settle(self, timeout_ms):
        """For a board that is about to sleep: until all peers were asked and nothing is left to fetch, or a new application
        is in place, or the time is over. What came so far stays."""
        began = ticks_ms()
        while not self.ready.is_set() and ticks_diff(ticks_ms(), began) < timeout_ms:
            peers = self._peers()
            if peers and not self._fetch and len([1 for session in peers if session.id in self._asked]) == len(peers):
                if not self._is_asking:
                    break
            await sleep_ms(_SETTLE_MS)

    def confirm(self):
        """The application that runs does well: it stays, and neighbours may have it. Raises StoreError."""
        self._read_state()
        if self._state.confirm():
            self._store().write(APP, self._state.encode())
        create_task(self._tell())

    # State

    def _store(self):
        """The node's Store. What this loads goes when the caller is done."""
        before = list(sys.modules)
        from .store import Store

        unload(before)
        folder = self._node._folder
        return Store(folder) if isinstance(folder, str) else folder

    def _read_state(self):
        try:
            self._state = AppState(self._store().read(APP))
        except Malformed:
            self._state = AppState()  # of another version of the library

    def _files(self, slot):
        before = list(sys.modules)
        from .appfiles import AppFiles

        unload(before)
        return AppFiles(self._root, FOLDERS[slot])

    @property
    def _uptime(self):
        return self._node._discovery.uptime

    def _peers(self):
        swarm = self._node._sessions().swarm
        return [session for session in swarm.peers.values() if session.stage == _OPEN]

    def _offend(self, session):
        """Who passes on what is forged, or gives a wrong piece, did not make sure of it, or lies."""
        services = self._node._sessions()
        services.swarm.at(ticks_ms())
        services.swarm.offend(session, _MALFORMED)
        services.links.turn()

    def _trouble(self, text):
        self.trouble = text
        self._node.log("update: " + text)

    # Answers

    def _serve(self, caller, payload):
        kind = payload[0] if payload else _STATUS
        if kind == _STATUS:
            return self._status()
        if kind == _NEWS:
            asked = self._asked.get(caller)
            if asked and int.from_bytes(payload[1:5], "big") > self._state.floor:
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
        state = self._state
        if self._held is None and state.slot and not state.trial:
            try:
                self._held = _Held(self._files(state.slot))
            except (Malformed, OSError):
                pass  # it was put there by hand
        return self._held

    def _status(self):
        state = self._state
        version, number, chunks = self.progress() or (0, 0, 0)
        out = bytes((state.trial,))
        for each in (state.version, state.floor, version):
            out += each.to_bytes(4, "big")
        return out + number.to_bytes(2, "big") + chunks.to_bytes(2, "big") + self.trouble.encode()[:64]

    async def _tell(self):
        """Peers that asked before may ask again."""
        held = self._holds()
        if held:
            services = self._node._sessions()
            news = bytes((_NEWS,)) + held.header.version.to_bytes(4, "big")
            for session in self._peers():
                try:
                    await services.call(session, METHOD, news, _ANSWER_MS)
                except Exception:
                    pass  # it asks by itself, sooner or later

    # Asking and fetching

    async def _run(self):
        services = self._node._sessions()
        is_first = True
        while not services.swarm.is_closing and not self.ready.is_set():
            try:
                if self._held and self._uptime - self._second > _IDLE_S:
                    self._held = None
                if self._state.trial:
                    self._read_state()
                    if not self._state.trial:  # whoever supervises the board has confirmed it
                        await self._tell()
                if self._key and not self._state.trial:
                    if is_first:
                        is_first = False
                        await self._resume()
                    if self._uptime >= self._rests_s:
                        await self._turn(services)
            except MemoryError:
                collect()
            except Exception as error:
                self._rests_s = self._uptime + _RETRY_S
                self._trouble(repr(error))
            await sleep_ms(_TURN_MS)

    async def _resume(self):
        """Go on with what a reset, or the power, has cut off."""
        before = list(sys.modules)
        from .fetching import Fetch

        unload(before)
        try:
            header = Fetch.noted(self._files(self._state.spare()))
        except (Malformed, OSError):
            return
        if header.version > self._state.floor and header.is_for(self._boards) and await self._is_signed(header):
            self._begin(header)

    async def _turn(self, services):
        peers = self._peers()
        has_source = self._is_asking = False
        for id32 in list(self._asked):
            asked = self._asked[id32]
            if asked[0] not in peers:
                del self._asked[id32]
            else:
                has_source |= asked[2]
        again_s = _NEED_S if self._fetch and not has_source else _AGAIN_S
        for session in peers:
            asked = self._asked.get(session.id)
            if asked is None or self._uptime - asked[1] >= again_s:
                self._asked[session.id] = asked = [session, self._uptime, False]
                self._is_asking = True
                asked[2] = await self._ask(services, session)
                self._is_asking = False
        for asked in list(self._asked.values()):
            if asked[2] and self._fetch:
                asked[2] = await self._pull(services, asked[0])

    async def _ask(self, services, session):
        """Ask a peer what there is, and begin with it. True: it has what is fetched."""
        payload = bytes((_ASK,)) + self._state.floor.to_bytes(4, "big") + self._boards
        try:
            text = await services.call(session, METHOD, payload, _ANSWER_MS)
        except Exception:
            return False  # it has no updates, or is gone
        if not text:
            return False
        before = list(sys.modules)
        from .manifest import Header

        unload(before)
        try:
            header = Header(text)
        except Malformed:
            self._offend(session)
            return False
        fetch = self._fetch
        if fetch is None or header.version > fetch.header.version:
            if header.id == self._refused or header.version <= self._state.floor or not header.is_for(self._boards):
                return False
            if not await self._is_signed(header):
                self._trouble("version %d is not signed by our update key" % header.version)
                self._offend(session)
                return False
            fetch = self._begin(header)
        return fetch is not None and fetch.header.id == header.id

    async def _is_signed(self, header):
        """In slices; never two at a time, since peers are asked one after another."""
        collect()
        before = list(sys.modules)
        from .ed25519 import Verify

        unload(before)
        await sleep_ms(0)
        job = Verify(self._key, header.signature, header.signed_text())
        while job.step():
            await sleep_ms(0)
        return job.result

    def _begin(self, header):
        """A signed update for this board: have its folder ready. Returns the Fetch, or None."""
        before = list(sys.modules)
        from .appfiles import free_bytes
        from .fetching import Fetch

        unload(before)
        self._leave()
        fetch = Fetch(header, self._files(self._state.spare()))
        try:
            fetch.begin()
            if free_bytes(self._root) < fetch.missing():
                raise OSError(_ENOSPC, "")
        except Malformed as error:
            return self._refuse(fetch, error)
        except OSError as error:
            return self._fail(fetch, error)
        self._fetch = fetch
        return fetch

    def _leave(self):
        if self._fetch:
            self._fetch.files.close()
            self._fetch = None
            collect()

    def _refuse(self, fetch, error):
        """It is signed, and cannot be used."""
        self._refused = fetch.header.id
        self._leave()
        self._trouble("version %d: %s" % (fetch.header.version, error))
        fetch.files.clear()

    def _fail(self, fetch, error):
        """The flash is full, or fails. Later once more."""
        self._leave()
        self._rests_s = self._uptime + _RETRY_S
        self._asked.clear()
        is_full = error.errno == _ENOSPC
        self._trouble(
            "no room: version %d needs %d bytes" % (fetch.header.version, fetch.missing()) if is_full else repr(error)
        )
        fetch.files.clear()

    async def _pull(self, services, session):
        """Fetch from a peer, piece by piece. True: it may be asked for more."""
        fetch = self._fetch
        fetch.restart()
        while not fetch.is_complete:
            try:
                answer = await services.call(session, METHOD, fetch.question(), _ANSWER_MS)
            except Exception as error:
                return getattr(error, "status", 0) == _BUSY
            if fetch is not self._fetch or not answer:
                return False
            try:
                is_right = fetch.take(answer)
            except Malformed as error:
                return self._refuse(fetch, error)
            except OSError as error:
                return self._fail(fetch, error)
            if not is_right:
                self._trouble("a wrong piece of version %d" % fetch.header.version)
                self._offend(session)
                return False
            await sleep_ms(_PAUSE_MS)
        try:
            await self._finish(fetch)
        except OSError as error:
            self._fail(fetch, error)
        return True

    async def _finish(self, fetch):
        """Everything came. Read it back, and make it what the next start takes."""
        damaged = []
        for _ in fetch.check(damaged):
            await sleep_ms(0)
        if damaged:  # the flash gave something else back: these files are fetched again
            self._trouble("damaged on flash: " + damaged[0])
            self._rests_s = self._uptime + _RETRY_S
            return
        self._read_state()
        if fetch.header.version > self._state.floor and self._state.spare():
            self._state.switch(fetch.header.version)
            self._store().write(APP, self._state.encode())
            self.trouble = ""
            self.ready.set()
        self._leave()
