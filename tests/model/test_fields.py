"""Atomic methods of fields: done by the server, followed by the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, Optional

import pytest
from pydantic import BaseModel, ValidationError

from _hosts import Host
from rapyer import AtomicRedisModel
from rapyer.errors import KeyNotFound, PathNotFoundError, UnsupportedArgumentTypeError, WrongValueTypeError
from rapyer.types import RedisBytes, RedisDatetime, RedisDict, RedisFloat, RedisInt, RedisList, RedisStr


class Item(BaseModel):
    name: str = ""
    count: int = 0
    tags: list[str] = []


class Color(Enum):
    RED = "red"


class User(AtomicRedisModel):
    name: str = "ada"
    age: RedisInt = RedisInt(0)
    score: float = 0.0
    photo: bytes = b""
    born: datetime = datetime(1815, 12, 10, tzinfo=timezone.utc)
    active: bool = True
    color: Color = Color.RED
    tags: RedisList[str] = RedisList()
    limits: dict[str, int] = {}
    by_number: dict[int, Item] = {}
    items: list[Item] = []
    item: Item = Item()
    maybe: Optional[Item] = None  # noqa: UP045 - both ways to write it are checked
    grid: list[list[int]] = []


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    assert isinstance(text, bytes)
    return json.loads(text)


@pytest.fixture
async def user(on_host: Host) -> Any:
    # Any: plain annotations have the methods at run time, which no checker can know.
    return await User(
        tags=["a", "b"],
        items=[Item(name="x"), Item(name="y")],
        limits={"cpu": 1, 'we"ird. \U0001f600': 2},
        by_number={7: Item(name="seven")},
        grid=[[1], [2, 3]],
        maybe=Item(name="maybe"),
    ).asave()


async def test_values_are_handed_out_with_methods_and_are_still_their_plain_types(user: Any) -> None:
    for name, plain, atomic in (
        ("name", str, RedisStr),
        ("age", int, RedisInt),
        ("score", float, RedisFloat),
        ("photo", bytes, RedisBytes),
        ("born", datetime, RedisDatetime),
        ("tags", list, RedisList),
        ("limits", dict, RedisDict),
    ):
        value = getattr(user, name)
        assert isinstance(value, plain)
        assert isinstance(value, atomic)
    assert user.active is True
    assert user.color is Color.RED
    assert isinstance(user.item, Item)
    assert isinstance(user.item, AtomicRedisModel)


async def test_aincrease_returns_and_stores_what_the_server_then_holds(on_host: Host, user: Any) -> None:
    await on_host.call("MODEL.SET", user.key, "$.age", "40")

    assert await user.age.aincrease(2) == 42
    assert user.age == 42
    assert await user.score.aincrease(0.5) == 0.5
    assert (await stored(on_host, user))["age"] == 42


async def test_aincrease_is_exact_for_integers_of_any_size(user: Any) -> None:
    await user.aupdate(age=2**60)
    assert await user.age.aincrease(3) == 2**60 + 3


async def test_aappend_validates_first_and_appends_to_what_the_server_holds(on_host: Host, user: Any) -> None:
    await on_host.call("MODEL.APPEND", user.key, "$.tags", '"other"')
    with pytest.raises(ValidationError):
        await user.tags.aappend(5)
    assert user.tags == ["a", "b"]

    assert await user.tags.aappend("c") == 4
    assert (await stored(on_host, user))["tags"] == ["a", "b", "other", "c"]
    assert user.tags == ["a", "b", "c"]


async def test_apop_of_a_list_takes_locally_what_the_server_took(on_host: Host, user: Any) -> None:
    await on_host.call("MODEL.SET", user.key, "$.tags", '["z","a","b"]')

    assert await user.tags.apop() == "b"
    assert await user.tags.apop(0) == "z"
    assert user.tags == ["a"]
    assert await user.tags.apop() == "a"
    assert await user.tags.apop() is None
    with pytest.raises(IndexError):
        await user.tags.apop(3)


async def test_apop_of_a_list_of_models_returns_a_model(user: Any) -> None:
    popped = await user.items.apop(0)
    assert popped == Item(name="x")
    assert [item.name for item in user.items] == ["y"]


async def test_aset_item_of_a_list_replaces_one_element(on_host: Host, user: Any) -> None:
    await user.tags.aset_item(-1, "B")
    assert user.tags == ["a", "B"]
    assert (await stored(on_host, user))["tags"] == ["a", "B"]
    with pytest.raises(PathNotFoundError):
        await user.tags.aset_item(9, "x")
    assert user.tags == ["a", "B"]


async def test_aset_item_and_aupdate_of_a_dict_leave_what_others_put_there(on_host: Host, user: Any) -> None:
    await on_host.call("MODEL.SET", user.key, "$.limits.other", "9")

    assert await user.limits.aset_item("a.b", 3) is True
    await user.limits.aupdate({"": 4}, gpu=5)
    assert user.limits == {"cpu": 1, 'we"ird. \U0001f600': 2, "a.b": 3, "": 4, "gpu": 5}
    assert (await stored(on_host, user))["limits"] == {**user.limits, "other": 9}


async def test_apop_of_a_dict_returns_the_value_or_the_default(on_host: Host, user: Any) -> None:
    assert await user.limits.apop('we"ird. \U0001f600') == 2
    assert await user.limits.apop("none") is None
    assert await user.limits.apop("none", 7) == 7
    assert await user.by_number.apop(7) == Item(name="seven")
    assert user.limits == {"cpu": 1}
    assert user.by_number == {}
    assert (await stored(on_host, user))["by_number"] == {}


async def test_methods_work_through_models_lists_dicts_and_optionals(on_host: Host, user: Any) -> None:
    await user.item.count.aincrease(1)
    await user.items[1].count.aincrease(2)
    await user.by_number[7].tags.aappend("t")
    await user.maybe.aupdate(name="sure", count=3)
    await user.limits["cpu"].aincrease(4)
    await user.grid[1].aappend(4)
    await user.grid[0][0].aincrease(5)

    found = await stored(on_host, user)
    assert found["item"]["count"] == 1
    assert found["items"][1]["count"] == 2
    assert found["by_number"]["7"]["tags"] == ["t"]
    assert found["maybe"] == {"name": "sure", "count": 3, "tags": []}
    assert found["limits"]["cpu"] == 5
    assert found["grid"] == [[6], [2, 3, 4]]
    assert await User.aget(user.key) == user


async def test_a_value_saves_itself_and_nothing_else(on_host: Host, user: Any) -> None:
    user.tags.append("c")
    setattr(user, "name", "bob")  # noqa: B010 - to a checker the field would be plain text from here on
    await user.tags.asave()

    found = await stored(on_host, user)
    assert found["tags"] == ["a", "b", "c"]
    assert found["name"] == "ada"
    await user.name.asave()
    assert (await stored(on_host, user))["name"] == "bob"


async def test_a_value_loads_itself_into_the_model(on_host: Host, user: Any) -> None:
    held = user.tags
    await on_host.call("MODEL.SET", user.key, "$.tags", '["new"]')
    await on_host.call("MODEL.SET", user.key, "$.age", "9")

    assert await user.tags.aload() is held
    assert held == ["new"]
    assert await user.age.aload() == 9
    assert user.age == 9
    await user.adelete()
    with pytest.raises(KeyNotFound, match="User:"):
        await user.tags.aload()


async def test_a_nested_model_saves_loads_and_updates_its_own_part(on_host: Host, user: Any) -> None:
    item = user.item
    item.name = "lamp"
    user.name = "unsaved"
    await item.asave()
    assert (await stored(on_host, user))["item"]["name"] == "lamp"
    assert (await stored(on_host, user))["name"] == "ada"

    await on_host.call("MODEL.SET", user.key, "$.item.count", "8")
    assert await item.aload() is item
    assert item.count == 8
    assert item.is_inner_model()
    assert item.json_path == "$.item"
    assert item.key == user.key


async def test_operators_are_local_until_saved(on_host: Host, user: Any) -> None:
    user.age += 5
    user.tags += ["c"]
    user.limits["cpu"] += 1
    user.items[0].count += 2
    assert (await stored(on_host, user))["age"] == 0
    await user.asave()

    found = await stored(on_host, user)
    assert (found["age"], found["tags"], found["limits"]["cpu"]) == (5, ["a", "b", "c"], 2)
    assert found["items"][0]["count"] == 2


async def test_local_changes_are_validated(user: Any) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: user.tags.append(1),
        lambda: user.tags.extend([1]),
        lambda: user.tags.insert(0, None),
        lambda: user.tags.__setitem__(0, 3),
        lambda: user.limits.__setitem__("a", "x"),
        lambda: user.limits.update(a="x"),
        lambda: user.items.append({"count": "many"}),
    ]
    for change in changes:
        with pytest.raises(ValidationError):
            change()
    user.items.append({"name": "z"})
    assert isinstance(user.items[2], Item)
    assert user.tags == ["a", "b"]


async def test_nothing_changes_here_when_the_server_refuses(on_host: Host, user: Any) -> None:
    await on_host.call("MODEL.SET", user.key, "$.tags", "5")
    await on_host.call("MODEL.SET", user.key, "$.age", '"x"')
    before = user.model_dump()
    with pytest.raises(WrongValueTypeError):
        await user.tags.aappend("c")
    with pytest.raises(WrongValueTypeError):
        await user.age.aincrease()
    await on_host.call("DEL", user.key)
    for act in (
        user.tags.aappend("c"),
        user.tags.apop(),
        user.age.aincrease(),
        user.limits.aset_item("a", 1),
        user.aupdate(name="bob"),
        user.item.asave(),
    ):
        with pytest.raises(KeyNotFound):
            await act
    assert user.model_dump() == before


async def test_arguments_of_a_wrong_type_are_refused_before_anything_is_sent(user: Any) -> None:
    for act in (
        user.age.aincrease(1.5),
        user.age.aincrease(True),
        user.score.aincrease("1"),
        user.tags.apop("0"),
        user.tags.aset_item("0", "x"),
    ):
        with pytest.raises(UnsupportedArgumentTypeError):
            await act
    with pytest.raises(ValueError, match="JSON has no such number"):
        await user.score.aincrease(float("inf"))


async def test_a_datetime_keeps_its_zone_and_microseconds(user: Any) -> None:
    moment = datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    user.born = moment
    await user.asave()
    loaded: Any = await User.aget(user.key)
    assert loaded.born == moment
    assert loaded.born.utcoffset() == timedelta(hours=5, minutes=30)
    assert loaded.born.microsecond == 456789
