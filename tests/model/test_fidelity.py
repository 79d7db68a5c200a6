"""A value comes back as what it was saved as, or is refused when it is saved."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, cast
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PlainValidator,
    RootModel,
    SecretStr,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, RapyerKey, apipeline
from rapyer.errors import CantSerializeRedisValueError, ConstraintError
from rapyer.fields import Pickle
from rapyer.types import RedisDict, RedisInt, RedisList, RedisPriorityQueue, RedisSet


class Color(Enum):
    RED = "r"
    TWO = 2


class Corner(Enum):
    LEFT = (0, 1)
    RIGHT = (1, 1)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    left: int
    right: bytes


class Typed(TypedDict):
    n: int
    size: Annotated[int, Field(ge=0)]


@dataclass
class Plain:
    n: Annotated[int, Field(ge=0)] = 0


class Numbers(RootModel[list[Annotated[int, Field(ge=0)]]]):
    pass


class Inner(BaseModel):
    n: int = 0


class Text(str):
    __slots__ = ()


def _parsed(value: Any) -> int:
    return int(value)


def _day_after(value: Any) -> date:
    return date.fromisoformat(value) + timedelta(days=1)


def _holder(annotation: Any) -> Any:
    fields: dict[str, Any] = {"value": (annotation | None, None), "n": (int, 0)}
    return create_model("Holder", __base__=AtomicRedisModel, **fields)


COMES_BACK: list[tuple[Any, Any]] = [
    (bytes | str, b"a"),
    (bytes | str, "no base64!"),
    (Any, {"a": [1, 2.5, None, True, "text"]}),
    (dict, {"a": [1]}),
    (list, [{"a": 1}, []]),
    (set, {1, "a"}),
    (dict[int | str, int], {"a": 1}),
    (UUID | str, UUID(int=2)),
    (UUID | str, "text"),
    (deque[int], deque([1, 2])),
    (Literal[Color.RED], Color.RED),
    (Literal[Color.RED, "x"], Color.RED),
    (Literal[b"\xff", 1, None], b"\xff"),
    (Corner, Corner.RIGHT),
    (list[Corner], [Corner.RIGHT]),
    (dict[Corner, int], {Corner.LEFT: 1}),
    (dict[Color, int], {Color.RED: 1, Color.TWO: 2}),
    (dict[Level, int], {Level.HIGH: 1}),
    (dict[Literal[1, 2], int], {2: 1}),
    (dict[tuple[int, bytes], int], {(1, b"\xff"): 2}),
    (dict[tuple[UUID, ...], Inner], {(UUID(int=1),): Inner(n=2)}),
    (dict[frozenset[int], int], {frozenset({1, 2}): 3}),
    (set[tuple[int, int]], {(1, 2)}),
    (set[tuple[Any, ...]], {(1, "a")}),
    (tuple[list[int], Inner], ([1], Inner(n=1))),
    (Sequence[int], [1, 2]),
    (Mapping[str, int], {"a": 1}),
    (Pair, Pair(1, b"\xff")),
    (Typed, {"n": 1, "size": 2}),
    (Plain, Plain(2)),
    (Numbers, Numbers([1])),
    (Annotated[int, PlainValidator(_parsed)], "5"),
    (Annotated[date, PlainValidator(_day_after)], "2024-02-03"),
    (Annotated[set[bytes], PlainValidator(set)], [b"\xff"]),
    (Annotated[Any, Pickle()], (1, {2: b"3"})),
    (int | float, 1.0),
    (int | bool, True),
    (Annotated[Plain | Inner, Pickle()], Plain(1)),
]

CHANGES: list[tuple[Any, Any, str]] = [
    (bytes | str, "YQ==", "b'a'"),
    (Any, (1, 2), r"\[1, 2\]"),
    (Any, {"deep": [(1,)]}, r"value\['deep'\]\[0\] would come back as \[1\]"),
    (Any, b"x", "'eA=='"),
    (Any, datetime(2024, 1, 1, tzinfo=timezone.utc), "'2024-01-01T00:00:00Z'"),
    (Any, Decimal("1.0"), "'1.0'"),
    (Any, float("inf"), "'Infinity'"),
    (Any, Inner(), r"\{'n': 0\}"),
    (Any, Text("a"), "'a'"),
    (Any, {1, 2}, "would come back as"),
    (dict, {1: 2}, "'1'"),
    (list, [b"x"], r"value\[0\]"),
    (set, {(1, 2)}, "not load again"),
    (dict[int | str, int], {1: 1, "1": 2}, "'1'"),
    (dict[str | None, int], {None: 1}, "'None'"),
    (dict[str, Any], {"a": {"b": {1: 2}}}, r"value\['a'\]\['b'\]"),
    (UUID | str, str(UUID(int=1)), "UUID"),
    (float | str, float("nan"), "'nan'|'NaN'"),
    (deque[int], deque([1], maxlen=2), r"maxlen=2\)"),
    (Literal[Color.RED, "r"], Color.RED, "'r'"),
    (Sequence[int], (1, 2), r"\[1, 2\]"),
    (re.Pattern[str], re.compile("a", re.IGNORECASE), "re.compile"),
    (tuple[Any, ...], (b"x",), r"value\[0\]"),
]


@pytest.mark.parametrize(("annotation", "value"), COMES_BACK, ids=str)
async def test_a_value_comes_back_as_it_was(on_host: Host, annotation: Any, value: Any) -> None:
    kind = _holder(annotation)
    model = await kind(value=value).asave()
    loaded = await kind.aget(model.key)
    assert loaded.__dict__["value"] == model.__dict__["value"]
    assert type(loaded.__dict__["value"]) is type(model.__dict__["value"])
    assert repr(loaded) == repr(model)
    assert unsaved(loaded) == []


@pytest.mark.parametrize(("annotation", "value", "message"), CHANGES, ids=str)
async def test_a_value_that_would_change_is_refused(
    on_host: Host, annotation: Any, value: Any, message: str
) -> None:
    kind = _holder(annotation)
    model = kind(value=value)
    with pytest.raises(CantSerializeRedisValueError, match=message) as refused:
        await model.asave()
    assert "Holder.value" in str(refused.value)
    assert "Pickle()" in str(refused.value)
    assert "discriminated union" in str(refused.value)
    assert not await kind.aexists(model.key)
    stored = await kind().asave()
    with pytest.raises(CantSerializeRedisValueError, match=message):
        await kind.ainsert(model)
    with pytest.raises(CantSerializeRedisValueError, match=message):
        await kind.aget_or_create(model)
    with pytest.raises(CantSerializeRedisValueError, match=message):
        await stored.aupdate(value=value)
    assert (await kind.aget(stored.key)).value is None
    with pytest.raises(CantSerializeRedisValueError, match=message):
        async with stored.apipeline():
            stored.value = value
    assert stored.value is None
    stored.value = value
    with pytest.raises(CantSerializeRedisValueError, match=message):
        async with stored.apipeline():
            await stored.asave()
    with pytest.raises(CantSerializeRedisValueError, match=message):
        await stored.asave()
    # What is unsaved stays here, and other operations go on.
    await stored.aupdate(n=1)
    loaded = await kind.aget(stored.key)
    assert (loaded.value, loaded.n) == (None, 1)
    fields: dict[str, Any] = {"value": (Annotated[annotation, Pickle()], ...)}
    pickled: Any = create_model("Pickled", __base__=AtomicRedisModel, **fields)
    saved = await pickled(value=value).asave()
    assert repr((await pickled.aget(saved.key)).value) == repr(saved.value)


class Loose(AtomicRedisModel):
    items: RedisList[Any] = Field(default_factory=RedisList)
    entries: RedisDict[str, Any] = Field(default_factory=RedisDict)
    members: RedisSet[Any] = Field(default_factory=RedisSet)
    queue: RedisPriorityQueue[Any] = Field(default_factory=RedisPriorityQueue)
    text: bytes | str = "no base64!"
    n: RedisInt = RedisInt(0)


OPERATIONS: dict[str, Callable[[Loose], Any]] = {
    "aappend": lambda loose: loose.items.aappend((1,)),
    "aextend": lambda loose: loose.items.aextend([1, b"x"]),
    "ainsert": lambda loose: loose.items.ainsert(0, (1,)),
    "list aset_item": lambda loose: loose.items.aset_item(0, (1,)),
    "dict aset_item": lambda loose: loose.entries.aset_item("a", (1,)),
    "dict aupdate": lambda loose: loose.entries.aupdate(a={1: 2}),
    "aadd": lambda loose: loose.members.aadd((1,)),
    "apush": lambda loose: loose.queue.apush((1,), 1.0),
    "aupdate": lambda loose: loose.aupdate(text="YQ=="),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("in_block", [False, True])
async def test_an_operation_refuses_a_value_that_would_change(
    on_host: Host, name: str, *, in_block: bool
) -> None:
    loose = await Loose(items=cast("Any", [0])).asave()
    before = await on_host.call("MODEL.GET_RO", loose.key)
    with pytest.raises(CantSerializeRedisValueError, match=r"Loose\."):
        if in_block:
            async with apipeline():
                await loose.n.aincrease()
                await OPERATIONS[name](loose)
        else:
            await OPERATIONS[name](loose)
    assert await on_host.call("MODEL.GET_RO", loose.key) == before
    assert unsaved(loose) == []
    assert loose == await Loose.aget(loose.key)


LOCAL: dict[str, Callable[[Any], Any]] = {
    "append": lambda loose: loose.items.append((1,)),
    "insert": lambda loose: loose.items.insert(0, (1,)),
    "list setitem": lambda loose: loose.items.__setitem__(0, (1,)),
    "slice": lambda loose: loose.items.__setitem__(slice(0, 1), [(1,)]),
    "dict setitem": lambda loose: loose.entries.__setitem__("a", (1,)),
    "update": lambda loose: loose.entries.update(a=(1,)),
    "add": lambda loose: loose.members.add((1,)),
    "assignment": lambda loose: setattr(loose, "text", "YQ=="),
    "deep": lambda loose: loose.entries["deep"].__setitem__("a", (1,)),
}


@pytest.mark.parametrize("name", LOCAL)
async def test_a_recorded_change_to_a_value_that_would_change_is_refused(on_host: Host, name: str) -> None:
    loose = await Loose(items=cast("Any", [0]), entries=cast("Any", {"deep": {}})).asave()
    before = await on_host.call("MODEL.GET_RO", loose.key)
    with pytest.raises(CantSerializeRedisValueError, match=r"Loose\."):
        async with apipeline():
            loose.n += 1
            LOCAL[name](loose)
    assert await on_host.call("MODEL.GET_RO", loose.key) == before
    assert unsaved(loose) == []
    LOCAL[name](loose)
    with pytest.raises(CantSerializeRedisValueError, match=r"Loose\."):
        await loose.asave()


async def test_a_field_that_was_not_changed_is_not_looked_at(on_host: Host) -> None:
    loose = await Loose(entries=cast("Any", {"a": 1})).asave()
    # As another program may have stored it.
    await on_host.call("MODEL.SET", loose.key, "$.text", '"YQ=="')
    await loose.aload()
    loose.n = RedisInt(3)
    await loose.asave()
    assert await on_host.call("MODEL.GET_RO", loose.key, "$.n") == b"3"


async def test_what_changes_in_place_unvalidated_is_validated_when_it_is_saved(on_host: Host) -> None:
    class Holder(AtomicRedisModel):
        typed: Typed = {"n": 1, "size": 1}
        plain: Plain = Field(default_factory=Plain)
        numbers: Numbers = Numbers([1])
        pair: tuple[list[Annotated[int, Field(ge=0)]], int] = ([1], 1)

    def drop(model: Any) -> None:
        del model.typed["n"]

    changes: list[Callable[[Any], Any]] = [
        drop,
        lambda model: model.typed.update(size=-1),
        lambda model: setattr(model.plain, "n", -1),
        lambda model: model.numbers.root.append(-1),
        lambda model: model.pair[0].append(-1),
    ]
    for change in changes:
        model = await Holder().asave()
        change(model)
        with pytest.raises((CantSerializeRedisValueError, ConstraintError), match="not load again"):
            await model.asave()
        assert await Holder.aget(model.key) == Holder()


async def test_a_model_without_a_required_field_is_refused(on_host: Host) -> None:
    class Person(AtomicRedisModel):
        name: str
        age: int = 1

    class Pet(BaseModel):
        kind: str

    class Home(AtomicRedisModel):
        pet: Pet

    with pytest.raises(CantSerializeRedisValueError, match=r"Person.*'name'"):
        await Person.model_construct(age=3).asave()
    with pytest.raises(CantSerializeRedisValueError, match=r"Home\.pet.*'kind'"):
        await Home(pet=Pet.model_construct()).asave()
    stored = await Person.model_construct(name="Ada").asave()
    assert (await Person.aget(stored.key)).name == "Ada"


async def test_values_of_the_packages_types_count_as_plain_ones(on_host: Host) -> None:
    loose = await Loose(n=RedisInt(5), items=cast("Any", [1])).asave()
    loose.entries = cast(
        "Any", {"n": loose.n, "items": loose.items, "key": loose.key, "same": RapyerKey("a")}
    )
    await loose.asave()
    stored = (await Loose.aget(loose.key)).entries
    assert stored == {"n": 5, "items": [1], "key": str(loose.key), "same": "a"}


async def test_validators_that_look_at_other_fields_see_them(on_host: Host) -> None:
    class Range(AtomicRedisModel):
        low: int = 0
        high: Any = 5

        @field_validator("high")
        @classmethod
        def above(cls, high: Any, info: ValidationInfo) -> Any:
            assert high > info.data["low"]
            return high

        @model_validator(mode="after")
        def check(self) -> Range:
            assert self.high > self.low
            return self

    stored = await Range(low=3, high=7).asave()
    assert await Range.aget(stored.key) == stored
    with pytest.raises(CantSerializeRedisValueError, match=r"Range\.high"):
        await Range(low=3, high=Decimal(7)).asave()


async def test_undeclared_members_of_a_model_are_looked_at(on_host: Host) -> None:
    class Open(AtomicRedisModel):
        model_config = ConfigDict(extra="allow")

        n: int = 0

    class Counts(AtomicRedisModel):
        model_config = ConfigDict(extra="allow")

        __pydantic_extra__: dict[str, Decimal]  # pyright: ignore[reportIncompatibleVariableOverride]

        n: int = 0

    with pytest.raises(CantSerializeRedisValueError, match=r"Open.*\(1,\)"):
        await Open.model_validate({"more": (1,)}).asave()
    opened: Any = await Open.model_validate({"more": [1]}).asave()
    assert (await Open.aget(opened.key)) == opened
    counts: Any = await Counts.model_validate({"more": "1.50"}).asave()
    loaded: Any = await Counts.aget(counts.key)
    assert repr(loaded.more) == "Decimal('1.50')"
    await on_host.call("MODEL.SET", counts.key, "$.more", '"2.50"')
    await counts.aload()
    assert repr(counts.more) == "Decimal('2.50')"
    async with counts.apipeline():
        counts.more = "3.5"
    await counts.aupdate(other="4.5")
    assert repr(counts.other) == "Decimal('4.5')"
    await loaded.aload()
    assert loaded == counts


def test_the_usual_types_are_not_tried() -> None:
    class Usual(AtomicRedisModel):
        text: str = ""
        number: RedisInt = RedisInt(0)
        ratio: float | None = None
        id: UUID = UUID(int=1)
        price: Decimal = Decimal(1)
        at: Optional[datetime] = None  # noqa: UP045 - as many write it
        color: Color = Color.RED
        level: Literal["a", "b"] = "a"
        tags: RedisList[str] = Field(default_factory=RedisList)
        names: set[str] = set()
        scores: RedisDict[str, float] = Field(default_factory=RedisDict[str, float])
        queue: RedisPriorityQueue[str] = Field(default_factory=RedisPriorityQueue)
        by_id: dict[UUID, list[Inner]] = {}
        inner: Inner = Inner()
        inners: list[Inner | None] = []
        either: int | str = 1
        pair: tuple[int, str] = (1, "")
        url: HttpUrl | None = None
        path: Path = Path("/")
        secret: SecretStr = SecretStr("")
        anything: Annotated[Any, Pickle()] = None
        bounded: Annotated[int, Field(ge=0)] = 0

        @field_validator("text")
        @classmethod
        def strip(cls, text: str) -> str:
            return text.strip()

    tried = [name for name in Usual.model_fields if not Usual.__rapyer_codec__.field(name).is_faithful]
    assert tried == []
