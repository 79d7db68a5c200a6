"""The package: loading models against plain pydantic, and operations against redis-py with pydantic."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
import timeit
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeAlias, cast

import redis.asyncio
from pydantic import BaseModel, ConfigDict

from _servers import Server
from benchmarks._ratio import Result, compare_rates
from rapyer import AtomicRedisModel, apipeline, init_rapyer, teardown_rapyer
from rapyer.types import RedisInt, RedisList

Act: TypeAlias = Callable[[], Awaitable[object]]
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]

READS = 5_000
FINDS = 50
FOUND = 1_000
LISTED = 500
LOADS = 100_000
TASKS = 100


class Session(AtomicRedisModel):
    """A session as the package keeps it."""

    user_id: str
    last_page: str
    visits: int
    tags: list[str]
    note: str


Session.Meta.ttl = 1800


class PlainSession(BaseModel):
    """The same session without the package."""

    user_id: str
    last_page: str
    visits: int
    tags: list[str]
    note: str


class CheckedSession(PlainSession):
    """The same, checking what is assigned as models of the package do."""

    model_config = ConfigDict(validate_assignment=True)


STORED = PlainSession(
    user_id="u-184467", last_page="/checkout", visits=42, tags=["a", "b"], note="x" * 100
).model_dump_json()


def loads() -> Iterator[Result]:
    """A stored document becoming a model, as aget does it with a reply."""
    text = STORED.encode()

    def rate(load: Callable[[bytes], BaseModel]) -> float:
        began = time.perf_counter()
        for _ in range(LOADS):
            load(text)
        return LOADS / (time.perf_counter() - began)

    yield compare_rates(
        "models loaded against plain pydantic",
        lambda: rate(partial(Session._rapyer_from_text, "Session:1")),
        lambda: rate(PlainSession.model_validate_json),
        1 / 1.15,
    )


def accesses() -> Iterator[Result]:
    """Fields of a model at hand: a descriptor that binds what it hands out, and a checked assignment."""
    ours = Session(user_id="u", last_page="/", visits=1, tags=[], note="")
    plain = CheckedSession(**ours.model_dump())

    def rate(statement: str, session: BaseModel) -> float:
        return LOADS / timeit.timeit(statement, globals={"session": session}, number=LOADS)

    # 200 ns where an attribute of pydantic's costs 19 ns, and 500 ns where assigning one costs 320 ns.
    uses = (("read", "session.visits", 19 / 200), ("assigned", "session.visits = 2", 320 / 500))
    for claim, statement, goal in uses:
        yield compare_rates(
            f"a field {claim} against pydantic's, with validate_assignment",
            partial(rate, statement, ours),
            partial(rate, statement, plain),
            goal,
        )


def reads() -> Iterator[Result]:
    """Aget on a real server against GET and validation by hand."""
    server = Server.start("redis")
    loop = asyncio.new_event_loop()
    try:
        yield from reads_from(server, loop)
    finally:
        loop.close()
        server.stop()


def reads_from(server: Server, loop: asyncio.AbstractEventLoop) -> Iterator[Result]:
    run = loop.run_until_complete
    with on_one_core(server):
        run(prepare(server))
        client = redis.asyncio.Redis(port=server.port, max_connections=TASKS)

        async def plain() -> BaseModel:
            stored = await client.get("plain")
            assert stored is not None
            return PlainSession.model_validate_json(stored)

        async def ours() -> BaseModel:
            return await Session.aget("Session:1")

        yield compare_rates(
            "aget in sequence against redis-py GET and validation",
            lambda: run(in_sequence(ours)),
            lambda: run(in_sequence(plain)),
            1.1,
        )
        yield compare_rates(
            "aget by 100 tasks against redis-py GET and validation",
            lambda: run(by_tasks(ours)),
            lambda: run(by_tasks(plain)),
            4.0,
        )
        yield from writes_to(client, run)
        run(client.aclose())
        run(teardown_rapyer())


def writes_to(client: redis.asyncio.Redis, run: Run) -> Iterator[Result]:
    """Saves, blocks, counters and finding many, against redis-py doing the same by hand."""

    def rate(act: Act, times: int = READS) -> float:
        return cast("float", run(in_sequence(act, times)))

    ours = Session.model_validate_json(STORED)
    ours.pk = "1"
    plain = PlainSession.model_validate_json(STORED)
    visits = itertools.count()

    async def save_ours() -> None:
        ours.visits = next(visits)
        await ours.asave()

    async def save_plain() -> None:
        plain.visits = next(visits)
        await client.set("plain", plain.model_dump_json(), ex=1800)

    async def block_of_ours() -> None:
        async with apipeline():
            ours.visits += 1
            ours.last_page = "/cart"
            ours.note = "changed"

    async def block_of_plain() -> None:
        async with client.pipeline(transaction=True) as pipe:
            pipe.hincrby("hash", "visits", 1)
            pipe.hset("hash", "last_page", "/cart")
            pipe.hset("hash", "note", "changed")
            await pipe.execute()

    async def increase_ours() -> None:
        await cast("RedisInt", ours.visits).aincrease()

    async def increase_plain() -> None:
        await client.incr("counter")

    for claim, one, other, goal in (
        ("assign and asave in sequence against dump and SET EX", save_ours, save_plain, 1.1),
        ("a block of three operations against MULTI with three", block_of_ours, block_of_plain, 1.0),
        ("aincrease in sequence against INCR", increase_ours, increase_plain, 1.0),
    ):
        yield compare_rates(claim, partial(rate, one), partial(rate, other), goal)

    keys = [f"Session:{n}" for n in range(FOUND)]
    plain_keys = [f"plain:{n}" for n in range(FOUND)]
    run(put_many(client, keys, plain_keys))

    async def find_ours() -> None:
        await Session.afind(*keys)

    async def find_plain() -> None:
        for text in await client.mget(plain_keys):
            PlainSession.model_validate_json(cast("bytes", text))

    yield compare_rates(
        f"afind of {FOUND:,} keys against MGET and validation",
        partial(rate, find_ours, FINDS),
        partial(rate, find_plain, FINDS),
        0.95,
    )


async def put_many(client: redis.asyncio.Redis, keys: list[str], plain_keys: list[str]) -> None:
    sessions = [Session.model_validate_json(STORED) for _ in keys]
    for key, session in zip(keys, sessions, strict=True):
        session.pk = key.removeprefix("Session:")
    await Session.ainsert(*sessions)
    await client.mset(dict.fromkeys(plain_keys, STORED))


class Log(AtomicRedisModel):
    """A list that may be long."""

    lines: RedisList[int] = RedisList()


def growth() -> Iterator[Result]:
    """A list of a million elements against one of a thousand, both in process: awaited changes at its end."""
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    try:
        run(init_rapyer(redis="embedded://growth"))
        short, long = (run(Log(lines=list(range(length))).asave()) for length in (1_000, 1_000_000))

        def rate(act: Act) -> float:
            return run(in_sequence(act, LISTED))

        async def append(log: Log) -> None:
            await log.lines.aappend(1)

        async def pop(log: Log) -> None:
            await log.lines.apop()

        for name, act in (("aappend", append), ("apop", pop)):
            # The first one parses the document.
            run(act(short))
            run(act(long))
            yield compare_rates(
                f"{name} at the end of a list of 1,000,000 against one of 1,000",
                partial(rate, partial(act, long)),
                partial(rate, partial(act, short)),
                0.8,
            )
        run(teardown_rapyer())
    finally:
        loop.close()


@contextlib.contextmanager
def on_one_core(server: Server) -> Iterator[None]:
    """Keeps server and client on one core, so that their work is measured.

    On two, a command in sequence mostly waits for an idle core to wake up, which on a virtual machine takes
    longer than everything else and says nothing of either client.
    """
    cores = os.sched_getaffinity(0)
    for process in (0, server.pid):
        os.sched_setaffinity(process, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def prepare(server: Server) -> None:
    await init_rapyer(redis=server.url)
    session = Session.model_validate_json(STORED)
    session.pk = "1"
    await session.asave()
    async with redis.asyncio.Redis(port=server.port) as client:
        await client.set("plain", STORED, ex=1800)


async def in_sequence(act: Act, times: int = READS) -> float:
    began = time.perf_counter()
    for _ in range(times):
        await act()
    return times / (time.perf_counter() - began)


async def by_tasks(read: Callable[[], Awaitable[object]]) -> float:
    each = READS * 4 // TASKS

    async def task() -> None:
        for _ in range(each):
            await read()

    began = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(TASKS)))
    return each * TASKS / (time.perf_counter() - began)
