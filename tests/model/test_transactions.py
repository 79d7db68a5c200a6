"""Transactions: everything recorded in one is applied together, or nothing is, and models follow."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import rapyer
from _hosts import Host
from _package import moves_deadline, unsaved
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig
from rapyer.errors import (
    KeyNotFound,
    NestedModelError,
    StaleModelError,
    UnsupportedArgumentValueError,
    WrongValueTypeError,
)


class Part(BaseModel):
    n: int = 0
    name: str = ""
    tags: list[str] = []


class Thing(AtomicRedisModel):
    n: int = 0
    ratio: float = 0.0
    name: str = ""
    maybe: int | None = 1
    data: bytes = b""
    moment: datetime = datetime(2026, 1, 31, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    local: datetime = datetime(2026, 3, 1)  # noqa: DTZ001 - without a zone is a case
    tags: list[str] = []
    counts: dict[str, int] = {}
    part: Part = Part()
    parts: list[Part] = []
    by_name: dict[str, Part] = {}
    members: set[str] = {"a", "b"}
    numbers: set[int] = {1, 2}
    maybe_members: set[str] | None = None
    by_set: dict[str, set[int]] = {"k": {1}}
    anything: Any = None


class Note(AtomicRedisModel):
    text: str = ""


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    return None if text is None else json.loads(text)  # type: ignore[arg-type]


def plain(document: Any) -> Any:
    """The same whatever the order of its sets."""
    sets = {
        name: sorted(document[name]) for name in ("members", "numbers", "maybe_members") if document[name]
    }
    return {**document, **sets, "by_set": {key: sorted(items) for key, items in document["by_set"].items()}}


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    yield
    Thing.Meta = Note.Meta = RedisConfig()


@pytest.fixture
async def thing(on_host: Host) -> Any:
    return await Thing(
        n=1,
        ratio=1.5,
        name="a",
        tags=["b", "a"],
        counts={"x": 1, "y": 2},
        parts=[Part(n=1), Part(n=2)],
        by_name={"p": Part(n=5)},
    ).asave()


def _in_place(thing: Any) -> None:
    thing.n += 5
    thing.n -= 2
    thing.ratio += 0.5
    thing.name += "bc"
    thing.maybe = None
    thing.data += b"\xff"
    thing.counts["x"] += 10
    thing.part.n += 3
    thing.parts[1].n += 4
    thing.by_name["p"].n += 5
    thing.part.tags.append("t")


def _lists(thing: Any) -> None:
    thing.tags.append("c")
    thing.tags.extend(["d", "e"])
    thing.tags += ["f"]
    thing.tags.insert(0, "z")
    thing.tags[1] = "B"
    thing.tags.remove("a")
    thing.tags.pop()
    thing.tags.pop(0)
    del thing.tags[-1]
    thing.parts.append(Part(n=9))


def _whole_lists(thing: Any) -> None:
    thing.tags.sort()
    thing.tags.reverse()
    thing.tags *= 2
    thing.tags[1:2] = ["x", "y"]
    del thing.tags[::2]
    thing.parts.clear()
    thing.parts.append(Part(n=1))
    thing.tags.remove_range(0, 1)


def _dicts(thing: Any) -> None:
    thing.counts["new"] = 1
    thing.counts.update(x=7, z=8)
    thing.counts |= {"w": 9}
    thing.counts.setdefault("x", 100)
    thing.counts.setdefault("default", 100)
    thing.counts.pop("y")
    thing.counts.popitem()
    del thing.counts["w"]
    thing.by_name["we'ird \"key.[0]"] = Part(n=1)
    thing.by_name["p"].name = "named"
    thing.by_name.clear()


def _arithmetic(thing: Any) -> None:
    thing.n = 2**53 + 1
    thing.n *= 3
    thing.n //= -2
    thing.n %= 1000
    thing.n **= 5
    thing.n <<= 3
    thing.n |= 1
    thing.ratio *= 2
    thing.ratio /= 7
    thing.ratio **= 2
    thing.ratio //= 0.01
    thing.ratio %= 5
    thing.name *= 3
    thing.counts["y"] **= 70
    thing.parts[0].n *= -7
    thing.by_name["p"].n //= 2
    thing.moment += timedelta(days=31, microseconds=1)
    thing.moment -= timedelta(hours=5)
    thing.local += timedelta(microseconds=-1)
    thing.data *= 2


def _sets(thing: Any) -> None:
    thing.members.add("c")
    thing.members |= {"d", "e"}
    thing.members.update(["f"], ["g"])
    thing.members.discard("a")
    thing.members.discard("never there")
    thing.members.remove("c")
    thing.members -= {"d", "z"}
    thing.members &= {"b", "e", "f"}
    thing.members ^= {"b", "new"}
    thing.numbers.clear()
    thing.numbers.add(7)
    thing.maybe_members = {"x"}
    thing.maybe_members.add("y")
    thing.by_set["k"].add(2)


CHANGES = [_in_place, _sets, _arithmetic, _lists, _whole_lists, _dicts]
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@each_change
async def test_what_python_does_to_a_model_the_server_does_too(
    on_host: Host, thing: Any, change: Callable[[Any], None]
) -> None:
    expected = thing.model_copy(deep=True)
    change(expected)
    async with thing.apipeline() as same:
        assert same is thing
        change(thing)
        assert thing == expected
        assert await stored(on_host, thing) != json.loads(expected.__rapyer_codec__.dump(expected))
    assert thing == expected
    assert plain(await stored(on_host, thing)) == plain(json.loads(expected.__rapyer_codec__.dump(expected)))
    assert await Thing.aget(thing.key) == expected


@each_change
async def test_a_block_that_fails_sends_nothing_and_restores_the_model(
    on_host: Host, thing: Any, change: Callable[[Any], None]
) -> None:
    tags, counts, before = thing.tags, thing.counts, thing.model_copy(deep=True)
    document = await stored(on_host, thing)
    with pytest.raises(ZeroDivisionError):
        async with thing.apipeline():
            change(thing)
            raise ZeroDivisionError
    assert thing == before
    assert (thing.tags is tags, thing.counts is counts) == (True, True)
    assert await stored(on_host, thing) == document
    assert not unsaved(thing)


@each_change
async def test_outside_of_a_transaction_the_same_is_local(
    on_host: Host, thing: Any, change: Callable[[Any], None]
) -> None:
    document = await stored(on_host, thing)
    change(thing)
    assert await stored(on_host, thing) == document
    await thing.asave()
    assert plain(await stored(on_host, thing)) == plain(json.loads(thing.__rapyer_codec__.dump(thing)))


async def test_operations_add_to_what_others_did_meanwhile(on_host: Host, thing: Any) -> None:
    async with thing.apipeline():
        other: Any = await Thing.aget(thing.key)
        await other.n.aincrease(100)
        await other.tags.aappend("theirs")
        await other.counts.aset_item("theirs", 1)
        thing.n += 1
        thing.tags.append("mine")
        thing.counts["mine"] = 1
        assert thing.n == 2
    assert thing.n == 102
    assert thing.tags == ["b", "a", "theirs", "mine"]
    assert thing.counts == {"x": 1, "y": 2, "theirs": 1, "mine": 1}


async def test_a_variable_that_was_changed_in_place_changes_nothing_until_it_is_assigned(
    on_host: Host, thing: Any
) -> None:
    async with thing.apipeline():
        n = thing.n
        n += 1
        n += 1
    assert (await stored(on_host, thing))["n"] == 1
    async with thing.apipeline():
        n = thing.n
        n += 1
        n += 1
        await (await Thing.aget(thing.key)).n.aincrease(10)  # type: ignore[attr-defined]
        thing.n = n
    assert thing.n == 13


@pytest.mark.parametrize("operation", range(9))
async def test_when_one_of_nine_operations_is_refused_nothing_changed(on_host: Host, operation: int) -> None:
    Thing.Meta.ttl = 1000
    thing: Any = await Thing(n=1, tags=["a"]).asave()
    before, lifetime = await stored(on_host, thing), await on_host.deadline(thing.key)
    await on_host.pass_time(0.005)
    # Somebody else made this a number: appending to it cannot succeed.
    await on_host.call("MODEL.SET", thing.key, "$.tags", "5", "NOREFRESH")
    with pytest.raises(WrongValueTypeError, match=rf"operation {operation + 1} \(MODEL.APPEND\)"):
        async with rapyer.apipeline():
            for at in range(9):
                if at == operation:
                    thing.tags.append("x")
                else:
                    thing.n += 1
    assert (thing.n, thing.tags) == (1, ["a"])
    assert await stored(on_host, thing) == before | {"tags": 5}
    assert await on_host.deadline(thing.key) == lifetime


async def test_awaited_methods_are_part_of_a_transaction(on_host: Host, thing: Any) -> None:
    async with thing.apipeline():
        assert await thing.n.aincrease(4) == 5
        with pytest.raises(StaleModelError, match=r"MAX 10 is not met: path '\$.n' would hold 14"):
            await thing.n.aincrease(9, maximum=10)
        assert await thing.tags.aappend("c") == 3
        assert await thing.tags.aextend(["c", "d"], unique=True) == 4
        assert await thing.tags.apop(0) == "b"
        assert await thing.tags.aremove("c") is True
        assert await thing.tags.ainsert(0, "first") == 3
        assert await thing.parts.aclear() == 2
        assert await thing.counts.apop("y") == 2
        assert await thing.counts.adel_item("none") == 0
        await thing.counts.aupdate(x=3, z=4)
        await thing.aupdate(name="new", maybe=7)
        await thing.part.aupdate(n=11)
        thing.part.name = "saved"
        await thing.part.asave()
        assert (await stored(on_host, thing))["n"] == 1
    assert await Thing.aget(thing.key) == thing
    assert (thing.n, thing.tags, thing.parts, thing.name, thing.maybe) == (
        5,
        ["first", "a", "d"],
        [],
        "new",
        7,
    )
    assert (thing.counts, thing.part.n, thing.part.name) == ({"x": 3, "z": 4}, 11, "saved")


async def test_what_was_taken_in_a_block_is_what_is_taken_or_nothing_is(on_host: Host, thing: Any) -> None:
    takes: tuple[Callable[[], Any], ...] = (
        lambda: thing.tags.apop(),
        lambda: thing.counts.apop("x"),
        lambda: thing.counts.apopitem(),
        lambda: thing.parts.apop(0),
    )
    for take in takes:
        before = thing.model_copy(deep=True)
        with pytest.raises(StaleModelError, match=r"MODEL.EXPECT"):
            async with thing.apipeline():
                await take()
                await on_host.call("MODEL.SET", thing.key, "$.tags[-1]", '"other"')
                await on_host.call("MODEL.SET", thing.key, "$.counts", '{"x":77}')
                await on_host.call("MODEL.SET", thing.key, "$.parts[0].n", "77")
        assert thing == before
        await on_host.call("MODEL.SET", thing.key, "$", thing.__rapyer_codec__.dump(thing))


async def test_a_whole_value_is_refused_when_it_changed_meanwhile(on_host: Host, thing: Any) -> None:
    with pytest.raises(StaleModelError):
        async with thing.apipeline():
            thing.tags.sort()
            await on_host.call("MODEL.APPEND", thing.key, "$.tags", '"c"')
    assert thing.tags == ["b", "a"]
    async with thing.apipeline():
        assert thing.tags == ["b", "a", "c"]
        thing.tags.sort()
        await on_host.call("MODEL.SET", thing.key, "$.n", "9")
    assert (thing.tags, (await stored(on_host, thing))["n"]) == (["a", "b", "c"], 9)


async def test_entering_loads_what_has_no_unsaved_changes(on_host: Host, thing: Any) -> None:
    tags = thing.tags
    thing.name = "unsaved"
    await on_host.call("MODEL.UPDATE", thing.key, "$.n", "7", "$.name", '"theirs"', "$.tags", '["t"]')
    async with thing.apipeline():
        assert (thing.n, thing.name, thing.tags) == (7, "unsaved", ["t"])
        assert thing.tags is tags
        thing.n += 1
    assert (thing.n, thing.name, (await stored(on_host, thing))["name"]) == (8, "unsaved", "theirs")
    await thing.asave()
    assert (await stored(on_host, thing))["name"] == "unsaved"


async def test_what_was_changed_before_is_saved_with_what_is_done_to_it(on_host: Host, thing: Any) -> None:
    thing.n = 5
    thing.name = "unsaved"
    thing.tags.insert(0, "mine")
    thing.members.add("mine")
    thing.parts.insert(0, Part(n=7))
    other: Any = await Thing.aget(thing.key)
    await other.members.aadd("theirs")
    with pytest.raises(ZeroDivisionError):
        async with thing.apipeline():
            thing.n += 1
            raise ZeroDivisionError
    assert (thing.n, (await stored(on_host, thing))["n"]) == (5, 1)
    async with thing.apipeline():
        thing.n += 1
        await thing.tags.aappend("c")
        thing.members.discard("a")
        thing.parts[1].n += 10
    found = await stored(on_host, thing)
    assert (found["n"], thing.n) == (6, 6)
    assert found["tags"] == thing.tags == ["mine", "b", "a", "c"]
    assert set(found["members"]) == thing.members == {"b", "mine", "theirs"}
    assert [part["n"] for part in found["parts"]] == [7, 11, 2]
    assert (found["name"], thing.name) == ("a", "unsaved")


async def test_models_are_created_changed_and_deleted_together(on_host: Host, thing: Any) -> None:
    Note.Meta.ttl = 500
    gone = await Note(text="gone").asave()
    async with rapyer.apipeline():
        note = Note(text="a")
        note.text += "b"
        await note.asave()
        note.text += "c"
        await rapyer.ainsert(Note(text="other"), third := Note(text="third"))
        thing.n += 1
        assert await gone.adelete() is True
        await third.aset_ttl(100)
        assert not await Note.aexists(note.key)
    assert await Note.aget(note.key) == note == Note(text="abc")
    assert 499 < (await note.attl() or 0) <= 500
    assert 99 < (await third.attl() or 0) <= 100
    assert not await Note.aexists(gone.key)
    assert (await stored(on_host, thing))["n"] == 2


async def test_saving_in_a_transaction_sends_what_is_not_recorded(on_host: Host, thing: Any) -> None:
    thing.name = "unsaved"
    async with thing.apipeline():
        await on_host.call("MODEL.INCRBY", thing.key, "$.n", "10")
        thing.n += 1
        await thing.asave()
    assert thing.n == 12
    assert (await stored(on_host, thing))["name"] == "unsaved"
    with pytest.raises(KeyNotFound):
        async with rapyer.apipeline():
            await Note(text="new").asave()
            await Note(text="never saved").asave(only_existing=True)
    assert await Note.afind() == []


async def test_a_missing_document(on_host: Host) -> None:
    thing: Any = Thing()
    with pytest.raises(KeyNotFound):
        async with thing.apipeline():
            raise AssertionError("not entered")
    async with thing.apipeline(ignore_redis_error=True):
        thing.n += 1
    assert thing == Thing()
    # An awaited change is never only local, also where nobody knows whether there is a document.
    with pytest.raises(KeyNotFound):
        async with rapyer.apipeline():
            await thing.n.aincrease()


async def test_a_refusal_may_be_ignored(on_host: Host, thing: Any, caplog: pytest.LogCaptureFixture) -> None:
    await on_host.call("MODEL.SET", thing.key, "$.tags", "5")
    with caplog.at_level(logging.WARNING, "rapyer"):
        async with rapyer.apipeline(ignore_redis_error=True):
            thing.n += 1
            thing.tags.append("x")
    assert "operation 2 (MODEL.APPEND)" in caplog.text
    assert (thing.n, thing.tags) == (1, ["b", "a"])


async def test_inner_transactions(on_host: Host, thing: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with thing.apipeline():
            thing.n += 1
            async with rapyer.apipeline():
                note = await Note(text="committed").asave()
            assert await Note.aexists(note)
            async with rapyer.apipeline(use_existing_pipe=True), thing.apipeline(use_existing_pipe=True):
                thing.n += 1
                await Note(text="joined").asave()
            assert thing.n == 3
            raise ZeroDivisionError
    assert thing.n == 1
    assert [found.text for found in await Note.afind()] == ["committed"]


async def test_a_task_that_is_started_inside_is_outside(on_host: Host, thing: Any) -> None:
    async def elsewhere() -> None:
        await thing.n.aincrease(10)
        thing.name = "local"

    with pytest.raises(ZeroDivisionError):
        async with rapyer.apipeline():
            await asyncio.create_task(elsewhere())
            assert (await stored(on_host, thing))["n"] == 11
            raise ZeroDivisionError
    assert (await stored(on_host, thing)) | {"n": 11, "name": "a"} == await stored(on_host, thing)
    await asyncio.to_thread(setattr, thing, "name", "in a thread")


async def test_a_cancelled_block_sends_nothing(on_host: Host, thing: Any) -> None:
    entered = asyncio.Event()

    async def block() -> None:
        async with thing.apipeline():
            thing.n += 1
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (thing.n, (await stored(on_host, thing))["n"]) == (1, 1)


async def test_a_block_cancelled_while_it_is_sent_is_applied_and_followed(on_host: Host, thing: Any) -> None:
    async def block() -> None:
        async with rapyer.apipeline():
            thing.n += 1
            asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.create_task(block())
    await asyncio.wait([task])
    for _ in range(200):
        if thing.n == 2:
            break
        await asyncio.sleep(0.01)
    assert thing.n == (await stored(on_host, thing))["n"] == 2
    assert unsaved(thing) == []


async def test_a_transaction_refreshes_by_the_groups_of_its_operations(on_host: Host) -> None:
    Thing.Meta.ttl = 1000
    thing: Any = await Thing().asave()

    async def add() -> None:
        async with rapyer.apipeline():
            thing.n += 1

    for groups, moves in ((ActionGroup.ARITHMETIC, True), (ActionGroup.READ, False), (False, False)):
        Thing.Meta.refresh_ttl = groups
        await thing.aload()
        assert await moves_deadline(on_host, thing.key, add) is moves, groups


async def test_an_assignment_that_does_not_validate_changes_nothing(on_host: Host, thing: Any) -> None:
    with pytest.raises(ValidationError):
        async with thing.apipeline():
            thing.n += 1
            thing.n = "no number"
    assert (thing.n, (await stored(on_host, thing))["n"]) == (1, 1)


async def test_what_cannot_be_one_batch_is_refused(on_host: Host, thing: Any) -> None:
    Note.Meta.redis = "embedded://elsewhere"
    note = await Note(text="a").asave()
    with pytest.raises(UnsupportedArgumentValueError, match="one batch of one server"):
        async with rapyer.apipeline():
            thing.n += 1
            note.text = "b"
    assert (thing.n, note.text) == (1, "a")
    with pytest.raises(NestedModelError):
        async with thing.part.apipeline():
            raise AssertionError("not entered")


async def test_an_empty_transaction_sends_nothing(on_host: Host, thing: Any) -> None:
    before = await on_host.state(thing.key)
    async with rapyer.apipeline():
        assert thing.n == 1
    assert await on_host.state(thing.key) == before


async def test_fifty_writers_lose_nothing(on_host: Host, thing: Any) -> None:
    async def write(number: int) -> None:
        mine: Any = await Thing.aget(thing.key)
        async with mine.apipeline():
            mine.n += 1
            mine.tags.append(f"t{number}")
            mine.counts[f"c{number}"] = number

    await asyncio.gather(*map(write, range(50)))
    result = await stored(on_host, thing)
    assert result["n"] == 51
    assert sorted(result["tags"]) == sorted(["a", "b", *(f"t{number}" for number in range(50))])
    assert len(result["counts"]) == 52


async def test_an_index_that_is_gone_refuses_the_whole(on_host: Host, thing: Any) -> None:
    with pytest.raises(StaleModelError, match="operation 2"):
        async with thing.apipeline():
            thing.n += 1
            thing.parts[1].n += 1
            await on_host.call("MODEL.CLEAR", thing.key, "$.parts")
    assert (thing.n, thing.parts[1].n, (await stored(on_host, thing))["n"]) == (1, 2, 1)


class Open(AtomicRedisModel):
    model_config = {"extra": "allow"}


async def test_members_that_are_not_declared_are_recorded(on_host: Host) -> None:
    model: Any = await Open.model_validate({"a": 1}).asave()
    async with model.apipeline():
        model.b = [1]
        model.a = 2
    assert await stored(on_host, model) == {"a": 2, "b": [1]}
    assert (model.a, model.b) == (2, [1])


async def test_policies_of_all_models_travel_with_a_transaction(on_host: Host) -> None:
    class First(AtomicRedisModel):
        Meta = RedisConfig(ttl=100)

    class Second(AtomicRedisModel):
        Meta = RedisConfig(ttl=200)

    first, second = First(), Second()
    async with rapyer.apipeline():
        await first.asave()
        await second.asave()
    assert 99 < (await first.attl() or 0) <= 100
    assert 199 < (await second.attl() or 0) <= 200
    for policy in ("First:", "Second:"):
        await on_host.call("MODEL.POLICY", "DEL", policy)
    async with rapyer.apipeline():
        await first.asave()
        await First().asave()
        await Second().asave()
    for model in (*await First.afind(), *await Second.afind()):
        assert await model.attl() is not None
