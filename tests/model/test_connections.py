"""Connections: shared by tasks, one for each event loop, lost and found again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from _servers import Kind, Server
from rapyer import AtomicRedisModel, RedisConfig, init_rapyer, teardown_rapyer
from rapyer.errors import (
    CommandError,
    ModuleNotLoadedError,
    RapyerConnectionError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)


class Note(AtomicRedisModel):
    text: str = ""
    count: int = 0


@pytest.fixture(autouse=True)
def clean_settings() -> Iterator[None]:
    yield
    Note.Meta = RedisConfig()
    AtomicRedisModel.Meta = RedisConfig()


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, server_of: Callable[[Kind], Server]) -> Server:
    running = server_of(request.param)
    with running.client() as client:
        client.flushall()
    return running


@pytest.fixture
def own_server(server_of: Callable[[Kind], Server]) -> Iterator[Server]:
    server_of("redis")
    server = Server.start("redis")
    yield server
    server.stop()


async def _connections(client: Redis[Any]) -> int:  # type: ignore[type-arg]
    return len([row for row in await client.client_list() if row["cmd"].startswith("model.")])


async def test_tasks_of_one_loop_share_one_connection(server: Server) -> None:
    await init_rapyer(redis=server.url)
    note: Any = await Note().asave()
    await asyncio.gather(*(note.count.aincrease() for _ in range(200)))
    async with Redis.from_url(server.url) as client:
        assert await _connections(client) == 1
    assert (await Note.aget(note.key)).count == 200
    await teardown_rapyer()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode_responses", [False, True])
async def test_a_client_works_whatever_it_makes_of_replies_and_stays_open(
    server: Server, decode_responses: bool, protocol: int
) -> None:
    client = Redis.from_url(server.url, decode_responses=decode_responses, protocol=protocol)
    await init_rapyer(redis=client)
    note = await Note(text="\xe9\U0001f600").asave()
    assert await Note.afind(note.key) == [note]
    assert await Note.afind_one("none") is None
    await teardown_rapyer()
    assert await client.ping()
    assert await _connections(client) == 0
    await client.aclose()


async def test_after_teardown_the_next_command_connects_anew(server: Server) -> None:
    await init_rapyer(redis=server.url)
    note = await Note().asave()
    await teardown_rapyer()
    assert await Note.aget(note.key) == note
    await teardown_rapyer()


async def test_cancelling_one_task_does_not_disturb_the_others(server: Server) -> None:
    await init_rapyer(redis=server.url)
    notes = [await Note(text=str(n)).asave() for n in range(50)]
    tasks = [asyncio.create_task(Note.aget(note.key)) for note in notes]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for n, (note, result) in enumerate(zip(notes, results, strict=True)):
        assert isinstance(result, asyncio.CancelledError) if n % 2 == 0 else result == note
    assert await Note.aget(notes[0].key) == notes[0]
    await teardown_rapyer()


async def test_cancelling_the_first_task_leaves_the_connection_to_the_others(server: Server) -> None:
    await init_rapyer(redis=server.url)
    first, second = asyncio.create_task(Note.afind_one("a")), asyncio.create_task(Note.afind_one("b"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is None
    await teardown_rapyer()


async def test_large_documents_and_many_of_them_pass_together(server: Server) -> None:
    await init_rapyer(redis=server.url)
    notes = [Note(text=str(n) * 200_000) for n in range(10)]
    await asyncio.gather(*(note.asave() for note in notes))
    assert await asyncio.gather(*(Note.aget(note.key) for note in notes)) == notes
    await teardown_rapyer()


def test_every_event_loop_has_a_connection_of_its_own(server: Server) -> None:
    async def use() -> Note:
        await init_rapyer(redis=server.url)
        note = await Note(text="x").asave()
        assert await Note.aget(note.key) == note
        await teardown_rapyer()
        return note

    assert asyncio.run(use()) == asyncio.run(use())


async def test_a_server_that_is_down_is_reported_at_once_with_its_address(own_server: Server) -> None:
    own_server.stop()
    await init_rapyer(redis=own_server.url)
    for act in (Note().asave(), Note.aget("1")):
        with pytest.raises(RapyerConnectionError, match=rf"cannot connect.*127\.0\.0\.1:{own_server.port}"):
            await asyncio.wait_for(act, 5)
    await teardown_rapyer()


async def test_a_lost_connection_fails_what_is_under_way_and_the_next_command_connects_anew(
    own_server: Server,
) -> None:
    await init_rapyer(redis=own_server.url)
    note = await Note(text="x").asave()
    async with Redis.from_url(own_server.url) as client:
        await client.client_pause(60_000, all=False)
        waiting = [asyncio.create_task(note.asave()) for _ in range(3)]
        await asyncio.sleep(0.05)
        await client.client_kill_filter(_type="normal", skipme=True)
        for task in waiting:
            with pytest.raises(RapyerConnectionError, match="may or may not have been applied"):
                await task
        await client.client_unpause()
    assert await Note.aget(note.key) == note
    await teardown_rapyer()


async def test_a_connection_lost_while_idle_is_opened_again_unnoticed(own_server: Server) -> None:
    await init_rapyer(redis=own_server.url)
    note = await Note(text="x").asave()
    async with Redis.from_url(own_server.url) as client:
        await client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.05)
    assert await Note.aget(note.key) == note
    await teardown_rapyer()


async def test_a_server_that_does_not_answer_is_given_up_after_the_timeout(
    own_server: Server,
) -> None:
    await init_rapyer(redis=f"{own_server.url}?socket_timeout=0.2")
    note = await Note().asave()
    async with Redis.from_url(own_server.url) as client:
        await client.client_pause(60_000, all=False)
        with pytest.raises(RapyerConnectionError, match=r"no reply within 0\.2 s"):
            await note.asave()
        await client.client_unpause()
    await note.asave()
    await teardown_rapyer()


async def test_a_server_without_the_module_says_how_to_load_it(server_of: Callable[[Kind], Server]) -> None:
    server_of("redis")
    bare = Server.start("redis", module=False)
    await init_rapyer(redis=bare.url)
    for act in (Note().asave(), Note.aget("1"), Note.ainsert(Note())):
        with pytest.raises(ModuleNotLoadedError, match=r"redis-server --loadmodule"):
            await act
    await teardown_rapyer()
    bare.stop()


async def test_a_user_that_may_not_set_policies_is_told_about_expecting_them(own_server: Server) -> None:
    with own_server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-model.policy")
    await init_rapyer(redis=own_server.url.replace("://", "://app:pw@"))
    with pytest.raises(CommandError, match="policies='expect'"):
        await Note().asave()
    with own_server.client() as admin:
        admin.execute_command("MODEL.POLICY", "SET", "Note:", "TTL", "NONE")
    await init_rapyer(policies="expect")
    assert await Note.aget((await Note().asave()).key) == Note()
    await teardown_rapyer()


async def test_a_wrong_password_is_reported(own_server: Server) -> None:
    await init_rapyer(redis=own_server.url.replace("://", "://nobody:pw@"))
    with pytest.raises(RapyerConnectionError, match="cannot connect") as error:
        await Note().asave()
    assert "nobody:pw" not in str(error.value)
    await teardown_rapyer()


async def test_a_replica_is_read_without_setting_policies(own_server: Server) -> None:
    await init_rapyer(redis=own_server.url)
    note = await Note(text="x").asave()
    await teardown_rapyer()
    with own_server.client() as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert await Note.aget(note.key) == note
    with pytest.raises(CommandError, match="READONLY"):
        await note.asave()
    await teardown_rapyer()


async def test_what_cannot_be_connected_to_is_refused_when_it_is_given() -> None:
    for source in (b"redis://localhost", 6379, object()):
        with pytest.raises(UnsupportedArgumentTypeError):
            await init_rapyer(redis=source)  # type: ignore[arg-type]
    for url in (
        "redis://localhost:port",
        "redis://localhost?socket_timeout=soon",
        "redis://localhost?nothing=1",
    ):
        with pytest.raises(UnsupportedArgumentValueError, match="URL"):
            await init_rapyer(redis=url)
    for url in ("localhost", "http://localhost", "redis//x"):
        with pytest.raises(UnsupportedArgumentValueError, match="redis://"):
            await init_rapyer(redis=url)
