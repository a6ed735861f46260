"""Streams as applications have them, one after another on one session (docs/protocol.md 5.5)."""

from serving import Serving

RUNTIMES = ("cpython", "small")

_STREAM = 5  # events of a swarm above that are of streams that are there


def test_a_stream_hears_nothing_of_the_one_before_with_its_id():
    """The end of a stream, and the RESET that frees its id, come in one record; before its owner hears of that, somebody
    opens the next one."""

    async def scenario(world, a, b):
        async def echo(stream):
            while True:
                data = await stream.read()
                if not data:
                    break
                await stream.write(data)

        b.services.handle("/echo/1.0.0", echo)
        session = a.member.session(b.member)
        old = a.services.stream(session, "/echo/1.0.0")
        old.close()
        later = []
        on_event = a.services.on_event

        def hear(event):
            if event[0] > _STREAM and not later and not session.mux._row(old._channel):
                later.append(a.services.stream(session, "/echo/1.0.0"))
            on_event(event)

        a.services.on_event = hear
        await world.until(lambda: later)
        new = later[0]
        assert await old.read() == b""
        await new.write(b"hello")
        assert await new.read() == b"hello"
        new.close()
        assert await new.read() == b""
        await world.until(lambda: not a.services._streams)

    Serving().play(scenario)


def test_a_stream_that_memory_lacks_for_leaves_its_place_to_others():
    async def scenario(world, a, b):
        async def keep(stream):
            return stream

        b.services.handle("/kept/1", keep)
        session = a.member.session(b.member)
        add = a.services._add_stream

        def fails(session, channel, name):
            raise MemoryError

        for _ in range(8):
            a.services._add_stream = fails
            try:
                a.services.stream(session, "/kept/1")
                raise AssertionError("there was memory")
            except MemoryError:
                pass
        a.services._add_stream = add
        assert [a.services.stream(session, "/kept/1") for _ in range(2)]

    Serving().play(scenario)
