"""What applications get from sessions: publish/subscribe, requests, streams (docs/architecture.md). It stands between the
user's coroutines and the `Swarm` engine with its reactors; its first methods are those of `Node`. Streams are in streams.py.
"""

import sys
from asyncio import Event, create_task
from collections import deque, namedtuple

from .compat import collect, const, format_ip, sleep_ms, ticks_add, ticks_diff, ticks_ms, unload
from .identity import check_id

_OPENED = const(3)  # events of the swarm
_CLOSED = const(4)
_STREAM = const(5)
_RESET = const(9)

_CALL = const(1)  # events of rpc
_DONE = const(2)
_TASK = const(4)  # of what is served
_OK = const(0)
_REFUSED = const(2)
_FAILED = const(3)
_BUSY = const(4)
_TIMEOUT = const(128)
_LOST = const(129)

_BYE = const(0)  # see reasons.py
_MEMORY = const(16)
_UNSERVED = const(25)
_BROKEN = const(26)

_OPEN = const(4)  # a session's stage
_RETRY_MS = const(50)
_LONGEST_MS = const(0x1FFFFFFF)  # six days, as far as ticks tell earlier from later
_NAME = const(60)  # bytes of the name of a stream, see mux.py
_STREAM_PRIORITY = const(5)

Message = namedtuple("Message", ("topic", "payload", "origin", "is_proven"))


def _refuse(text):
    from .errors import LocalError

    raise LocalError(text)


def _fail(status, text=""):
    from .failures import request_error

    raise request_error(status, text)


class Subscription:
    """Messages on a topic filter, for `async for`; a few wait, and `dropped` counts those that nobody fetched in time: the
    oldest ones, or with `drop_new` the newest. `close` ends it."""

    def __init__(self, services, text, is_signed, most, drop_new=False):
        from .pubsub import matches

        self.dropped = 0
        self.filter = text
        self.is_signed = is_signed
        self.drop_new = drop_new
        self._matches = matches
        self._services = services
        self._raw = bytes((len(text.encode()),)) + text.encode()
        self._most = most
        self._waiting = deque((), most + 1)  # the end has a place of its own
        self._arrived = Event()

    def offer(self, raw, message):
        """Take a message whose topic matches; None: the node is closed."""
        if message is None or self._matches(self._raw, 0, raw, 1):
            if message is not None and len(self._waiting) == self._most:
                self.dropped += 1
                if self.drop_new:
                    return
                self._waiting.popleft()
            self._waiting.append(message)
            self._arrived.set()

    def close(self):
        """Hear no more."""
        self._services.unsubscribe(self)
        self.offer(None, None)

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._waiting.popleft()
        if message is None:
            self._waiting.append(None)
            self._arrived.set()
            raise StopAsyncIteration
        return message


async def _relayed(stream):
    """A gateway brings somebody who cannot connect to us."""
    try:
        from .relay import accept

        return await accept(stream)
    except MemoryError:  # whoever wants in goes, and the gateway stays
        collect()
        stream.reset(_MEMORY)


class Services:
    """See the module. `pubsub`, `rpc`, `logstats`: the reactors, None where the profile leaves them out."""

    # What stays as it is at most nodes takes no memory in the object.
    answers = None  # see asking.py
    is_changing = False  # a change of keys is verified, see rekey.py

    def __init__(self, node, swarm, links, pubsub, rpc, logstats):
        self.faults = 0  # handlers of the user that raised; the last one is `fault`
        self.fault = None
        self.swarm = swarm
        self.links = links
        self.pubsub = pubsub
        self.rpc = rpc
        self.logstats = logstats
        self._node = node
        self.handlers = {"/relayed/1": _relayed}  # by name: of streams and of requests
        self._streams = {}  # by (session, channel)
        self._subscriptions = []
        self._calls = {}  # [Event, status, payload] by number
        swarm.manager.in_use = self._in_use

    # Publish and subscribe

    def _served(self, reactor):
        if reactor is None:
            _refuse("the profile of this node leaves that out")
        return reactor

    def subscribe(self, topics, signed=False, drop_new=False):
        """Hear the topics that match a filter ("+" stands for one level, "#" for the rest), as an async iterator of Messages
        (topic, payload, origin, is_proven). `signed`: only those that their origin signed, or sent itself. Of more
        than `deliveries` that wait to be fetched the oldest is dropped, with `drop_new` the newest. Raises LocalError."""
        signed = bool(signed)
        for other in self._subscriptions:
            if other.filter == topics and other.is_signed != signed:
                _refuse("this filter cannot be subscribed to both signed and not")
        self._topics()[0](self._served(self.pubsub), topics, ticks_ms(), signed)
        subscription = Subscription(self, topics, signed, self.swarm.profile.deliveries, drop_new)
        self._subscriptions.append(subscription)
        self.links.turn()
        return subscription

    def _topics(self):
        """`subscribe` and `unsubscribe` of topics.py, which goes again when they are done."""
        before = list(sys.modules)
        from .topics import subscribe, unsubscribe

        unload(before)
        return subscribe, unsubscribe

    def unsubscribe(self, subscription):
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            for other in self._subscriptions:
                if other.filter == subscription.filter:
                    return
            self._topics()[1](self.pubsub, subscription.filter, ticks_ms())
            self.links.turn()

    async def publish(self, topic, payload, signed=False, wait_ms=0):
        """Send a message, bytes or a text as UTF-8, to whoever hears the topic, but for this node itself. Returns to how
        many peers it went at once; it is kept for those that come within 10 s, or whose queue is full. Of one node a peer
        takes `publish_burst` messages at once, 40, then one each `publish_ms`, 50, and drops the others unseen, which
        nobody here hears of: it counts them as `pubsub_flooded`. `wait_ms` waits so long for full queues, and before that
        for a time when peers with this node's own numbers will take the message. `signed` takes a board a second and lets
        nodes far away believe who sent it. Raises LocalError, and StoreError where the seed to sign with cannot be read."""
        text = self._served(self.pubsub).compose(topic, payload, bool(signed))
        if signed:
            from .saves import load_seed

            seed = load_seed(self._node._folder)  # which forgets what it loaded, and what was loaded behind it
            from .signing import sign

            job = sign(text, seed)
            while job.step():
                await sleep_ms(0)
            text[-64:] = job.result
        if wait_ms:
            from .waiting import take_turn, wait

            wait_ms = await take_turn(self.pubsub, wait_ms)
        count = self.pubsub.publish(text, ticks_ms())
        self.links.turn()
        if wait_ms:
            count = await wait(self.pubsub, text, count, wait_ms)
        return count

    # Sessions, requests and streams

    async def session(self, id32, ms, is_direct=False):
        """An open session with a node: that which is there, or a new one, through a gateway where there is no other way
        (unless `is_direct`). Raises a RequestError, LocalError, or MemoryError where a lookup has none."""
        id32 = check_id(id32)
        session = self.swarm.peers.get(id32)
        if session is None or session.stage != _OPEN:
            from .seeking import seek

            session = await seek(self, id32, min(ms, _LONGEST_MS), is_direct)
        return session

    def _in_use(self, link):
        from .steering import in_use

        return in_use(self.rpc, self._streams, link)

    async def request(self, id32, method, payload=b"", timeout_ms=10000):
        """Call a method of another node with bytes, or a text as UTF-8, and return its answer, bytes. Raises a RequestError:
        NoMethod, Refused, HandlerFailed, Busy, TooLong, TimedOut, SessionLost, Unreachable."""
        self._served(self.rpc)
        deadline = ticks_add(ticks_ms(), min(timeout_ms, _LONGEST_MS))
        session = await self.session(id32, timeout_ms)
        return await self.call(session, method, payload, ticks_diff(deadline, ticks_ms()))

    async def call(self, session, method, payload, ms):
        """`request`, of the peer of a session."""
        deadline = ticks_add(ticks_ms(), ms)
        while True:
            left = ticks_diff(deadline, ticks_ms())
            if left <= 0 or session.stage != _OPEN:
                _fail(_TIMEOUT if left <= 0 else _LOST)
            number = self.rpc.call(session, method, payload, ticks_ms(), left)
            if number:
                break
            await sleep_ms(_RETRY_MS)
        waiting = self._calls[number] = [Event(), _TIMEOUT, b""]
        self.links.turn()
        try:
            await waiting[0].wait()
        finally:
            self._calls.pop(number, None)
            call = self.rpc.find(number)
            if call:  # cancelled: its place is free
                self.rpc.give_up(call)
                self.links.turn()
        if waiting[1] != _OK:
            _fail(waiting[1], waiting[2])
        return waiting[2]

    async def open_stream(self, id32, protocol, timeout_ms=10000):
        """A Stream to another node, by the name of a protocol such as "/echo/1.0.0". Raises a RequestError."""
        return self.stream(await self.session(id32, timeout_ms), protocol)

    def stream(self, session, name):
        """A Stream to the peer of an open session. Raises a RequestError."""
        # What a stream heard last may still be on its way to it: its id is no other one's before.
        channel = session.mux.open(name.encode(), _STREAM_PRIORITY, [key[1] for key in self._streams if key[0] is session])
        if not channel:
            _fail(_BUSY, "as many streams as there may be")
        try:
            stream = self._add_stream(session, channel, name)
        except MemoryError:
            session.mux.reset(channel, _MEMORY)  # the peer has not heard of it
            raise
        self.touch(session)
        return stream

    def _add_stream(self, session, channel, name):
        from .streams import Stream

        stream = self._streams[session, channel] = Stream(self, session, channel, name)
        return stream

    def sessions(self):
        """See `Node.sessions`."""
        found = []
        for session in self.swarm.peers.values():
            if session.stage == _OPEN:
                found.append((session.id, format_ip(session.ip), session.is_outbound, session.hello.name))
        return found

    def add_stats(self, values):
        """Put counters and gauges of sessions into a dict, by name."""
        swarm = self.swarm
        values["sessions"] = len(swarm.peers)
        values["handler_faults"] = self.faults
        values["faults"] += self.links.faults + swarm.faults
        values["out_of_memory"] += self.links.out_of_memory
        for part, counter in (("pubsub", self.pubsub), ("rpc", self.rpc)):
            if counter:
                from .counters import names

                counts = iter(counter.counts)
                for name in names(part).split():
                    values[part + "_" + name] = next(counts)

    def last_fault(self):
        """The last exception that a turn, or a handler of the user, ended with."""
        return self.links.fault or self.swarm.fault or self.fault

    def log(self, line):
        """Add a line to the log that other nodes can read."""
        if self.logstats:
            self.logstats.write(line, ticks_ms())
            self.links.turn()

    def handle(self, name, handler):
        """Serve a protocol ("/echo/1.0.0": a coroutine function of one Stream), or a method ("temperature": a function, or
        coroutine function, of the caller's id and the payload, that returns bytes, a text or None). It is cancelled 5 s
        after nobody waits for its answer any more. A second handler of one name takes the place of the first. What the
        handler of a protocol leaves unread when it returns is thrown away, unless it returns its stream, which then stays
        open."""
        if name[:1] != "/":
            self._served(self.rpc).register(name)
        elif len(name.encode()) > _NAME:
            _refuse("the name of a protocol has at most 60 bytes")
        self.handlers[name] = handler

    def touch(self, session):
        """Bytes of a session were read or written."""
        session.touch()
        self.links.turn()

    def forget(self, session, channel):
        """A stream is over."""
        self._streams.pop((session, channel), None)
        self.touch(session)

    def change_keys(self, id32, payload):
        """Serve the method "keys"."""
        return self._rekey()[0](self, id32, payload)

    def _rekey(self):
        """`take` and `offer` of rekey.py, which goes again when they are done."""
        before = list(sys.modules)
        from .rekey import offer, take

        unload(before)
        return take, offer

    def end_epoch(self, epoch):
        """A network key is no longer valid."""
        self.swarm.end_epoch(epoch, ticks_ms())
        self.links.turn()

    # What comes from below

    def on_event(self, event):
        """An event of the swarm."""
        kind = event[0]
        session = event[1]
        if kind == _OPENED:
            self._node.events.put(("connected", session.id))
            keys = self.swarm.membership
            if keys.serial and session.epoch != keys.highest.epoch:
                create_task(self._rekey()[1](self, session))
        elif kind == _CLOSED:
            for _ in range(len(self._streams)):  # without a list of them: this must not lack memory
                for key in self._streams:
                    if key[0] is session:
                        self._streams.pop(key).on_event(_CLOSED, event[2])
                        break
            self._node.events.put(("disconnected", session.id, event[2]))
        elif kind == _STREAM:
            try:
                name = str(event[3], "utf-8")
            except ValueError:
                name = ""
            handler = self.handlers.get(name) if name[:1] == "/" else None
            if handler is None:
                session.mux.reset(event[2], _UNSERVED)
            else:
                try:
                    create_task(self._serve_stream(handler, self._add_stream(session, event[2], name)))
                except MemoryError as error:
                    self._note(error, session)
            session.touch()
        else:
            stream = self._streams.get((session, event[2]))
            if stream:
                stream.on_event(kind, event[3])
                if kind == _RESET:
                    self._streams.pop((session, event[2]))

    def on_turn(self):
        """Whatever the reactors have for the user."""
        pubsub = self.pubsub
        delivery = pubsub.next_event() if pubsub else None
        while delivery is not None:
            message = Message(*delivery)
            raw = message.topic.encode()
            raw = bytes((len(raw),)) + raw
            for subscription in self._subscriptions:
                subscription.offer(raw, message)
            delivery = pubsub.next_event()
        rpc = self.rpc
        event = rpc.next_event() if rpc else None
        while event is not None:
            served = event[1]
            if event[0] == _CALL:
                try:
                    served[_TASK] = create_task(self._serve_call(*event[1:]))
                except MemoryError as error:
                    self._note(error, served[0])
            elif event[0] != _DONE:
                if served[_TASK]:  # memory sufficed for it
                    served[_TASK].cancel()
            else:
                waiting = self._calls.get(served)
                if waiting:
                    waiting[1] = event[2]
                    waiting[2] = event[3]
                    waiting[0].set()
            event = rpc.next_event()

    async def _serve_call(self, served, method, payload):
        peer = served[0]
        status = _FAILED
        text = b""
        try:
            result = (self.handlers.get(method) or self._about)(peer.id, payload)
            if hasattr(result, "send"):  # a coroutine
                result = await result
            if isinstance(result, str):
                result = result.encode()
            text = b"" if result is None else b"" + result
            status = _OK
        except Exception as error:
            status = getattr(error, "status", 0)
            if status not in (_REFUSED, _BUSY):
                self._note(error, peer)
                status = _FAILED
            text = str(error)[:64].encode()
        finally:  # one that was cancelled too, or its place stays taken
            served[_TASK] = None  # which knows the exception, which knows this
            try:
                self.rpc.now = ticks_ms()
                self.rpc.reply(served, status, text)
            except Exception as error:  # the peer waits until its time is over, or with want of memory goes
                self._note(error, peer)
            self.links.turn()

    def _about(self, caller, payload):
        """The one method that every node serves."""
        before = list(sys.modules)
        from .about import about

        unload(before)
        return about(self, caller, payload)

    async def _serve_stream(self, handler, stream):
        try:
            if await handler(stream) is not stream:
                stream.leave()
        except BaseException as error:
            stream.reset(_BROKEN)
            if not isinstance(error, Exception):  # cancelled
                raise
            from .failures import StreamError

            if not isinstance(error, StreamError):  # the peer went away: the handler's business, and no fault
                self._note(error, stream._session)

    def _note(self, error, session):
        """A handler raised. Where memory ran out, its peer goes and all others stay."""
        if isinstance(error, MemoryError):
            self.links.out_of_memory += 1
            collect()
            session.close(_MEMORY)
        else:
            self.faults += 1
            self.fault = error

    def close(self):
        """Say goodbye to every peer, and wake all who wait."""
        self.links.stop()
        for waiting in self._calls.values():
            waiting[0].set()
        for stream in self._streams.values():
            stream.on_event(_RESET, _BYE)
        for subscription in self._subscriptions:
            subscription.offer(None, None)
