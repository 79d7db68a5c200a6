"""Conditions find and delete what fulfils them, on every host, and touch nothing else."""

from __future__ import annotations

import asyncio
import copy
import warnings
from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from _hosts import Host
from rapyer import AtomicRedisModel, DeleteResult, Key, RedisConfig, apipeline
from rapyer._connection import execute
from rapyer.errors import (
    BadFilterError,
    CorruptedModelError,
    StaleModelError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)
from rapyer.fields import Index
from rapyer.query import Condition, FieldExpression
from rapyer.types import RedisInt, RedisSet


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Town(BaseModel):
    name: str = "Paris"
    size: int | None = None


class Villager(AtomicRedisModel):
    id: Key[str]
    age: RedisInt = RedisInt(0)
    name: str = ""
    born: datetime = datetime(2000, 1, 1, tzinfo=timezone.utc)
    color: Color = Color.RED
    awake: bool = False
    tags: list[str] = []
    friends: RedisSet[str] = RedisSet()
    town: Town = Town()
    height: Index[float] = 1.5
    weight: Annotated[int | None, Index()] = None  # pyright: ignore[reportCallIssue]
    summer: Town | None = None

    Meta = RedisConfig(ttl=100)


class Elder(Villager):
    age: RedisInt = RedisInt(90)


async def ids(*conditions: Condition | bool, most: int | None = None) -> set[str]:
    return {one.id for one in await Villager.afind(*conditions, max_results=most)}


async def test_models_are_found_by_what_they_hold(on_host: Host) -> None:
    late = datetime(2020, 1, 1, tzinfo=timezone.utc)
    await Villager.ainsert(
        Villager(id="a", age=20, name="Ada", tags=["x"], summer=Town(name="Nice", size=3)),
        Villager(id="b", age=30, name="Bob", color=Color.BLUE, awake=True, friends={"a", "c"}),
        Villager(id="c", age=40, born=late, town=Town(name="Rome")),
    )
    await Elder(id="d").asave()
    expected: list[tuple[Condition | bool, set[str]]] = [
        (Villager.age == 20, {"a"}),
        (Villager.age != 20, {"b", "c"}),
        (Villager.age > 30, {"c"}),
        (Villager.age >= 30, {"b", "c"}),
        (Villager.age < 30, {"a"}),
        (Villager.age <= 30, {"a", "b"}),
        (Villager.id == "b", {"b"}),
        (Villager.name == "Bob", {"b"}),
        (Villager.born < late, {"a", "b"}),
        (Villager.color == Color.BLUE, {"b"}),
        (Villager.awake == True, {"b"}),  # noqa: E712
        (Villager.tags == ["x"], {"a"}),
        (Villager.friends == {"c", "a"}, {"b"}),
        (Villager.town.name == "Rome", {"c"}),
        (Villager.town == Town(name="Rome"), {"c"}),
        (cast("Any", Villager).summer.name == "Nice", {"a"}),
        (cast("Any", Villager).summer == None, {"b", "c"}),  # noqa: E711
        (cast("Any", Villager).summer.size > 2, {"a"}),
        ((Villager.age < 25) | (Villager.age > 35), {"a", "c"}),
        ((Villager.age > 25) & (Villager.age < 35), {"b"}),
        (~(Villager.age == 20), {"b", "c"}),
    ]
    for condition, found in expected:
        assert await ids(condition) == found, condition
    assert await ids(Villager.age > 10, Villager.age < 25) == {"a"}
    assert await ids(Villager.age > 99) == set()
    assert [one.id for one in await Elder.afind(Elder.age == 90)] == ["d"]
    # A condition on what a model inherits is one on the model too.
    assert [one.id for one in await Elder.afind(Villager.age == 90)] == ["d"]


ages = st.integers(-2, 4)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=st.lists(st.tuples(ages, st.sampled_from("ab")), max_size=6), data=st.data())
async def test_a_combination_finds_what_python_finds(
    on_host: Host, people: list[tuple[int, str]], data: st.DataObject
) -> None:
    await on_host.call("FLUSHDB")
    models = [Villager(id=str(n), age=age, name=name) for n, (age, name) in enumerate(people)]
    await asyncio.gather(*(model.asave() for model in models))

    def condition(depth: int) -> tuple[Condition, Any]:
        kind = data.draw(st.sampled_from(["age", "name", "&", "|", "~"] if depth else ["age", "name"]))
        if kind == "age":
            bound = data.draw(ages)
            return Villager.age > bound, lambda one: one.age > bound
        if kind == "name":
            name = data.draw(st.sampled_from("ab"))
            return cast("Condition", Villager.name == name), lambda one: one.name == name
        left, holds = condition(depth - 1)
        if kind == "~":
            return ~left, lambda one: not holds(one)
        right, also = condition(depth - 1)
        if kind == "&":
            return left & right, lambda one: holds(one) and also(one)
        return left | right, lambda one: holds(one) or also(one)

    asked, holds = condition(3)
    assert await ids(asked) == {one.id for one in models if holds(one)}


async def test_only_what_is_found_is_refreshed(on_host: Host) -> None:
    await Villager.ainsert(*(Villager(id=str(n), age=n) for n in range(4)))
    await on_host.pass_time(0.05)
    before = {n: await on_host.deadline(f"Villager:{n}") for n in range(4)}
    assert await ids(Villager.age >= 2) == {"2", "3"}
    after = {n: await on_host.deadline(f"Villager:{n}") for n in range(4)}
    assert [after[n] > before[n] for n in range(4)] == [False, False, True, True]
    await on_host.pass_time(0.05)
    (found,) = await ids(Villager.age >= 0, most=1)
    moved = {str(n) for n in range(4) if await on_host.deadline(f"Villager:{n}") > after[n]}
    assert moved == {found}


async def test_at_most_so_many_are_found(on_host: Host) -> None:
    await Villager.ainsert(*(Villager(id=str(n), age=n) for n in range(9)))
    for most in (0, 1, 5, 20):
        assert len(await ids(Villager.age > 3, most=most)) == min(most, 5)
    assert (await Villager.afind_one(Villager.age == 4)) == Villager(id="4", age=4)
    assert await Villager.afind_one(Villager.age == 44) is None
    assert await Villager.afind_one() in [Villager(id=str(n), age=n) for n in range(9)]


async def test_what_fulfils_a_condition_is_deleted(on_host: Host) -> None:
    await Villager.ainsert(*(Villager(id=str(n), age=n) for n in range(6)))
    await Elder(id="9", age=0).asave()
    assert await Villager.adelete_many(Villager.age < 4, Villager.age > 1) == DeleteResult(2, True)
    assert await ids() == {"0", "1", "4", "5"}
    assert await Villager.adelete_many(Villager.age > 99) == DeleteResult(0, True)
    assert await Elder.aexists("9")


async def test_what_changes_meanwhile_is_looked_at_again(
    on_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Villager.ainsert(*(Villager(id=str(n), age=n) for n in range(3)))
    # Done by somebody else between the look and the deletion: the first no longer fulfils the condition, the
    # second still does, the third is gone.
    meanwhile = {
        "Villager:0": ("MODEL.SET", "Villager:0", "$.age", "100"),
        "Villager:1": ("MODEL.SET", "Villager:1", "$.age", "3"),
        "Villager:2": ("MODEL.DEL", "Villager:2"),
    }

    async def racing(route: Any, words: Any) -> Any:
        if words[0] == "MODEL.EXEC" and (change := meanwhile.pop(str(words[2]), None)):
            await on_host.call(*change)
        return await execute(route, words)

    monkeypatch.setattr("rapyer._many.execute", racing)
    assert await Villager.adelete_many(Villager.age < 50) == DeleteResult(1, True)
    assert await ids() == {"0"}


async def test_a_transaction_deletes_what_is_still_what_was_found(on_host: Host) -> None:
    await Villager.ainsert(*(Villager(id=str(n), age=n) for n in range(3)))
    async with apipeline():
        assert await Villager.adelete_many(Villager.age < 2) == DeleteResult(2, False)
        assert await ids() == {"0", "1", "2"}
    assert await ids() == {"2"}
    with pytest.raises(StaleModelError):
        async with apipeline():
            await Villager.adelete_many(Villager.age == 2)
            await on_host.call("MODEL.SET", "Villager:2", "$.age", "3")
    assert await ids() == {"2"}


async def test_a_document_that_is_no_such_model_is_reported_or_left_out(on_host: Host) -> None:
    await Villager(id="1", age=1).asave()
    await on_host.call("MODEL.CREATE", "Villager:2", "[]")
    with pytest.raises(CorruptedModelError, match="Villager:2"):
        await ids(Villager.age > 0)
    Villager.Meta.safe_load_all = True
    try:
        assert await ids(Villager.age > 0) == {"1"}
    finally:
        Villager.Meta.safe_load_all = False


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (lambda: [Villager.age], BadFilterError, "Villager.age is a field"),
        (lambda: [Villager.age > 1, "1"], UnsupportedArgumentValueError, "keys or conditions"),
        (lambda: ["1", Villager.age > 1], UnsupportedArgumentValueError, "keys or conditions"),
        (lambda: [True], UnsupportedArgumentTypeError, "not True"),
        (lambda: [Elder.age > 1], BadFilterError, "not about Villager"),
        (lambda: [Villager.age > cast("int", "x")], BadFilterError, "Villager.age is 1 in 'Villager:1'"),
    ],
)
async def test_what_is_no_condition_is_refused(
    on_host: Host, arguments: Any, error: type[Exception], says: str
) -> None:
    await Villager(id="1", age=1).asave()
    for method in (Villager.afind, Villager.afind_one, Villager.adelete_many):
        with pytest.raises(error, match=says):
            await cast("Any", method)(*arguments())
    assert await Villager.aexists("1")


async def test_one_key_is_for_afind_one(on_host: Host) -> None:
    with pytest.raises(UnsupportedArgumentValueError, match="takes one key, not 2"):
        await Villager.afind_one("1", "2")


class TestExpressions:
    def test_they_show_what_they_are(self) -> None:
        asked = (Villager.age > 3) & ~(Villager.town.name == "Rome") | (Villager.name == "x")  # type: ignore[operator]
        shown = "(((Villager.age > 3) & ~(Villager.town.name == 'Rome')) | (Villager.name == 'x'))"
        assert repr(asked) == shown

    @pytest.mark.parametrize(
        "mistake",
        [
            lambda: bool(Villager.age > 3),
            lambda: 3 < Villager.age < 9,
            lambda: (Villager.age > 3) and (Villager.age < 9),
            lambda: (Villager.age > 3) & cast("Any", True),
            lambda: (Villager.age > 3) | cast("Any", Villager.age),
            lambda: Villager.age > cast("Any", None),
            lambda: Villager.age == Villager.name,
            lambda: (Villager.age > 3) & (Stranger.age > 3),
        ],
    )
    def test_mistakes_are_told(self, mistake: Any) -> None:
        with pytest.raises(BadFilterError):
            mistake()

    async def test_fields_may_be_marked(self, on_host: Host) -> None:
        await Villager.ainsert(Villager(id="a", height=1.9), Villager(id="b", weight=70))
        assert await ids(Villager.height > 1.8) == {"a"}
        assert await ids(Villager.weight == 70) == {"b"}

    def test_they_are_copied(self) -> None:
        assert repr(copy.copy(Villager.town)) == repr(copy.deepcopy(Villager.town)) == "Villager.town"
        assert len({Villager.age, Villager.name}) == 2

    def test_unknown_fields_have_none(self) -> None:
        for wrong in ("nothing", "__wrapped__"):
            assert not hasattr(Villager, wrong)
            assert not hasattr(Villager.town, wrong)

    def test_fields_can_be_defined_again_in_subclasses(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")

            class Child(Villager):
                age: RedisInt = RedisInt(7)
                name: str = "child"
                awake: bool = Field()

        assert (Child(id="1", awake=True).age, Child(id="1", awake=True).name) == (7, "child")
        assert Child.model_fields["awake"].is_required()
        assert isinstance(Child.age, FieldExpression)

    def test_generic_models_have_them(self) -> None:
        assert repr(cast("Any", Box[int]).content == 3) == "(Box[int].content == 3)"


_T = TypeVar("_T")


class Stranger(AtomicRedisModel):
    age: RedisInt = RedisInt(0)


class Box(AtomicRedisModel, Generic[_T]):
    content: _T
    note: str = Field(default="", alias="remark")
