"""What is stored comes back, whatever the class shows its API users."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Network
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    HttpUrl,
    Json,
    PlainSerializer,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    Strict,
    ValidationError,
    computed_field,
    field_serializer,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, RedisConfig
from rapyer.errors import CantSerializeRedisValueError, CorruptedModelError
from rapyer.fields import Pickle
from rapyer.types import RedisBytes, RedisDatetime, RedisDict, RedisFloat, RedisInt, RedisList, RedisStr


class Color(Enum):
    RED = "r"
    TWO = 2


class Level(IntEnum):
    LOW = 1


class Inner(BaseModel):
    n: int = 0
    ratio: float = 0.5
    raw: bytes = b"\xff\x00"


class Wider(Inner):
    extra: str = "x"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []


class Node(BaseModel):
    name: str
    children: list[Node] = []
    by_name: dict[str, Node] = {}


class Numbers(RootModel[list[int]]):
    pass


class Pair(NamedTuple):
    left: int
    right: bytes


class Typed(TypedDict):
    n: int
    raw: bytes


@dataclass
class Plain:
    n: int
    raw: bytes = b"\xfe"


@pydantic_dataclass
class Checked:
    n: int
    at: datetime


class Foreign:
    """A type of somebody else's, with the serializer its author gave it."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Foreign) and other.n == self.n

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_int = core_schema.no_info_after_validator_function(cls, core_schema.int_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_int,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_int]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda foreign: foreign.n),
        )


class Masked(BaseModel):
    model_config = ConfigDict(ser_json_bytes="hex", ser_json_timedelta="float", extra="forbid")

    token: Annotated[str, PlainSerializer(lambda token: "***")] = "t"
    password: str = "p"
    checked: Annotated[str, PlainSerializer(lambda text: text[:1])] = "abc"
    raw: bytes = b"\xff"
    pause: timedelta = timedelta(milliseconds=1500)

    @field_serializer("password")
    def mask(self, password: str) -> str:
        return "***"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shown(self) -> str:
        return "computed"

    @model_validator(mode="after")
    def _accept(self) -> Masked:
        return self


class Summarised(BaseModel):
    a: int = 1
    b: int = 2

    @model_serializer
    def summarise(self) -> dict[str, int]:
        return {"sum": self.a + self.b}


class Everything(AtomicRedisModel):
    text: str = '\x00 \u2028 \U0001f600 "\\'
    number: int = 10**40
    ratio: float = 1e300
    nothing_more: float = float("inf")
    nothing_less: float = float("-inf")
    strict: Annotated[float, Strict()] = float("inf")
    flag: bool = True
    raw: bytes = bytes(range(256))
    at: datetime = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=-3)))
    naive: datetime = datetime(2024, 1, 2)  # noqa: DTZ001 - a naive one has to stay naive
    day: date = date(2024, 2, 29)
    hour: time = time(1, 2, 3, 4)
    pause: timedelta = timedelta(days=-1, microseconds=7)
    price: Decimal = Decimal("1.10")
    third: Fraction = Fraction(1, 3)
    id: UUID = UUID(int=5)
    color: Color = Color.TWO
    level: Level = Level.LOW
    choice: Literal["a", 2] = 2
    path: Path = Path("/tmp/x")
    address: IPv4Address = IPv4Address("10.0.0.1")
    network: IPv6Network = IPv6Network("2001:db8::/32")
    url: HttpUrl = HttpUrl("https://example.org/a?b=c")
    pattern: re.Pattern[str] = re.compile("a+")
    size: ByteSize = ByteSize(1024)
    secret: SecretStr = SecretStr("hidden")
    secret_raw: SecretBytes = SecretBytes(b"\xff")
    secret_day: Secret[date] = Secret[date](date(2024, 1, 1))
    inner: Inner = Inner(ratio=float("-inf"))
    wide: Union[Inner, Wider] = Wider(extra="kept")  # noqa: UP007
    pet: Union[Cat, Dog] = Dog(tricks=["sit"])  # noqa: UP007
    tagged: Annotated[Cat | Dog, Field(discriminator="kind")] = Dog(tricks=["roll"])
    node: Node = Node(name="a", children=[Node(name="b")], by_name={"c": Node(name="c")})
    numbers: Numbers = Numbers([1, 2])
    pair: Pair = Pair(1, b"\xff")
    typed: Typed = {"n": 1, "raw": b"\xff"}
    plain: Plain = Plain(1)
    checked: Checked = Checked(1, datetime(2024, 1, 1, tzinfo=timezone.utc))
    foreign: Foreign = Foreign(3)
    masked: Masked = Masked()
    summarised: Summarised = Summarised(a=3)
    tuple_: tuple[int, bytes] = (1, b"\xff")
    many: tuple[Inner, ...] = (Inner(n=1),)
    set_: set[int] = {1, 2}
    frozen: frozenset[bytes] = frozenset([b"\xff"])
    queue: deque[int] = deque([1, 2])
    counts: Counter[str] = Counter("aab")
    ordered: OrderedDict[str, int] = OrderedDict(b=1, a=2)
    defaults: defaultdict[str, list[int]] = defaultdict(list, a=[1])
    by_id: dict[UUID, Inner] = {UUID(int=1): Inner()}
    by_day: dict[date, int] = {date(2024, 1, 1): 1}
    by_number: dict[int, dict[bytes, float]] = {1: {b"k": float("inf")}}
    by_color: dict[Color, int] = {Color.RED: 1}
    json_text: Json[list[int]] = Field(default=cast("Any", "[1,2]"))
    aliased: int = Field(default=3, alias="Other-Name")
    choices: int = Field(default=4, validation_alias=AliasChoices("x", "y"), serialization_alias="z")
    hidden: str = Field(default="excluded from the API", exclude=True)
    redis_text: RedisStr = RedisStr("s")
    redis_int: RedisInt = RedisInt(1)
    redis_float: RedisFloat = RedisFloat(1.5)
    redis_bytes: RedisBytes = Field(default=cast("Any", b"\xff"))
    redis_moment: RedisDatetime = Field(default=datetime(2024, 1, 1, tzinfo=timezone.utc))  # type: ignore[assignment]
    redis_list: RedisList[Inner] = RedisList([Inner()])
    redis_dict: RedisDict[str, Inner] = RedisDict({"a": Inner()})


async def test_every_kind_of_field_comes_back(on_host: Host) -> None:
    everything = await Everything().asave()
    loaded = await Everything.aget(everything.key)
    different = {
        name: (value, loaded.__dict__[name])
        for name, value in everything.__dict__.items()
        if value != loaded.__dict__[name] or type(value) is not type(loaded.__dict__[name])
    }
    assert different == {}
    await loaded.asave()
    assert await Everything.aget(everything.key) == everything


async def test_a_model_with_its_own_constructor_loads_its_state(on_host: Host) -> None:
    class Counted(AtomicRedisModel):
        n: int = Field(default=0, alias="N")
        raw: bytes = b"\xff"

        def __init__(self, **data: Any) -> None:
            super().__init__(**{**data, "N": data.get("N", 0) + 1})

    counted = await Counted(N=1).asave()
    assert counted.n == 2
    assert (await Counted.aget(counted.key)).n == 2


async def test_a_not_a_number_comes_back(on_host: Host) -> None:
    class Measured(AtomicRedisModel):
        value: float = float("nan")

    measured = await Measured().asave()
    assert isnan((await Measured.aget(measured.key)).value)


async def test_serialize_as_any_does_not_lose_a_subclass_silently(on_host: Host) -> None:
    class Holder(AtomicRedisModel):
        inner: SerializeAsAny[Inner] = Inner()

    await Holder().asave()
    with pytest.raises(ValueError, match="Wider in a field of type Inner"):
        await Holder(inner=Wider()).asave()


def test_the_storage_codec_leaves_the_models_own_api_alone() -> None:
    everything = Everything()
    shown = everything.model_dump(
        mode="json", by_alias=True, include={"masked", "aliased", "hidden", "secret"}
    )
    assert shown["masked"]["password"] == "***"
    assert shown["secret"] == "**********"
    assert shown["Other-Name"] == 3
    assert "hidden" not in shown


class Shelf(AtomicRedisModel):
    Meta = RedisConfig(redis="embedded://any-values")

    texts: list[str] = []
    numbers: dict[str, int] = {}
    floats: list[float] = []
    raw: bytes = b""
    moments: list[datetime] = []
    inner: list[Inner] = []


shelves = st.builds(
    Shelf,
    texts=st.lists(st.text()),
    numbers=st.dictionaries(st.text(), st.integers()),
    floats=st.lists(st.floats(allow_nan=False)),
    raw=st.binary(),
    moments=st.lists(st.datetimes(timezones=st.just(timezone.utc))),
    inner=st.lists(st.builds(Inner, n=st.integers(), ratio=st.floats(allow_nan=False), raw=st.binary())),
)


@given(shelves)
@settings(deadline=None)
async def test_any_values_of_the_common_types_come_back(shelf: Shelf) -> None:
    await shelf.asave()
    loaded = await Shelf.aget(shelf.key)
    assert loaded == shelf
    assert unsaved(shelf) == []


class Opaque:
    """What JSON cannot hold and pydantic does not know."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.n == self.n

    __hash__ = None  # type: ignore[assignment]


class Pickled(AtomicRedisModel):
    opaque: Annotated[Opaque, Pickle()]
    number: Annotated[complex, Pickle()] = 1j
    items: list[Annotated[Opaque, Pickle()]] = []


async def test_a_field_is_pickled_where_it_is_asked_for(on_host: Host) -> None:
    model = await Pickled(opaque=Opaque(5), number=2 + 3j, items=[Opaque(1)]).asave()
    assert await Pickled.aget(model.key) == model
    model.opaque.n = 6
    await model.asave()
    assert (await Pickled.aget(model.key)).opaque == Opaque(6)
    async with model.apipeline():
        model.opaque = Opaque(7)
    assert (await Pickled.aget(model.key)).opaque == Opaque(7)
    with pytest.raises(ValidationError):
        Pickled(opaque=cast("Any", 5))


async def test_what_is_no_pickle_is_reported(on_host: Host) -> None:
    model = await Pickled(opaque=Opaque(5)).asave()
    a_number = '"gARLBS4="'  # pickle.dumps(5)
    for wrong in ('"no base64!"', '"YWJj"', "5", a_number):
        await on_host.call("MODEL.SET", model.key, "$.opaque", wrong)
        with pytest.raises(CorruptedModelError):
            await Pickled.aget(model.key)
    with pytest.raises(CantSerializeRedisValueError, match="cannot be pickled"):
        await Pickled(opaque=Opaque(cast("Any", lambda: 1))).asave()


class Anything(AtomicRedisModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    opaque: Opaque
    inner: list[dict[str, Opaque]] = []
    path: Path = Path("/")


async def test_what_has_no_json_is_pickled_where_meta_says_so(on_host: Host) -> None:
    model = Anything(opaque=Opaque(5), inner=[{"a": Opaque(1)}], path=Path("/tmp"))
    with pytest.raises(CantSerializeRedisValueError, match=r"Opaque has no JSON.*pickle_fallback"):
        await model.asave()
    Anything.Meta.pickle_fallback = True
    try:
        await model.asave()
        assert await Anything.aget(model.key) == model
        text = await on_host.call("MODEL.GET_RO", model.key, "$.path")
        assert text == b'"/tmp"'
        Anything.Meta.pickle_fallback = False
        with pytest.raises(CorruptedModelError, match="pickle_fallback"):
            await Anything.aget(model.key)
    finally:
        Anything.Meta = RedisConfig()
