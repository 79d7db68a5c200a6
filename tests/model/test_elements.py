"""An operation on an element of a list never lands on another element."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, Key, apipeline
from rapyer.errors import DetachedValueError, StaleModelError


class Batch(BaseModel):
    lot: Annotated[int, Key()]
    left: int = 0
    marks: list[str] = []


class Item(BaseModel):
    sku: Key[str]
    qty: int = 0
    note: str = ""
    tags: list[str] = []
    batches: list[Batch] = []
    prices: dict[str, int] = {}


class Order(AtomicRedisModel):
    name: str = ""
    items: list[Item] = []
    by_name: dict[str, list[Item]] = {}


class Token(AtomicRedisModel):
    id: Key[UUID]
    uses: int = 0


class Ring(AtomicRedisModel):
    tokens: list[Token] = []


def items(*skus: str) -> list[Item]:
    return [Item(sku=sku, qty=at, batches=[Batch(lot=1), Batch(lot=2)]) for at, sku in enumerate(skus)]


@pytest.fixture
async def order(on_host: Host) -> Any:
    """One instance of an order of a, b and c, where others have moved everything since."""
    mine = await Order(items=items("a", "b", "c"), by_name={"x": items("a", "b")}).asave()
    theirs: Any = await Order.aget(mine.key)
    await theirs.items.ainsert(0, Item(sku="new", qty=100))
    await theirs.items.apop(1)
    await theirs.items[2].batches.apop(0)
    await theirs.by_name["x"].apop(0)
    return mine


async def stored(order: Any) -> dict[str, Any]:
    found: Any = await Order.aget(order.key)
    return {item.sku: item for item in found.items}


async def test_awaited_operations_find_their_element_wherever_it_went(order: Any) -> None:
    c = order.items[2]
    assert c.json_path == '$.items[?@.sku=="c"]'
    assert (c.field_path, c.field_name) == ('items[?@.sku=="c"]', "c")
    assert await c.qty.aincrease(5) == 7
    await c.tags.aappend("t")
    await c.prices.aset_item("eur", 3)
    await c.aupdate(note="n")
    await c.batches[1].left.aincrease(4)
    await c.batches[1].marks.aextend(["m"])
    await order.by_name["x"][1].qty.aincrease(9)
    c.note += "!"
    await c.note.asave()

    assert (c.qty, c.tags, c.prices, c.note) == (7, ["t"], {"eur": 3}, "n!")
    assert (c.batches[1].left, c.batches[1].marks) == (4, ["m"])
    assert order.by_name["x"][1].qty == 10
    found = await stored(order)
    assert list(found) == ["new", "b", "c"]
    assert (found["c"].qty, found["c"].tags, found["c"].prices, found["c"].note) == (
        7,
        ["t"],
        {"eur": 3},
        "n!",
    )
    assert found["c"].batches == [Batch(lot=2, left=4, marks=["m"])]
    assert (found["new"].qty, found["b"].qty) == (100, 1)
    assert unsaved(order) == []


async def test_readers_find_their_element_too(order: Any) -> None:
    theirs: Any = await Order.aget(order.key)
    await theirs.items[2].qty.aincrease(5)
    await theirs.items[2].tags.aappend("t")
    c = order.items[2]
    assert (await c.tags.alen(), await c.tags.acontains("t"), await c.tags.aget(0)) == (1, True, "t")
    await c.aload()
    assert (c, order.items[2], c.qty) == (theirs.items[2], c, 7)
    assert await c.qty.aload() == 7


async def test_a_nested_save_writes_to_its_element(order: Any) -> None:
    c = order.items[2]
    c.note = "mine"
    await c.asave()
    found = await stored(order)
    assert (found["c"].note, found["new"].note, found["b"].note) == ("mine", "", "")


async def test_elements_with_keys_stay_the_same_objects(order: Any) -> None:
    b, c = order.items[1], order.items[2]
    await order.aload()
    assert [item.sku for item in order.items] == ["new", "b", "c"]
    assert (order.items[1] is b, order.items[2] is c) == (True, True)
    await c.qty.aincrease()
    assert order.items[2].qty == 3


async def test_saves_of_one_element_with_a_key_meet_each_other(on_host: Host) -> None:
    mine: Any = await Order(items=items("a", "b")).asave()
    theirs: Any = await Order.aget(mine.key)
    await theirs.items.apop(0)
    theirs.items[0].note, theirs.items[0].batches[0].left = "theirs", 4
    await theirs.items[0].asave()
    mine.items[0].note = "unsaved"
    mine.items[1].qty, mine.items[1].batches[1].left = 7, 5
    await mine.items[1].asave()
    found = (await stored(mine))["b"]
    assert (found.qty, found.note) == (7, "theirs")
    assert found.batches == [Batch(lot=1, left=4), Batch(lot=2, left=5)]
    assert mine.items[0].note == "unsaved"


async def test_an_element_that_is_gone_or_twice_there_is_not_told(order: Any, on_host: Host) -> None:
    a, b = order.items[0], order.items[1]
    before = await on_host.state(order.key)
    for operation in (a.qty.aincrease, lambda: a.tags.aappend("x"), lambda: a.aupdate(note="x"), a.asave):
        with pytest.raises(StaleModelError):
            await operation()
    assert await on_host.state(order.key) == before

    await on_host.call("MODEL.APPEND", order.key, "$.items", '{"sku":"b","qty":0}')
    for operation in (b.qty.aincrease, lambda: b.tags.aappend("x")):
        with pytest.raises(StaleModelError):
            await operation()


async def test_what_a_block_does_to_an_element_finds_it(order: Any) -> None:
    c = order.items[2]
    async with apipeline():
        c.qty += 5
        c.tags.append("t")
        c.prices["eur"] = 3
        c.batches[1].left += 4
        order.items[1].note = "n"
        await c.batches[1].marks.aappend("m")
        assert (c.qty, await c.batches[1].marks.alen()) == (7, 1)
    found = await stored(order)
    assert (found["c"].qty, found["c"].tags, found["c"].prices) == (7, ["t"], {"eur": 3})
    assert (found["c"].batches, found["b"].note) == ([Batch(lot=2, left=4, marks=["m"])], "n")
    assert (found["new"].qty, found["new"].note) == (100, "")
    assert list(order.items) == [found[sku] for sku in ("new", "b", "c")]


async def test_a_block_with_an_element_that_is_gone_is_refused(order: Any, on_host: Host) -> None:
    before = await on_host.state(order.key)
    with pytest.raises(StaleModelError):
        async with apipeline():
            order.items[0].qty += 5
            order.name = "lost"
    with pytest.raises(StaleModelError):
        async with apipeline():
            await order.items[0].qty.aincrease()
    assert await on_host.state(order.key) == before
    assert (order.items[0].qty, order.name) == (0, "")


async def test_an_element_that_moved_here_only_is_found_as_well(order: Any) -> None:
    order.items.reverse()
    c = order.items[0]
    await c.qty.aincrease(5)
    assert (c.qty, order.items[0].qty, [item.qty for item in order.items]) == (7, 7, [7, 1, 0])
    assert (await stored(order))["c"].qty == 7


async def test_an_element_that_is_here_only_is_in_no_document(order: Any) -> None:
    order.items.append(Item(sku="d"))
    with pytest.raises(DetachedValueError, match="save the model first"):
        await order.items[-1].qty.aincrease()
    async with apipeline():
        order.items[-1].qty += 2
        await order.items[-1].tags.aappend("t")
    assert (await stored(order))["d"] == Item(sku="d", qty=2, tags=["t"])


async def test_keys_of_every_kind_are_found(on_host: Host) -> None:
    names = ["a", "", "it's", 'a"b', "a\\b", "]", "é", "\n", "🎈", "$", "1"]
    mine: Any = await Order(items=[Item(sku=name) for name in names]).asave()
    for item in mine.items:
        assert await item.qty.aincrease(2) == 2
    assert [item.qty for item in (await Order.aget(mine.key)).items] == [2] * len(names)

    ids = [UUID(int=at) for at in range(3)]
    ring: Any = await Ring(tokens=[Token(id=one) for one in ids]).asave()
    theirs: Any = await Ring.aget(ring.key)
    await theirs.tokens.apop(0)
    await ring.tokens[1].uses.aincrease()
    ring.tokens[2].uses = 5
    await ring.asave()
    assert [token.uses for token in (await Ring.aget(ring.key)).tokens] == [1, 5]


async def test_saves_of_different_elements_both_stay(on_host: Host) -> None:
    mine: Any = await Order(items=items("a", "b", "c")).asave()
    theirs: Any = await Order.aget(mine.key)
    mine.items[0].qty = 10
    mine.items[2].batches[1].left = 3
    theirs.items[1].qty = 20
    theirs.items[2].batches[0].left = 4
    theirs.items[2].note = "theirs"
    assert [part.words[1] for part in unsaved(mine)] == [
        '$.items[?@.sku=="a"].qty',
        '$.items[?@.sku=="c"].batches[?@.lot==2].left',
    ]
    await theirs.asave()
    await mine.asave()
    found = await stored(mine)
    assert [item.qty for item in found.values()] == [10, 20, 2]
    assert found["c"] == Item(
        sku="c", qty=2, note="theirs", batches=[Batch(lot=1, left=4), Batch(lot=2, left=3)]
    )


async def test_a_save_finds_elements_that_others_moved(order: Any) -> None:
    order.items[2].qty = 30
    await order.asave()
    found = await stored(order)
    assert {sku: item.qty for sku, item in found.items()} == {"new": 100, "b": 1, "c": 30}
    assert unsaved(order) == []


async def test_a_save_puts_an_element_back_that_others_removed(order: Any) -> None:
    order.items[0].qty = 30
    await order.asave()
    found = await stored(order)
    assert {sku: item.qty for sku, item in found.items()} == {"new": 100, "b": 1, "c": 2, "a": 30}
    assert [item.sku for item in order.items] == ["new", "b", "c", "a"]
    order.items[3].qty = 31
    await order.asave()
    assert (await stored(order))["a"].qty == 31


async def test_unknown_members_stay_with_their_elements(on_host: Host) -> None:
    mine: Any = await Order(items=items("a", "b", "c")).asave()
    for at in range(3):
        await on_host.call("MODEL.SET", mine.key, f"$.items[{at}].newer", f'"{at}"')
    changes: list[Any] = [
        lambda held: held.pop(0),
        lambda held: held.insert(0, Item(sku="d")),
        lambda held: held.reverse(),
        lambda held: setattr(held[0], "qty", 50),
        lambda held: held.__setitem__(
            slice(1, None), [Item(sku="e"), held[0].model_copy(update={"sku": "f"})]
        ),
    ]
    for change in changes:
        mine = await Order.aget(mine.key)
        change(mine.items)
        await mine.asave()
        text = await on_host.call("MODEL.GET_RO", mine.key, "$.items")
        found = {item["sku"]: item for item in json.loads(text)}  # type: ignore[arg-type]
        assert {sku: item.get("newer") for sku, item in found.items()} == {
            sku: {"a": "0", "b": "1", "c": "2"}.get(sku) for sku in found
        }
        assert [item.qty for item in mine.items] == [item["qty"] for item in found.values()]


async def test_defaults_of_elements_of_an_older_release_are_nobodys_changes(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Order:old", '{"name":"","items":[{"sku":"a","qty":1},{"sku":"b"}]}')
    mine: Any = await Order.aget("old")
    mine.items[1].note = "n"
    assert [part.words for part in unsaved(mine)] == [("SET", '$.items[?@.sku=="b"].note', b'"n"')]
    await mine.asave()
    assert await mine.items[0].tags.aappend("t") == 1
    assert await mine.items[1].qty.aincrease(2) == 2
    text = await on_host.call("MODEL.GET_RO", "Order:old", "$.items")
    assert text == b'[{"sku":"a","qty":1,"tags":["t"]},{"sku":"b","note":"n","qty":2}]'


async def test_concurrent_increments_of_moving_elements_all_happen(on_host: Host) -> None:
    first = await Order(items=[Item(sku=sku) for sku in "abcd"]).asave()

    async def count(sku: str) -> None:
        mine: Any = await Order.aget(first.key)
        item = next(item for item in mine.items if item.sku == sku)
        for _ in range(5):
            await item.qty.aincrease()

    async def move() -> None:
        mine: Any = await Order.aget(first.key)
        for at in range(5):
            await mine.items.ainsert(0, Item(sku=f"new-{at}"))

    await asyncio.gather(*map(count, "abcd"), *map(count, "abcd"), move())
    found = await stored(first)
    assert [found[sku].qty for sku in "abcd"] == [10] * 4
    assert all(found[f"new-{at}"].qty == 0 for at in range(5))


class Aliased(AtomicRedisModel):
    entries: list[Annotated[Item, Field(description="keyed still")] | None] = []


async def test_a_list_that_has_nulls_or_no_keys_is_one_as_ever(on_host: Host) -> None:
    mine: Any = await Aliased(entries=[Item(sku="a"), None]).asave()
    assert mine.entries[0].json_path == '$.entries[?@.sku=="a"]'
    await mine.entries[0].qty.aincrease()
    mine.entries[0].qty += 1
    mine.entries.append(None)
    await mine.asave()
    assert (await Aliased.aget(mine.key)).entries == [Item(sku="a", qty=2), None, None]


class Line(BaseModel):
    name: str
    qty: int = 0
    tags: list[str] = []
    size: dict[str, int] = {}


class Cart(AtomicRedisModel):
    lines: list[Line] = []
    numbers: list[int] = []
    grid: list[list[int]] = []


@pytest.fixture
async def cart(on_host: Host) -> Any:
    lines = [Line(name="a", qty=1, size={"w": 1, "h": 1}), Line(name="b", qty=2, size={"w": 2, "h": 2})]
    return await Cart(lines=lines, numbers=[1, 2, 3], grid=[[1], [2]]).asave()


OPERATIONS: list[Any] = [
    lambda cart: cart.lines[1].qty.aincrease(),
    lambda cart: cart.lines[1].tags.aappend("x"),
    lambda cart: cart.lines[1].size.aset_item("w", 9),
    lambda cart: cart.lines[1].size["w"].aincrease(),
    lambda cart: cart.lines[1].aupdate(qty=7),
    lambda cart: cart.lines[1].asave(),
    lambda cart: cart.lines[1].qty.asave(),
    lambda cart: cart.lines[1].tags.alen(),
    lambda cart: cart.lines[1].qty.aload(),
    lambda cart: cart.numbers[1].aincrease(),
    lambda cart: cart.grid[1].aappend(5),
]


async def _in_a_block(cart: Any) -> None:
    async with apipeline():
        cart.lines[1].qty += 1


async def _awaited_in_a_block(cart: Any) -> None:
    async with apipeline():
        await cart.lines[1].size["h"].aincrease()


@pytest.mark.parametrize("operation", [*OPERATIONS, _in_a_block, _awaited_in_a_block])
@pytest.mark.parametrize("moved", ["MODEL.POP", "MODEL.INSERT"])
async def test_without_a_key_an_element_that_others_moved_is_not_told(
    on_host: Host, cart: Any, operation: Any, moved: str
) -> None:
    for path, item in (("$.lines", '{"name":"c","qty":2}'), ("$.numbers", "7"), ("$.grid", "[7]")):
        words = ("0",) if moved == "MODEL.POP" else ("0", item)
        await on_host.call(moved, cart.key, path, *words)
    before = await on_host.call("MODEL.GET_RO", cart.key)
    with pytest.raises(StaleModelError):
        await operation(cart)
    assert await on_host.call("MODEL.GET_RO", cart.key) == before

    if moved == "MODEL.INSERT":
        await cart.aload()
        await operation(cart)


@pytest.mark.parametrize("operation", [*OPERATIONS, _in_a_block, _awaited_in_a_block])
async def test_without_a_key_an_element_that_stayed_is_operated_on(cart: Any, operation: Any) -> None:
    theirs: Any = await Cart.aget(cart.key)
    await theirs.lines.aappend(Line(name="c"))
    await theirs.lines[0].qty.aincrease()
    await operation(cart)
    await operation(cart)
    found: Any = await Cart.aget(cart.key)
    assert [line.name for line in found.lines] == ["a", "b", "c"]
    assert (found.lines[0].qty, found.lines[1]) == (2, cart.lines[1])


async def test_operations_on_one_counter_in_an_element_all_happen(on_host: Host) -> None:
    first = await Cart(lines=[Line(name="a"), Line(name="b")], numbers=[1, 2], grid=[[], []]).asave()
    second = await Cart(lines=[Line(name="twin"), Line(name="twin")]).asave()

    async def work(number: int) -> None:
        mine: Any = await Cart.aget(first.key)
        await mine.lines[1].qty.aincrease()
        twins: Any = await Cart.aget(second.key)
        await twins.lines[1].qty.aincrease()
        await mine.numbers[1].aincrease()
        await mine.grid[1].aappend(number)
        async with apipeline():
            mine.lines[0].qty += 1
            mine.lines[0].tags.append(f"t{number}")
            mine.lines[0].qty += 1

    await asyncio.gather(*map(work, range(8)))
    found: Any = await Cart.aget(first.key)
    assert [line.qty for line in found.lines] == [16, 8]
    assert [line.qty for line in (await Cart.aget(second.key)).lines] == [0, 8]
    assert (found.numbers, sorted(found.grid[1]), found.grid[0]) == ([1, 10], list(range(8)), [])
    assert len(found.lines[0].tags) == 8


async def test_a_save_of_an_element_without_a_key_undoes_nothing(on_host: Host, cart: Any) -> None:
    await on_host.call("MODEL.SET", cart.key, "$.lines[1].tags", '["theirs"]')
    cart.lines[1].qty = 7
    with pytest.raises(StaleModelError):
        await cart.lines[1].asave()
    found: Any = await Cart.aget(cart.key)
    assert (found.lines[1].qty, found.lines[1].tags) == (2, ["theirs"])


async def test_twins_are_told_by_the_whole_of_them(on_host: Host) -> None:
    mine: Any = await Cart(lines=[Line(name="twin", qty=at) for at in range(3)]).asave()
    await on_host.call("MODEL.POP", mine.key, "$.lines", "0")
    with pytest.raises(StaleModelError):
        await mine.lines[0].qty.aincrease()
    with pytest.raises(StaleModelError):
        await mine.lines[2].qty.aincrease()


async def test_a_block_tells_elements_by_what_it_has_not_changed_itself(on_host: Host, cart: Any) -> None:
    async with apipeline():
        cart.lines[1].name = "renamed"
        cart.lines[1].qty += 1
        cart.lines.insert(0, Line(name="new"))
        cart.lines[2].qty += 1
        cart.lines.pop(1)
        cart.lines[1].tags.append("t")
    found = (await Cart.aget(cart.key)).lines
    assert found == cart.lines
    assert [line.name for line in found] == ["new", "renamed"]
    assert (found[1].qty, found[1].tags) == (4, ["t"])


async def test_without_a_key_an_element_that_is_here_only_is_in_no_document(cart: Any) -> None:
    cart.lines.append(Line(name="c"))
    with pytest.raises(DetachedValueError, match="save the model first"):
        await cart.lines[2].qty.aincrease()
