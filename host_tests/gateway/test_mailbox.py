"""Mail for boards that sleep, and the time for boards without a clock."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from functools import partial

import pytest
from picoswarm.failures import RequestError
from picoswarm.mailbox import hear, leave, letters
from picoswarm_gateway.families.mailbox import PLACES, MailboxTable
from picoswarm_gateway.gateway import Gateway
from small_mesh import HOST, until


def heard_of(gateway, node) -> bool:
    """Whether the gateway knows what the node subscribed to."""
    return any(state[0].id == node.id and state[1] for state in gateway.node._services.pubsub.peers.values())


async def take_all(node) -> list:
    return [mail async for mail in letters(await node.gateway("mailbox", 60_000))]


def test_a_letter_waits_until_its_reader_wakes(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway:
            async with mesh.node("sleeper", gateway) as sleeper:
                reader = sleeper.id
            async with mesh.node("writer", gateway) as writer:
                box = await writer.gateway("mailbox", 60_000)
                await leave(box, reader, b"first")
                await leave(box, reader, b"second")
                async with mesh.node("sleeper", gateway) as sleeper:
                    mail = await take_all(sleeper)
                    assert [(each.topic, each.payload, each.origin) for each in mail] == [
                        (None, b"first", writer.id),
                        (None, b"second", writer.id),
                    ]
                    assert all(each.age < 60 for each in mail)
                    assert await take_all(sleeper) == []
                assert await take_all(writer) == []

    asyncio.run(story())


def test_mail_outlives_the_gateway_and_comes_again_until_it_is_taken(mesh):
    async def story():
        config = mesh.config()
        async with Gateway(config) as gateway, mesh.node("board", gateway) as board:
            await leave(await board.gateway("mailbox", 60_000), board.id, b"note to self")
        async with Gateway(config) as gateway, mesh.node("board", gateway) as board:
            for _ in range(2):
                async for mail in letters(await board.gateway("mailbox", 60_000)):
                    assert mail.payload == b"note to self"
                    break  # not asked for the next one: it was not taken
            assert [mail.payload for mail in await take_all(board)] == [b"note to self"]
            assert await take_all(board) == []

    asyncio.run(story())


def test_what_is_published_under_its_filters_waits_for_a_sleeper_and_nothing_else(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway, mesh.node("writer", gateway) as writer:
            await until(writer.sessions)
            async with mesh.node("sleeper", gateway) as sleeper:
                await hear(await sleeper.gateway("mailbox", 60_000), ["garden/#"])
                heard = sleeper.subscribe("garden/#")
                await until(lambda: heard_of(gateway, sleeper))
                await writer.publish("garden/early", b"it is awake")
                assert (await anext(heard)).payload == b"it is awake"
                reader = sleeper.id
            await until(lambda: reader not in {session[0] for session in gateway.node.sessions()})
            await writer.publish("garden/water", b"on")
            await writer.publish("kitchen/light", b"off")
            await writer.publish("garden/gate", b"shut")
            await until(lambda: gateway.families["mailbox"].put == 2)
            async with mesh.node("sleeper", gateway) as sleeper:
                mail = await take_all(sleeper)
                assert [(each.topic, each.payload, each.origin) for each in mail] == [
                    ("garden/water", b"on", writer.id),
                    ("garden/gate", b"shut", writer.id),
                ]
                await hear(await sleeper.gateway("mailbox", 60_000), [])
                assert gateway.families["mailbox"].state()["sleepers"] == 0

    asyncio.run(story())


def test_a_full_box_loses_its_oldest_mail_and_counts_it(mesh):
    async def story():
        table = MailboxTable(messages=3, bytes=100)
        async with Gateway(mesh.config(mailbox=table)) as gateway, mesh.node("board", gateway) as board:
            box = await board.gateway("mailbox", 60_000)
            for text in (b"a", b"b", b"c", b"d"):
                await leave(box, board.id, text)
            assert [mail.payload for mail in await take_all(board)] == [b"b", b"c", b"d"]
            await leave(box, board.id, b"e" * 60)
            await leave(box, board.id, b"f" * 60)
            assert [mail.payload for mail in await take_all(board)] == [b"f" * 60]
            assert gateway.families["mailbox"].dropped == 2
            with pytest.raises(RequestError, match="too long"):
                await leave(box, board.id, b"g" * 101)

    asyncio.run(story())


def test_all_boxes_together_are_bounded(mesh):
    async def story():
        async with Gateway(mesh.config(mailbox=MailboxTable(total=2))) as gateway, mesh.node("board", gateway) as board:
            box = await board.gateway("mailbox", 60_000)
            strangers = [bytes((number,)) + bytes(31) for number in (2, 3)]
            await leave(box, board.id, b"the oldest of all")
            for id32 in strangers:
                await leave(box, id32, b"x")
            assert await take_all(board) == []
            assert await gateway.db.read("SELECT count(*) FROM mailbox_mail") == [(2,)]

    asyncio.run(story())


def test_letters_reach_the_gateway_that_owns_the_box(mesh):
    async def story():
        first = Gateway(mesh.config("first"))
        async with first:
            config = mesh.config("second")
            config.mesh.bootstrap = [f"127.0.0.1:{first.config.mesh.port}"]
            async with Gateway(config) as second, mesh.node("writer", first, second) as writer:
                await until(lambda: len(first.owners.gateways) == len(second.owners.gateways) == 2)
                boxes = [bytes((number,)) + bytes(31) for number in range(2, 12)]
                box = await writer.gateway("mailbox", 60_000)
                for id32 in boxes:
                    await leave(box, id32, b"x")
                for gateway in (first, second):
                    held = {row[0] for row in await gateway.db.read("SELECT box FROM mailbox_mail")}
                    assert held == {id32 for id32 in boxes if first.owners.owner(id32) == gateway.id}
                with pytest.raises(RequestError, match="only gateways"):
                    await writer.request(first.id, "mailbox/keep", writer.id + writer.id + b"forged sender")

    asyncio.run(story())


MALFORMED = [
    ("put", b""),
    ("put", bytes(31)),
    ("put", b"\x02" + bytes(31)),
    ("put", b"\xff" * 32 + b"x"),
    ("take", b""),
    ("take", bytes(5)),
    ("hear", b"\x05a"),
    ("hear", b"\x02a#"),
    ("hear", b"\x01a" * 9),
    ("hear", b"\0"),
]


def test_malformed_requests_are_refused(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway, mesh.node("board", gateway) as board:
            box = await board.gateway("mailbox", 60_000)
            for verb, payload in MALFORMED:
                with pytest.raises(RequestError):
                    raise AssertionError(f"{verb} {payload}: {await box.request(verb, payload)}")
            assert await gateway.db.read("SELECT * FROM mailbox_mail") == []

    asyncio.run(story())


def test_nobody_fills_the_boxes_of_others(mesh):
    async def story():
        table = MailboxTable(messages=4, sender=2, sender_total=3)
        async with (
            Gateway(mesh.config(mailbox=table)) as gateway,
            mesh.node("reader", gateway) as reader,
            mesh.node("writer", gateway) as writer,
        ):
            mine, theirs = await reader.gateway("mailbox", 60_000), await writer.gateway("mailbox")
            await leave(mine, reader.id, b"a note to self")
            for text in (b"1", b"2"):
                await leave(theirs, reader.id, text)
            with pytest.raises(RequestError, match="letters wait there"):
                await leave(theirs, reader.id, b"3")
            await leave(theirs, bytes([2]) + bytes(31), b"x")
            with pytest.raises(RequestError, match="letters wait here"):
                await leave(theirs, bytes([3]) + bytes(31), b"x")
            assert [mail.payload for mail in await take_all(reader)] == [b"a note to self", b"1", b"2"]
            await leave(theirs, reader.id, b"3")
            assert [mail.payload for mail in await take_all(reader)] == [b"3"]

    asyncio.run(story())


def test_old_mail_goes(mesh):
    async def story():
        config = mesh.config(mailbox=MailboxTable(days=1e-9))
        async with Gateway(config) as gateway, mesh.node("board", gateway) as board:
            await leave(await board.gateway("mailbox", 60_000), board.id, b"x")
        async with Gateway(config) as gateway, mesh.node("board", gateway) as board:
            await until(lambda: gateway.families["mailbox"].expired == 1)
            assert await take_all(board) == []

    asyncio.run(story())


def test_a_gateway_gives_the_time(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway, mesh.node("board", gateway) as board:
            answer = await (await board.gateway("time", 60_000)).request("now")
            told = int.from_bytes(answer[:4], "big") + int.from_bytes(answer[4:], "big") / 1000
            assert len(answer) == 6 and abs(told - time.time()) < 5

    asyncio.run(story())


def met(*gateways) -> bool:
    """Whether these gateways have sessions with each other, and no others."""
    return all(each.owners.gateways == {other.id for other in gateways} for each in gateways)


def test_mail_that_came_while_the_owner_of_a_box_was_away_is_found_when_it_is_back(mesh):
    async def story():
        configs = {"one": mesh.config("one"), "two": mesh.config("two")}
        configs["two"].mesh.bootstrap = [f"{HOST}:{configs['one'].mesh.port}"]
        configs["one"].mesh.bootstrap = [f"{HOST}:{configs['two'].mesh.port}"]
        async with AsyncExitStack() as stack:
            up = {name: await stack.enter_async_context(Gateway(config)) for name, config in configs.items()}
            async with mesh.node("writer", *up.values()) as writer, mesh.node("sleeper", *up.values()) as sleeper:
                reader = sleeper.id
                await until(lambda: met(*up.values()))
                mine = next(name for name in up if up[name].owners.is_mine(reader))
                other = next(name for name in up if name != mine)
                await leave(await writer.gateway("mailbox", 60_000), reader, b"while both are up")
                await up[mine].stop()
                await until(lambda: met(up[other]))
                await leave(await writer.gateway("mailbox", 60_000), reader, b"while its owner is away")
                assert up[other].families["mailbox"].put == 1
            up[mine] = await stack.enter_async_context(Gateway(configs[mine]))
            await until(lambda: met(*up.values()) and up[mine].families["mailbox"].state()["elsewhere"])
            async with mesh.node("sleeper", up[mine]) as sleeper:
                # It may find the other gateway before its owner.
                mail = {mail.payload for mail in await take_all(sleeper)}
                assert mail == {b"while both are up", b"while its owner is away"}
                assert await take_all(sleeper) == []

    asyncio.run(asyncio.wait_for(story(), 120))


def test_who_wakes_at_a_gateway_that_is_not_its_owner_is_sent_to_the_owner_once(mesh):
    async def story():
        configs = {"one": mesh.config("one"), "two": mesh.config("two")}
        configs["two"].mesh.bootstrap = [f"{HOST}:{configs['one'].mesh.port}"]
        async with Gateway(configs["one"]) as one, Gateway(configs["two"]) as two:
            await until(lambda: met(one, two))
            async with mesh.node("writer", one) as writer, mesh.node("sleeper", one, two) as sleeper:
                mine, other = (one, two) if one.owners.is_mine(sleeper.id) else (two, one)
                await leave(await writer.gateway("mailbox", 60_000), sleeper.id, b"at the owner")
                take = partial(sleeper.request, other.id, "mailbox/take", bytes(4), 30_000)
                assert [await take(), await take()] == [mine.id, b""]

    asyncio.run(asyncio.wait_for(story(), 120))


def test_only_gateways_say_where_mail_waits_and_a_number_of_one_gateway_means_nothing_to_another(mesh):
    async def story():
        async with Gateway(mesh.config("one")) as one, mesh.node("board", one) as board:
            box = await board.gateway("mailbox", 60_000)
            with pytest.raises(RequestError, match="only gateways"):
                await box.request("waits", board.id)
            for text in (b"a", b"b", b"c"):
                await leave(box, board.id, text)
            for number in range(1, 5):
                await box.request("take", number.to_bytes(4, "big"))  # as of another gateway, which began to count lately
            assert [mail.payload for mail in await take_all(board)] == [b"a", b"b", b"c"]

    asyncio.run(asyncio.wait_for(story(), 90))


def test_gateways_that_are_gone_keep_no_live_one_from_saying_that_it_has_mail(mesh):
    async def story():
        async with Gateway(mesh.config()) as gateway:
            verbs, owners = gateway.families["mailbox"].verbs, gateway.owners
            board, *gone, live = (secrets.token_bytes(32) for _ in range(PLACES + 2))
            owners.gateways |= set(gone)
            for each in gone:
                await verbs["waits"](each, board)
            owners.gateways = {gateway.id, live}
            await verbs["waits"](live, board)
            none_yet = bytes(4)
            assert await verbs["take"](board, none_yet) == live
            assert await verbs["take"](board, none_yet) == b""

    asyncio.run(asyncio.wait_for(story(), 60))
