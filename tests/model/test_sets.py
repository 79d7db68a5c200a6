"""Sets and priority queues that live in the document."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Optional

import pytest
from pydantic import BaseModel, ValidationError

import rapyer
from _hosts import Host
from _package import moves_deadline
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig
from rapyer.errors import (
    CorruptedModelError,
    DetachedValueError,
    StaleModelError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)
from rapyer.types import PriorityQueueItem, RedisPriorityQueue, RedisSet


class Task(BaseModel):
    name: str
    size: int = 0


class Board(AtomicRedisModel):
    tags: RedisSet[str] = RedisSet()
    numbers: set[int] = set()
    maybe: Optional[set[str]] = None  # noqa: UP045 - both ways to write it are checked
    jobs: RedisPriorityQueue[str] = RedisPriorityQueue()
    tasks: RedisPriorityQueue[Task] = RedisPriorityQueue()
    maybe_jobs: RedisPriorityQueue[int] | None = None
    frozen: frozenset[int] = frozenset()
    other: int = 0


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    assert isinstance(text, bytes)
    return json.loads(text)


@pytest.fixture
async def board(on_host: Host) -> Any:
    return await Board(tags={"a", "b"}, numbers={1, 2, 3}, frozen=frozenset({5})).asave()


async def agrees(board: Any) -> None:
    """The model is what the server holds, and nothing is left to save."""
    assert await Board.aget(board.key) == board
    await board.asave()
    assert await Board.aget(board.key) == board


async def test_a_set_is_a_set_in_the_document(on_host: Host, board: Any) -> None:
    assert isinstance(board.tags, RedisSet)
    assert isinstance(board.numbers, RedisSet)
    assert sorted((await stored(on_host, board))["tags"]) == ["a", "b"]
    assert await board.tags.aadd("c") is True
    assert await board.tags.aadd("a") is False
    assert await board.numbers.aadd_many([3, 4, 5]) == 2
    assert await board.numbers.aadd_many([]) == 0
    assert await board.tags.aremove("b") is True
    assert await board.tags.aremove("b") is False
    assert (board.tags, board.numbers) == ({"a", "c"}, {1, 2, 3, 4, 5})
    await agrees(board)
    assert await board.tags.acontains("c") is True
    assert await board.tags.acontains("b") is False
    assert await board.tags.asize() == 2
    popped = await board.tags.apop()
    assert popped in {"a", "c"}
    assert board.tags == {"a", "c"} - {popped}
    assert await board.numbers.aclear() == 5
    assert await board.numbers.apop() is None
    await agrees(board)


async def test_sets_are_combined_as_the_server_has_them(on_host: Host, board: Any) -> None:
    other: Any = await Board(tags={"b", "c"}).asave()
    theirs: Any = await Board.aget(board.key)
    await theirs.tags.aadd("new")
    assert await board.tags.aunion(other.tags) == {"a", "b", "c", "new"}
    assert await board.tags.aintersect(other.tags) == {"b"}
    assert await board.tags.adifference(other.tags) == {"a", "new"}
    assert await board.tags.aunion() == {"a", "b", "new"} == await board.tags.amembers()
    assert board.tags == {"a", "b", "new"}
    with pytest.raises(UnsupportedArgumentTypeError, match="sets of stored models"):
        await board.tags.aunion({"plain"})


async def test_saving_undoes_nothing_that_others_did(on_host: Host, board: Any) -> None:
    theirs: Any = await Board.aget(board.key)
    await theirs.tags.aadd("theirs")
    await theirs.tags.aremove("a")
    board.tags.add("mine")
    board.tags.discard("b")
    board.other = 5
    await board.asave()
    found = await stored(on_host, board)
    assert (set(found["tags"]), found["other"]) == ({"theirs", "mine"}, 5)
    board.maybe = {"x"}
    await board.asave()
    board.maybe.add("y")
    await board.asave(only_existing=True)
    assert set((await stored(on_host, board))["maybe"]) == {"x", "y"}
    board.maybe = None
    await board.asave()
    assert (await stored(on_host, board))["maybe"] is None
    await board.adelete()
    board.tags = {"again"}
    await board.asave()
    assert (await Board.aget(board.key)).tags == {"again"}


class Nest(BaseModel):
    members: set[str] = set()


class Halves(BaseModel):
    n: int = 0
    left: Nest = Nest()
    right: Nest | None = None


class Boards(AtomicRedisModel):
    part: Halves = Halves()


class Loose(AtomicRedisModel):
    by_name: dict[str, set[Any]] = {}


class Orders(AtomicRedisModel):
    members: set[str] = set()
    by_name: dict[str, set[str]] = {}
    nested: list[Nest] = []
    pairs: set[frozenset[str]] = set()
    n: int = 0


@pytest.mark.parametrize("members", ['["x","y"]', '["y","x"]'])
async def test_the_order_of_a_set_is_no_change(on_host: Host, members: str) -> None:
    document = (
        f'{{"members":{members},"by_name":{{"a":{members}}},"nested":[{{"members":{members}}}],'
        f'"pairs":[["x","y"]],"n":0}}'
    )
    await on_host.call("MODEL.CREATE", "Orders:1", document)
    mine = await Orders.aget("1")
    await on_host.call("MODEL.ADD", "Orders:1", "$.members", '"theirs"')
    await on_host.call("MODEL.ADD", "Orders:1", "$.by_name.a", '"theirs"')
    await on_host.call("MODEL.ADD", "Orders:1", "$.nested[0].members", '"theirs"')
    before = await on_host.lifetime("Orders:1")
    await mine.asave()
    assert await on_host.lifetime("Orders:1") == before
    mine.n = 1
    await mine.asave()
    async with mine.apipeline():
        assert mine.members == mine.by_name["a"] == mine.nested[0].members == {"x", "y", "theirs"}
        mine.pairs.remove(frozenset("xy"))
    assert (await Orders.aget("1")) == mine
    assert mine.pairs == set()


async def test_sets_of_nested_models_are_saved_by_what_changed_in_them(on_host: Host) -> None:
    board = await Boards(part=Halves(left=Nest(members={"a", "b"}))).asave()
    mine, theirs = await Boards.aget(board.key), await Boards.aget(board.key)
    theirs.part.left.members -= {"b"}
    theirs.part.right = Nest(members={"r"})
    await theirs.asave()
    mine.part.left.members |= {"c"}
    mine.part.left.members -= {"a"}
    await mine.asave()
    assert (await Boards.aget(board.key)).part == Halves(left=Nest(members={"c"}), right=Nest(members={"r"}))
    mine.part.left.members.add("d")
    mine.part.n = 1
    await mine.asave()
    assert (await Boards.aget(board.key)).part == Halves(
        n=1, left=Nest(members={"c", "d"}), right=Nest(members={"r"})
    )


async def test_saving_a_set_refreshes_as_saving_does(on_host: Host) -> None:
    board = await Boards(part=Halves(left=Nest(members={"a"}))).asave()
    for groups, moves in ((ActionGroup.ERASE | ActionGroup.APPEND, False), (ActionGroup.UPDATE, True)):
        Boards.Meta = RedisConfig(ttl=1000, refresh_ttl=groups)
        await board.aset_ttl(1000, once=True)

        async def change() -> None:
            board.part.left.members ^= {"a", "b"}
            await board.asave()

        assert await moves_deadline(on_host, board.key, change) is moves
    Boards.Meta = RedisConfig()


@pytest.mark.parametrize("change", [True, 1.0])
async def test_an_item_of_another_type_is_a_change(on_host: Host, change: object) -> None:
    loose = await Loose(by_name={"a": {1, "x"}}).asave()
    loose.by_name = {"a": {change, "x"}}
    await loose.asave()
    (item,) = (await Loose.aget(loose.key)).by_name["a"] - {"x"}
    assert type(item) is type(change)


async def test_what_is_no_item_is_refused(on_host: Host, board: Any) -> None:
    for act in (board.numbers.add, board.numbers.update, board.numbers.aadd):
        with pytest.raises((ValidationError, TypeError)):
            result = act("x" if act != board.numbers.update else ["x"])
            await result
    assert board.numbers == {1, 2, 3}
    with pytest.raises(KeyError):
        board.numbers.remove(9)
    old = board.tags
    board.tags = {"z"}
    with pytest.raises(DetachedValueError):
        await old.aadd("y")
    for twin in (copy.copy(board.tags), copy.deepcopy(board.tags), pickle.loads(pickle.dumps(board.tags))):
        assert type(twin) is set
        assert twin == {"z"}


async def test_a_member_that_somebody_took_is_not_taken_twice(on_host: Host, board: Any) -> None:
    board.tags.clear()
    board.tags.add("only")
    await board.asave()
    with pytest.raises(StaleModelError):
        async with board.apipeline():
            assert await board.tags.apop() == "only"
            await on_host.call("MODEL.POP", board.key, "$.tags")
    assert board.tags == {"only"}
    async with board.apipeline():
        assert await board.tags.apop() is None
        await board.tags.aadd("x")
        assert await board.tags.apop() == "x"
    assert (await stored(on_host, board))["tags"] == []


async def test_a_queue_gives_the_smallest_first_and_of_equals_the_oldest(on_host: Host, board: Any) -> None:
    jobs = board.jobs
    assert isinstance(jobs, RedisPriorityQueue)
    assert await jobs.apush("late", 9) is True
    assert await jobs.apush_many([PriorityQueueItem("a", 1), PriorityQueueItem("b", 1.0)]) == 2
    assert await jobs.apush("late", 0.5) is False
    assert [item.value for item in jobs] == ["late", "a", "b"]
    assert (await stored(on_host, board))["jobs"] == [[0.5, "late"], [1.0, "a"], [1.0, "b"]]
    await agrees(board)
    assert await jobs.apeek() == PriorityQueueItem("late", 0.5)
    assert await jobs.apop() == PriorityQueueItem("late", 0.5)
    assert await jobs.aremove("b") is True
    assert await jobs.aremove("b") is False
    assert (await jobs.asize(), await jobs.aitems(), len(jobs)) == (1, [PriorityQueueItem("a", 1.0)], 1)
    assert await jobs.aclear() == 1
    assert (await jobs.apop(), await jobs.apeek()) == (None, None)
    await agrees(board)


async def test_queues_of_models_and_queues_that_may_be_missing(on_host: Host, board: Any) -> None:
    await board.tasks.apush(Task(name="t", size=1), 2)
    await board.tasks.apush({"name": "u"}, 1)
    assert await board.tasks.apop() == (Task(name="u"), 1.0)
    assert Task(name="t", size=1) in board.tasks
    assert board.maybe_jobs is None
    board.maybe_jobs = RedisPriorityQueue([PriorityQueueItem(5, 1)])
    await board.asave()
    assert await board.maybe_jobs.apush(6, 0) is True
    assert (await Board.aget(board.key)).maybe_jobs == board.maybe_jobs
    await agrees(board)


async def test_a_queue_in_a_transaction(on_host: Host, board: Any) -> None:
    async with board.apipeline():
        assert await board.jobs.apush("b", 2) is True
        assert await board.jobs.apush("a", 1) is True
        assert await board.jobs.apop() == ("a", 1.0)
        assert await board.jobs.aremove("none") is False
        assert (await stored(on_host, board))["jobs"] == []
    assert [item.value for item in board.jobs] == ["b"]
    await agrees(board)
    with pytest.raises(StaleModelError):
        async with board.apipeline():
            assert await board.jobs.apop() == ("b", 2.0)
            await on_host.call("MODEL.PUSH", board.key, "$.jobs", "1", '"first"')
    assert [item.value for item in board.jobs] == ["b"]
    with pytest.raises(ZeroDivisionError):
        async with rapyer.apipeline():
            await board.jobs.aclear()
            raise ZeroDivisionError
    assert len(board.jobs) == 1


async def test_what_is_no_queue(on_host: Host, board: Any) -> None:
    for bad in (float("nan"), float("inf")):
        with pytest.raises(UnsupportedArgumentValueError, match="priority"):
            await board.jobs.apush("a", bad)
    for wrong in ("1", None, True):
        with pytest.raises(UnsupportedArgumentTypeError, match="a priority is a number"):
            await board.jobs.apush("a", wrong)
    with pytest.raises(ValidationError):
        await board.tasks.apush(5, 1)
    with pytest.raises(UnsupportedArgumentTypeError, match="PriorityQueueItem"):
        RedisPriorityQueue([(1, "a")])  # type: ignore[list-item]
    await on_host.call("MODEL.SET", board.key, "$.jobs", '[["x",1]]')
    with pytest.raises(CorruptedModelError):
        await Board.aget(board.key)


def test_queues_are_copied_and_pickled() -> None:
    queue: RedisPriorityQueue[str] = RedisPriorityQueue(
        [PriorityQueueItem("a", 1), PriorityQueueItem("b", 0)]
    )
    for twin in (copy.copy(queue), copy.deepcopy(queue), pickle.loads(pickle.dumps(queue))):
        assert twin == queue
        assert [item.value for item in twin] == ["b", "a"]
    assert Board(jobs=queue).model_dump(mode="json")["jobs"] == [[0.0, "b"], [1.0, "a"]]
