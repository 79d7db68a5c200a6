"""A session store's day, told twice: in this process with a clock that is moved, and on a real server.

Run it with `make demo`. Without arguments it needs no server; with --server it uses the one in RAPYER_URL,
where a minute of the story takes a twentieth of a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from rapyer import AtomicRedisModel, init_rapyer, teardown_rapyer
from rapyer.embedded import engine
from rapyer.errors import KeyNotFound
from rapyer.types import RedisInt, RedisList

WINDOW, CAP, FIXED = 30, 60, 45
"""Minutes: a session's idle window and its hard limit, and the life of a token that nothing prolongs."""


class Session(AtomicRedisModel):
    """Lives for half an hour after it was last used, and for an hour at most."""

    user: str
    page: str = "/"
    visits: RedisInt = RedisInt(0)
    cart: RedisList[str] = RedisList()


class ResetToken(AtomicRedisModel):
    """Lives for a fixed time, whoever looks at it."""

    user: str


class Story:
    """Tells what happens and writes down what it does to the time a document has left."""

    def __init__(self, place: str, minute: timedelta, passing: Callable[[int], Awaitable[None]]) -> None:
        self.minute = minute
        self._passing = passing
        self._now = 0
        headings = ("minute", "document", "what happens", "left before", "left after", "why")
        self.table = Table(*headings, title=place, title_justify="left")

    async def wait(self, minutes: int) -> None:
        await self._passing(minutes)
        self._now += minutes

    async def tell(self, what: str, document: AtomicRedisModel, act: Awaitable[object], why: str) -> None:
        before = await self._left(document)
        await act
        kind = type(document).__name__
        self.table.add_row(str(self._now), kind, what, before, await self._left(document), why)

    async def _left(self, document: AtomicRedisModel) -> str:
        try:
            left = await document.attl()
        except KeyNotFound:
            return "-"
        return "no end" if left is None else f"{left / self.minute.total_seconds():.0f} min"


async def tell(story: Story) -> None:
    Session.Meta.ttl = WINDOW * story.minute
    Session.Meta.absolute_ttl = CAP * story.minute
    ResetToken.Meta.ttl = FIXED * story.minute
    ResetToken.Meta.refresh_ttl = False

    session = Session(user="ada")
    token = ResetToken(user="ada")
    await story.tell(
        "Ada signs in", session, session.asave(), "one command stores the session and its deadline"
    )
    await story.tell("she asks for a new password", token, token.asave(), "the first deadline is always set")

    await story.wait(10)
    await story.tell(
        "a request loads the session", session, Session.aget(session.pk), "a read starts the window anew"
    )
    await story.tell(
        "someone looks at the token", token, ResetToken.aget(token.pk), "refresh_ttl=False: it stays"
    )

    await story.wait(10)
    session.page = "/checkout"
    await story.tell("she navigates: asave()", session, session.asave(), "a write starts the window anew")

    await story.wait(10)
    await story.tell(
        "visits.aincrease()", session, session.visits.aincrease(), "so does every atomic operation"
    )

    await story.wait(15)
    await story.tell(
        'cart.aappend("tea")', session, session.cart.aappend("tea"), "the cap: 60 minutes in all"
    )
    longer = 2 * CAP * story.minute
    await story.tell("aset_ttl(2 hours)", session, session.aset_ttl(longer), "the cap holds for that as well")

    await story.wait(1)
    await story.tell("the token is used", token, expect_gone(token), "its 45 minutes are over")

    await story.wait(15)
    await story.tell("Ada comes back", session, expect_gone(session), "an hour is over: she signs in again")


async def expect_gone(document: AtomicRedisModel) -> None:
    """Loading what has expired says so."""
    try:
        await type(document).aget(document.pk)
    except KeyNotFound:
        return
    raise RuntimeError(f"{document.key} should have expired")


async def main() -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    if "--server" in sys.argv[1:]:
        url = os.environ["RAPYER_URL"]
        minute = timedelta(seconds=0.05)

        async def passing(minutes: int) -> None:
            await asyncio.sleep((minutes * minute).total_seconds())

        story = Story(f"On the server at {url}, a minute in {minute.total_seconds()} s", minute, passing)
    else:
        url = "embedded://demo"
        minute = timedelta(minutes=1)

        async def passing(minutes: int) -> None:
            engine("demo").advance(seconds=(minutes * minute).total_seconds())

        story = Story("In this process, the clock moved instead of waiting", minute, passing)

    await init_rapyer(redis=url)
    await tell(story)
    await teardown_rapyer()
    console.print(story.table)


if __name__ == "__main__":
    asyncio.run(main())
