"""References to other documents, and moments stored as timestamps."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, cast
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

import rapyer
from _hosts import Host
from rapyer import AtomicRedisModel, Key
from rapyer.errors import CorruptedModelError, KeyNotFound, NotResolvedError, UnsupportedArgumentTypeError
from rapyer.types import ForeignKey, RedisDatetimeTimestamp, Reference


class Person(AtomicRedisModel):
    name: str = ""


class Employee(Person):
    salary: int = 0


class Team(AtomicRedisModel):
    id: Key[str]


class Order(AtomicRedisModel):
    buyer: Reference[Person]
    seller: Optional[Reference[Employee]] = None  # noqa: UP045 - both ways to write it are checked
    owner: Reference[Person | Team] | None = None
    watchers: list[Reference[Person]] = []
    by_name: dict[str, ForeignKey[Person]] = {}


class Node(AtomicRedisModel):
    parent: Reference[Node] | None = None


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    assert isinstance(text, bytes)
    return json.loads(text)


async def test_a_reference_is_stored_as_a_key_and_fetched_when_asked(on_host: Host) -> None:
    person = await Person(name="ada").asave()
    order = await Order(buyer=person, watchers=cast("Any", [person.key]), by_name={"a": person.pk}).asave()
    assert (await stored(on_host, order)) == {
        "buyer": person.key,
        "seller": None,
        "owner": None,
        "watchers": [person.key],
        "by_name": {"a": person.key},
    }
    loaded = await Order.aget(order.key)
    assert loaded == order
    assert (loaded.buyer.target_key, loaded.buyer.is_resolved) == (person.key, False)
    for early in (lambda: loaded.buyer.value, lambda: loaded.buyer.name):
        with pytest.raises(NotResolvedError, match="afetch"):
            early()
    assert await loaded.buyer.afetch() == person
    assert (loaded.buyer.is_resolved, loaded.buyer.value, loaded.buyer.name) == (True, person, "ada")
    assert await loaded.buyer.afetch() is loaded.buyer.value
    await loaded.buyer.aunload()
    assert not loaded.buyer.is_resolved
    assert (await loaded.watchers[0].afetch()).name == "ada"


async def test_a_base_class_finds_the_subclass_that_the_key_names(on_host: Host) -> None:
    employee = await Employee(name="e", salary=5).asave()
    order = await Order(buyer=employee).asave()
    fetched = await (await Order.aget(order.key)).buyer.afetch()
    assert type(fetched) is Employee
    assert fetched.key == employee.key
    team = await Team(id="t").asave()
    order.owner = team.key
    await order.asave()
    owner = (await Order.aget(order.key)).owner
    assert owner is not None
    assert await owner.afetch() == team


@pytest.mark.parametrize("bad", [5, None, b"Person:1", {"id": 1}, [1]])
def test_what_is_no_reference(bad: Any) -> None:
    with pytest.raises(UnsupportedArgumentTypeError, match="takes a model or its key"):
        Order(buyer=bad)


def test_another_class_is_refused() -> None:
    wrong: list[Any] = [Team(id="t"), "Team:t", Reference("Team:t")]
    for bad in wrong:
        with pytest.raises(ValidationError, match="is of Team, and this refers to Person"):
            Order(buyer=bad)
    with pytest.raises(ValidationError, match="is of Person, and this refers to Employee"):
        Order(buyer="a", seller=cast("Any", Person()))
    with pytest.raises(ValidationError, match="does not say which"):
        Order(buyer="a", owner=cast("Any", "pk alone"))


async def test_what_is_missing_or_broken(on_host: Host) -> None:
    order = await Order(buyer="Person:none").asave()
    with pytest.raises(KeyNotFound, match="Person:none"):
        await order.buyer.afetch()
    with pytest.raises(KeyNotFound, match="no key of Person"):
        await Reference[Person]("Team:1", targets=(Person,)).afetch()
    await on_host.call("MODEL.SET", order.key, "$.buyer", "5")
    with pytest.raises(CorruptedModelError, match="stored as the key"):
        await Order.aget(order.key)


async def test_a_model_refers_to_its_own_class(on_host: Host) -> None:
    root = await Node().asave()
    child = await Node(parent=Reference(root)).asave()
    parent = (await Node.aget(child.key)).parent
    assert parent is not None
    assert await parent.afetch() == root


async def test_references_are_copied_compared_and_assigned_in_transactions(on_host: Host) -> None:
    person, other = await Person(name="p").asave(), await Person(name="o").asave()
    order = await Order(buyer=person).asave()
    for twin in (copy.copy(order.buyer), copy.deepcopy(order.buyer), pickle.loads(pickle.dumps(order.buyer))):
        assert twin == order.buyer
        assert hash(twin) == hash(order.buyer)
    assert order.buyer != Reference(other)
    assert order.buyer != person.key
    async with rapyer.apipeline():
        order.buyer = other
        order.watchers.append(Reference(person))
    assert (await stored(on_host, order))["buyer"] == other.key
    assert (await Order.aget(order.key)).watchers == [Reference(person)]
    assert order.model_dump(mode="json")["buyer"] == other.key


class Event(AtomicRedisModel):
    at: RedisDatetimeTimestamp
    more: list[RedisDatetimeTimestamp] = []
    maybe: RedisDatetimeTimestamp | None = None


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
        datetime(1815, 12, 10, 0, 0, 0, 1, tzinfo=timezone.utc),
        datetime(2241, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Paris")),
    ],
)
async def test_a_timestamp_keeps_the_moment_to_the_microsecond(on_host: Host, moment: datetime) -> None:
    event = await Event(at=moment, more=cast("Any", [moment])).asave()
    assert (await stored(on_host, event))["at"] == moment.timestamp()
    loaded = await Event.aget(event.key)
    assert loaded.at == moment == loaded.more[0]
    assert loaded.at.tzinfo is timezone.utc
    assert isinstance(loaded.at, RedisDatetimeTimestamp)


async def test_a_moment_without_a_zone_is_local(on_host: Host) -> None:
    naive = datetime(2026, 1, 2, 3)  # noqa: DTZ001 - that is the case
    event = await Event(at=naive).asave()
    assert event.at == naive.astimezone()
    assert (await Event.aget(event.key)).at == naive.astimezone()


async def test_a_timestamp_moves_in_a_transaction_and_is_restored(on_host: Host) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    event = await Event(at=moment).asave()
    async with event.apipeline():
        event.at += timedelta(days=1, microseconds=3)
        event.maybe = moment
    assert event.at == (await Event.aget(event.key)).at == moment + timedelta(days=1, microseconds=3)
    with pytest.raises(ZeroDivisionError):
        async with event.apipeline():
            event.at -= timedelta(days=1)
            raise ZeroDivisionError
    assert event.at == moment + timedelta(days=1, microseconds=3)
    event.at -= timedelta(days=1)
    await event.asave()
    assert (await stored(on_host, event))["at"] == (moment + timedelta(microseconds=3)).timestamp()
