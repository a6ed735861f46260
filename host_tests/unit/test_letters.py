"""A board takes its mail, also from gateways that are wrong about who has some."""

import asyncio

from picoswarm.mailbox import letters

RUNTIMES = ("cpython", "small")
OTHER = bytes(range(32))
MAIL = bytes(4) + b"\0\0" + bytes(32) + bytes(4) + b"wake me at six"


class Box:
    """A gateway that gives `answers`, the last of them for ever; the other gateway gives `elsewhere` once."""

    def __init__(self, answers, elsewhere=b""):
        self._node = self
        self.answers = answers
        self.elsewhere = elsewhere
        self.asked = 0

    async def request(self, *what):
        self.asked += 1
        if what[0] == OTHER:
            answer, self.elsewhere = self.elsewhere, b""
            return answer
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def taken(box):
    found = []

    async def scenario():
        async for mail in letters(box):
            found.append(mail.payload)

    asyncio.run(scenario())
    return found


def test_mail_of_another_gateway_is_taken_there():
    assert taken(Box([OTHER, b""], MAIL)) == [b"wake me at six"]


def test_a_gateway_that_names_an_empty_one_again_and_again_ends_it():
    box = Box([OTHER])
    assert taken(box) == []
    assert box.asked < 20
