"""A value writes to its own place or not at all."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar, Union

import pytest
from pydantic import BaseModel

from _hosts import Host
from rapyer import AtomicRedisModel, RedisConfig
from rapyer.errors import DetachedValueError, ReservedNameError
from rapyer.types import RedisInt, RedisList

T = TypeVar("T")


class Point(BaseModel):
    x: int = 0
    trail: list[int] = []


class Shape(AtomicRedisModel):
    name: str = ""
    center: Point = Point()
    other: Point = Point()
    points: list[Point] = []
    named: dict[str, Point] = {}
    pair: tuple[Point, Point] = (Point(), Point())
    anything: dict[str, Any] = {}
    size: int = 0


class Tree(AtomicRedisModel):
    value: int = 0
    children: list[Tree] = []


class Box(AtomicRedisModel, Generic[T]):
    content: T
    contents: list[T] = []


class Either(AtomicRedisModel):
    value: Union[int, list[int], dict[str, int]] = 0  # noqa: UP007 - both ways to write it are checked


async def test_an_element_finds_its_index_when_an_operation_asks(on_host: Host) -> None:
    shape: Any = await Shape(points=[Point(x=1), Point(x=2)]).asave()
    second = shape.points[1]
    shape.points.insert(0, Point(x=0))
    await shape.asave()

    await second.x.aincrease(10)
    assert [point.x for point in (await Shape.aget(shape.key)).points] == [0, 1, 12]
    assert second.json_path == "$.points[2]"


def test_everything_says_where_it_is() -> None:
    shape: Any = Shape(points=[Point(x=1)], named={"a b": Point(x=2)})
    where = [
        (shape, "$", "", ""),
        (shape.points, "$.points", "points", "points"),
        (shape.points[0], "$.points[0]", "points[0]", "0"),
        (shape.points[0].x, "$.points[0].x", "points[0].x", "x"),
        (shape.named["a b"].x, '$.named["a b"].x', 'named["a b"].x', "x"),
    ]
    for value, json_path, field_path, field_name in where:
        assert (value.json_path, value.field_path, value.field_name) == (json_path, field_path, field_name)
        assert value.key == shape.key
    assert shape.points[0].x.Meta is shape.points.Meta is Shape.Meta


def test_a_clone_is_a_plain_value_of_no_model() -> None:
    shape: Any = Shape(points=[Point(x=1)])
    for value, kind in ((shape.points, list), (shape.points[0].x, int)):
        clone = value.clone()
        assert (type(clone), clone) == (kind, value)
    shape.points.clone()[0].x = 5
    assert shape.points[0].x == 1


@pytest.mark.parametrize(
    "move",
    [
        lambda points: points.insert(0, Point(x=0)),
        lambda points: points.pop(0),
        lambda points: points.reverse(),
        lambda points: points.__delitem__(slice(0, 1)),
        lambda points: (points.clear(), points.extend([Point(x=8), Point(x=9)])),
    ],
)
async def test_elements_that_moved_here_only_write_nothing(
    on_host: Host, move: Callable[[Any], object]
) -> None:
    shape: Any = await Shape(points=[Point(x=1), Point(x=2)]).asave()
    move(shape.points)
    before = await on_host.state(shape.key)
    with pytest.raises(DetachedValueError, match="save the model first"):
        await shape.points[0].x.aincrease(10)
    assert await on_host.state(shape.key) == before
    expected = [point.x for point in shape.points]
    expected[0] += 30
    async with shape.apipeline():
        shape.points[0].x += 10
    await shape.points[0].x.aincrease(10)
    shape.points.reverse()
    shape.points.reverse()
    await shape.points[0].x.aincrease(10)
    assert [point.x for point in (await Shape.aget(shape.key)).points] == expected


async def test_an_element_that_is_gone_raises(on_host: Host) -> None:
    shape: Any = await Shape(points=[Point(x=1)], named={"a": Point()}).asave()
    point, named = shape.points[0], shape.named["a"]
    await shape.points.apop()
    await shape.named.apop("a")

    for gone in (point, named):
        with pytest.raises(DetachedValueError, match="no longer"):
            await gone.x.aincrease()
        with pytest.raises(DetachedValueError):
            await gone.asave()


async def test_a_replaced_container_raises_instead_of_writing(on_host: Host) -> None:
    shape: Any = await Shape(points=[Point(x=1)]).asave()
    points, trail = shape.points, shape.center.trail
    shape.points = []
    shape.center = Point(x=5)

    with pytest.raises(DetachedValueError):
        await points.aappend(Point())
    with pytest.raises(DetachedValueError):
        await trail.aappend(1)


async def test_a_model_where_no_path_leads_raises(on_host: Host) -> None:
    shape: Any = await Shape().asave()
    shape.anything = {"p": Point()}

    # Nothing of it is known to checkers either.
    in_anything: Any = shape.anything["p"]
    in_pair: Any = shape.pair[0]
    with pytest.raises(DetachedValueError, match="come back as a dict"):
        await in_anything.x.aincrease()
    with pytest.raises(AttributeError):
        await in_pair.x.aincrease()
    with pytest.raises(DetachedValueError, match="not part of a stored model"):
        await RedisInt(3).aincrease()
    with pytest.raises(DetachedValueError, match="not part of a stored model"):
        await RedisList([1]).aappend(2)


async def test_containers_in_any_are_reached(on_host: Host) -> None:
    shape: Any = await Shape(anything={"list": [1], "deep": {"n": 1}}).asave()
    await shape.anything["list"].aappend({"a": 1})
    await shape.anything["deep"]["n"].aincrease(4)
    assert (await Shape.aget(shape.key)).anything == {"list": [1, {"a": 1}], "deep": {"n": 5}}


async def test_one_instance_under_two_parents_is_two(on_host: Host) -> None:
    child = Tree(value=1)
    first: Any = await Tree(children=[child]).asave()
    second: Any = await Tree(children=[child]).asave()
    await first.children[0].value.aincrease(10)
    await second.children[0].value.aincrease(20)

    assert (await Tree.aget(first.key)).children[0].value == 11
    assert (await Tree.aget(second.key)).children[0].value == 21


async def test_one_instance_twice_in_a_list_has_no_one_place(on_host: Host) -> None:
    tree: Any = await Tree(children=[Tree()]).asave()
    tree.children.append(tree.children[0])
    with pytest.raises(DetachedValueError, match="several times"):
        await tree.children[0].value.aincrease()


async def test_recursive_generic_and_union_fields_have_places(on_host: Host) -> None:
    tree: Any = await Tree(children=[Tree(children=[Tree()])]).asave()
    await tree.children[0].children[0].value.aincrease(3)
    assert (await Tree.aget(tree.key)).children[0].children[0].value == 3

    box: Any = await Box[Point](content=Point(), contents=[Point()]).asave()
    await box.content.x.aincrease(1)
    await box.contents[0].trail.aappend(2)
    assert await Box[Point].aget(box.key) == Box[Point](content=Point(x=1), contents=[Point(trail=[2])])

    for value in (1, [1], {"a": 1}):
        either: Any = await Either(value=value).asave()
        if isinstance(value, list):
            await either.value.aappend(2)
        elif isinstance(value, dict):
            await either.value.aset_item("b", 2)
        else:
            await either.value.aincrease()
        assert (await Either.aget(either.key)).value == either.value != value


async def test_models_and_containers_keep_their_identity() -> None:
    shape: Any = Shape(points=[Point()], named={"a": Point()})
    assert shape.points is shape.points
    assert shape.points[0] is shape.points[0]
    assert next(iter(shape.points)) is shape.points[0]
    assert shape.named["a"] is shape.named["a"]
    assert next(iter(shape.named.values())) is shape.named["a"]
    assert shape.center is shape.center
    held = shape.points
    shape.points += [Point(x=1)]
    assert shape.points is held


async def test_copies_and_pickles_are_the_same_document_with_values_of_their_own(on_host: Host) -> None:
    shape: Any = await Shape(points=[Point(x=1)], name="a").asave()
    assert shape.points[0].x == 1
    ways: list[Callable[[Any], Any]] = [
        copy.copy,
        copy.deepcopy,
        lambda model: model.model_copy(),
        lambda model: model.model_copy(deep=True),
        lambda model: pickle.loads(pickle.dumps(model)),
    ]
    for twin_of in ways:
        twin = twin_of(shape)
        assert twin == shape
        assert twin.key == shape.key
        assert twin.points is not shape.points
        await twin.points[0].x.aincrease()
        assert (await Shape.aget(shape.key)).points[0].x == twin.points[0].x
        await shape.aload()


class Address(AtomicRedisModel):
    city: str = ""
    lines: list[str] = []


class Office(AtomicRedisModel):
    address: Address = Address()
    center: Point = Point()
    branches: list[Address] = []


_COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda model: model.model_copy(),
    lambda model: model.model_copy(deep=True),
    lambda model: pickle.loads(pickle.dumps(model)),
    lambda model: copy.copy(copy.copy(model)),
    lambda model: pickle.loads(pickle.dumps(copy.copy(model))),
]


@pytest.mark.parametrize("copied", _COPIES)
async def test_a_copy_of_a_nested_model_becomes_no_document_of_its_own(
    on_host: Host, copied: Callable[[Any], Any]
) -> None:
    office: Any = await Office(address=Address(city="a"), branches=[Address(city="b")]).asave()
    for nested in (office.address, office.branches[0]):
        twin = copied(nested)
        assert twin == nested
        assert not twin.is_inner_model()
        for refused in (twin.asave, twin.aload, twin.adelete, twin.city.asave, twin.lines.alen):
            with pytest.raises(DetachedValueError):
                await refused()
        with pytest.raises(DetachedValueError, match="copy"):
            await Address.ainsert(twin)
        async with office.apipeline():
            # A plain value has nothing to record.
            twin.city = "c"
            twin.lines.append("d")
        assert (twin.city, twin.lines) == ("c", ["d"])
    assert await on_host.call("DBSIZE") == 1

    office.address = twin
    assert office.address is twin
    await office.address.lines.aappend("e")
    assert (await Office.aget(office.key)).address.lines == ["e"]
    await office.asave()
    assert (await Office.aget(office.key)).address == Address(city="c", lines=["d", "e"])


async def test_a_copy_of_a_nested_plain_model_becomes_no_document_either(on_host: Host) -> None:
    office: Any = await Office(center=Point(x=1)).asave()
    for twin_of in _COPIES[:4]:
        with pytest.raises(DetachedValueError, match=r"Point\(\*\*copy.model_dump\(\)\)"):
            await twin_of(office.center).asave()
    assert await on_host.call("DBSIZE") == 1


def test_copies_of_values_are_plain() -> None:
    shape: Any = Shape(name="a", points=[Point()], named={"a": Point()})
    for value, plain in ((shape.name, str), (shape.size, int), (shape.points, list), (shape.named, dict)):
        assert type(copy.copy(value)) is plain
        assert type(pickle.loads(pickle.dumps(value))) is plain
    assert type(copy.deepcopy(shape.center)) is type(shape.center)
    assert type(pickle.loads(pickle.dumps(shape.center))) is Point
    assert shape.center == Point()
    assert Point() == shape.center


def test_fields_can_be_redeclared_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Base(AtomicRedisModel):
            name: str = ""
            tags: list[str] = []

        class Child(Base):
            name: str = "child"
            tags: list[str] = ["x"]

        class Grandchild(Child):
            name: bool = True  # type: ignore[assignment]

    assert Child().name == "child"
    assert Child().tags == ["x"]
    assert Grandchild().name is True


def test_a_field_may_not_take_a_name_that_models_need(recwarn: pytest.WarningsRecorder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ReservedNameError, match="'aload'"):

            class Bad(AtomicRedisModel):
                aload: str = ""  # type: ignore[assignment]


async def test_a_nested_plain_model_may_use_those_names(on_host: Host) -> None:
    class Entry(BaseModel):
        key: str = "k"
        pk: bool = True

    class Log(AtomicRedisModel):
        entry: Entry = Entry()

    log: Any = await Log().asave()
    assert log.entry.key == "k"
    assert log.entry.pk is True
    await log.entry.aupdate(key="l", pk=False)
    assert (await Log.aget(log.key)).entry == Entry(key="l", pk=False)


async def test_a_class_that_names_a_later_one_works_without_being_built_by_hand(on_host: Host) -> None:
    stored = await Early(late=Late(n=3)).asave()
    assert await Early.aget(stored.key) == stored


async def test_a_class_that_names_a_later_one_does_not_load_as_its_parent(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "EarlyChild:1", '{"late":{"n":3},"more":{"n":4}}')
    assert (await EarlyChild.aget("1")).more == Late(n=4)


class Early(AtomicRedisModel):
    late: Late
    Meta = RedisConfig()


class EarlyChild(Early):
    more: Late


class Late(BaseModel):
    n: int = 0
