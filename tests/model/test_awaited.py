"""The awaited methods of lists, dicts and numbers: done by the server, on what it holds, followed here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel
from rapyer.errors import (
    CorruptedModelError,
    KeyNotFound,
    PathNotFoundError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
    WrongValueTypeError,
)


class Item(BaseModel):
    name: str = ""
    sizes: list[int] = []


class Basket(AtomicRedisModel):
    names: list[str] = []
    items: list[Item] = []
    prices: dict[str, float] = {}
    by_number: dict[int, Item] = {}
    grid: list[list[int]] = []
    count: int = 0
    weight: float = 0.0


@pytest.fixture
async def basket(on_host: Host) -> Any:
    return await Basket(
        names=["a", "b", "c"],
        items=[Item(name="x", sizes=[1])],
        prices={"a": 1.5, "b": 2.0},
        by_number={7: Item(name="seven")},
        grid=[[1], [2, 3]],
        count=5,
    ).asave()


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    assert isinstance(text, bytes)
    return json.loads(text)


async def agrees(host: Host, basket: Any) -> None:
    """The model is what the server holds, and nothing is left to save."""
    assert await Basket.aget(basket.key) == basket
    assert unsaved(basket) == []


async def test_lists(on_host: Host, basket: Any) -> None:
    names = basket.names
    assert await names.aextend(["d", "e"]) == 5
    assert await names.aextend([]) == 5
    assert await names.ainsert(1, "new") == 6
    assert await names.ainsert(-1, "before last") == 7
    assert await names.ainsert(99, "end") == 8
    assert await names.aremove("b") is True
    assert await names.aremove("b") is False
    assert await names.aremove_range(0, 2) == 2
    assert await names.aremove_range(-1, 99) == 1
    assert await names.aremove_range(3, 1) == 0
    assert names == ["c", "d", "before last", "e"]
    await agrees(on_host, basket)
    assert await names.aget(0) == "c"
    assert await names.aget(-1) == "e"
    assert await names.alen() == 4
    assert await names.acontains("d") is True
    assert await names.acontains("x") is False
    assert await names.aclear() == 4
    assert (names, await names.alen(), await names.apop()) == ([], 0, None)
    await agrees(on_host, basket)


async def test_lists_with_a_limit_and_without_repetition(on_host: Host, basket: Any) -> None:
    names = basket.names
    assert await names.aappend("a", unique=True) == 3
    assert await names.aextend(["a", "d", "d"], unique=True) == 4
    assert await names.aappend("e", maxlen=2) == 2
    assert names == ["d", "e"]
    await agrees(on_host, basket)
    assert await names.aextend(["e", "f", "g"], unique=True, maxlen=3) == 3
    assert names == ["e", "f", "g"]
    await agrees(on_host, basket)
    assert await names.aappend("x", maxlen=0) == 0
    await agrees(on_host, basket)
    with pytest.raises(UnsupportedArgumentValueError, match="maxlen"):
        await names.aappend("x", maxlen=-1)


async def test_lists_of_models_and_of_lists(on_host: Host, basket: Any) -> None:
    assert await basket.items.aextend([Item(name="y"), {"name": "z"}]) == 3
    assert await basket.items.aremove(Item(name="y")) is True
    assert await basket.items.acontains(Item(name="z")) is True
    await basket.items[1].sizes.aappend(4)
    found = await basket.items.aget(1)
    assert found == Item(name="z", sizes=[4])
    await found.sizes.aextend([5, 6])
    assert await basket.grid[1].ainsert(0, 9) == 3
    assert await basket.grid.aget(1) == [9, 2, 3]
    assert (await stored(on_host, basket))["items"][1]["sizes"] == [4, 5, 6]
    await agrees(on_host, basket)


async def test_dicts(on_host: Host, basket: Any) -> None:
    prices = basket.prices
    assert await prices.adel_item("a") == 1
    assert await prices.adel_item("a") == 0
    await prices.aset_item("c", math.inf)
    assert await prices.apopitem() == ("c", math.inf)
    assert await prices.aget("b") == 2.0
    assert await prices.aget("none") is None
    assert await prices.aget("none", 7) == 7
    assert await prices.alen() == 1
    assert await prices.acontains("b") is True
    assert await prices.acontains("c") is False
    await agrees(on_host, basket)
    assert await prices.aclear() == 1
    assert prices == {}
    with pytest.raises(KeyError):
        await prices.apopitem()
    await agrees(on_host, basket)


@pytest.mark.parametrize(
    "key", ["", "a.b", "a b", "we'ird\"[0]", "$", "\U0001f600", "back\\slash", "new\nline", "*"]
)
async def test_a_dict_takes_any_key(on_host: Host, basket: Any, key: str) -> None:
    await basket.prices.aset_item(key, 1.25)
    assert await basket.prices.aget(key) == 1.25
    assert await basket.prices.acontains(key)
    assert (await stored(on_host, basket))["prices"][key] == 1.25
    await basket.prices[key].aincrease(1)
    assert await basket.prices.apop(key) == 2.25
    await basket.prices.aset_item(key, 1.5)
    assert await basket.prices.adel_item(key) == 1
    await agrees(on_host, basket)


async def test_dicts_with_keys_that_are_no_text(on_host: Host, basket: Any) -> None:
    await basket.by_number.aset_item(8, Item(name="eight", sizes=[8]))
    assert await basket.by_number.aget(8) == Item(name="eight", sizes=[8])
    await basket.by_number[8].sizes.aappend(9)
    assert await basket.by_number.apopitem() == (8, Item(name="eight", sizes=[8, 9]))
    assert await basket.by_number.adel_item(7) == 1
    await agrees(on_host, basket)


async def test_numbers_within_bounds(on_host: Host, basket: Any) -> None:
    assert await basket.count.aincrease(-6, minimum=0) is None
    assert await basket.count.aincrease(-5, minimum=0) == 0
    assert await basket.count.aincrease(10, minimum=0, maximum=9) is None
    assert (basket.count, basket.weight) == (0, 0)
    assert await basket.weight.aincrease(0.5, maximum=1) == 0.5
    assert await basket.weight.aincrease(0.75, maximum=1) is None
    await agrees(on_host, basket)
    for bad in (True, "1", 1.5, [1]):
        for name in ("amount", "minimum", "maximum"):
            with pytest.raises(UnsupportedArgumentTypeError, match=name):
                await basket.count.aincrease(**{name: bad})
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(UnsupportedArgumentValueError):
            await basket.weight.aincrease(maximum=bad)


async def test_what_others_did_meanwhile_is_worked_on(on_host: Host, basket: Any) -> None:
    other: Any = await Basket.aget(basket.key)
    await other.names.aextend(["d", "e"])
    assert await basket.names.aremove("e") is True
    assert await basket.names.alen() == 4
    assert await basket.names.apop() == "d"
    assert basket.names == ["a", "b", "c"]
    await other.prices.aset_item("z", 3.0)
    assert await basket.prices.apopitem() == ("z", 3.0)
    await agrees(on_host, basket)


@pytest.mark.parametrize(
    ("place", "take"),
    [
        ("$.items", lambda basket: basket.items.apop()),
        ("$.by_number", lambda basket: basket.by_number.apop(7)),
        ("$.by_number", lambda basket: basket.by_number.apopitem()),
    ],
)
async def test_what_was_taken_and_does_not_validate_is_in_the_error(
    on_host: Host, basket: Any, place: str, take: Callable[[Any], Any]
) -> None:
    path = "$.items[0]" if place == "$.items" else '$.by_number["7"]'
    await on_host.call("MODEL.SET", basket.key, path, '{"name":5,"precious":1}')
    with pytest.raises(CorruptedModelError, match="precious") as error:
        await take(basket)
    assert b'{"name":5,"precious":1}' in (error.value.raw or b"")
    assert not (await stored(on_host, basket))[place[2:]]


@pytest.mark.parametrize(
    "act",
    [
        lambda basket: basket.names.aextend(["x"]),
        lambda basket: basket.names.ainsert(0, "x"),
        lambda basket: basket.names.aremove("a"),
        lambda basket: basket.names.aremove_range(0, 1),
        lambda basket: basket.names.aclear(),
        lambda basket: basket.prices.aset_item("x", 1),
        lambda basket: basket.prices.apopitem(),
        lambda basket: basket.prices.aclear(),
        lambda basket: basket.count.aincrease(minimum=0),
    ],
)
async def test_errors_change_nothing_here_or_there(
    on_host: Host, basket: Any, act: Callable[[Any], Any]
) -> None:
    before = basket.model_copy(deep=True)
    await on_host.call("MODEL.UPDATE", basket.key, "$.names", "5", "$.prices", "5", "$.count", "[]")
    state = await on_host.state(basket.key)
    with pytest.raises((WrongValueTypeError, PathNotFoundError)):
        await act(basket)
    assert basket == before
    assert await on_host.state(basket.key) == state
    await basket.adelete()
    with pytest.raises(KeyNotFound):
        await act(basket)
    assert basket == before


async def test_bad_arguments(on_host: Host, basket: Any) -> None:
    acts: tuple[Callable[[], Any], ...] = (
        lambda: basket.names.aget("0"),
        lambda: basket.names.ainsert(1.5, "x"),
        lambda: basket.names.apop(None),
        lambda: basket.names.aset_item(True, "x"),
    )
    for act in acts:
        with pytest.raises(UnsupportedArgumentTypeError, match="indexed by an int"):
            await act()
    with pytest.raises(IndexError):
        await basket.names.aget(99)
    await agrees(on_host, basket)
