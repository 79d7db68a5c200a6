"""Saving sends what changed, and only that."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from _hosts import Host
from rapyer import AtomicRedisModel
from rapyer.errors import (
    BadDeleteActionError,
    CantSerializeRedisValueError,
    KeyNotFound,
    MissingParameterError,
    NestedModelError,
    UnsupportedArgumentTypeError,
)


class Address(BaseModel):
    city: str = ""


class Villa(Address):
    rooms: int = 9


class Person(AtomicRedisModel):
    name: str = ""
    age: int = 0
    tags: list[str] = []
    address: Address = Address()
    anything: Any = None


async def stored(host: Host, model: AtomicRedisModel) -> Any:
    text = await host.call("MODEL.GET_RO", str(model.key))
    return None if text is None else json.loads(text)  # type: ignore[arg-type]


async def test_what_others_changed_stays(on_host: Host) -> None:
    mine: Any = await Person(name="ada", tags=["a"]).asave()
    theirs: Any = await Person.aget(mine.key)
    await theirs.age.aincrease(5)
    await theirs.tags.aappend("b")
    mine.name = "bob"
    await mine.asave()

    assert await stored(on_host, mine) == {
        "name": "bob",
        "age": 5,
        "tags": ["a", "b"],
        "address": {"city": ""},
        "anything": None,
    }


async def test_what_was_done_atomically_here_is_not_sent_again(on_host: Host) -> None:
    person: Any = await Person(tags=["a"]).asave()
    await person.tags.aappend("b")
    await person.age.aincrease(1)
    await person.tags.apop(0)
    await on_host.call("MODEL.SET", person.key, "$.tags", '["theirs"]')
    await on_host.call("MODEL.SET", person.key, "$.age", "70")
    person.name = "ada"
    await person.asave()

    found = await stored(on_host, person)
    assert (found["name"], found["age"], found["tags"]) == ("ada", 70, ["theirs"])


async def test_an_unsaved_change_survives_an_atomic_operation_on_the_same_field(on_host: Host) -> None:
    person: Any = await Person(tags=["a"]).asave()
    person.tags.append("local")
    await person.tags.aappend("server")
    await person.asave()
    assert (await stored(on_host, person))["tags"] == ["a", "local", "server"]


async def test_members_that_this_release_does_not_know_stay(on_host: Host) -> None:
    person = await Person(name="ada").asave()
    await on_host.call("MODEL.SET", person.key, "$.newer", '{"x":1}')
    loaded = await Person.aget(person.key)
    loaded.name = "bob"
    await loaded.asave()
    assert (await stored(on_host, person))["newer"] == {"x": 1}


class Loose(AtomicRedisModel):
    ratio: float = 0.0
    small: float = 0.0
    moment: datetime | None = None
    id: UUID | None = None
    price: Decimal = Decimal(0)
    address: Address = Address()
    items: list[float] = []
    anything: Any = None


async def test_what_others_wrote_in_their_way_is_no_change(on_host: Host) -> None:
    text = (
        '{"ratio":2,"small":1E-5,"moment":"2026-01-01 00:00:00+00:00","price":1.50,'
        '"id":"12345678123456781234567812345678","address":{"city":"a","unknown":true},'
        '"items":[1,1e16],"anything":1}'
    )
    await on_host.call("MODEL.CREATE", "Loose:1", text)
    loose = await Loose.aget("1")
    before = await on_host.state("Loose:1")
    await loose.asave()
    assert await on_host.state("Loose:1") == before
    await on_host.call("MODEL.INCRBY", "Loose:1", "$.ratio", "1")
    loose.anything = 1.0
    await loose.asave()
    found = await stored(on_host, loose)
    assert (found["ratio"], found["address"]) == (3, {"city": "a", "unknown": True})
    assert type(found["anything"]) is float


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        (
            "moment",
            datetime(2026, 1, 1, tzinfo=timezone.utc),
            datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("ratio", 0.0, -0.0),
        ("price", Decimal("1.0"), Decimal("1.00")),
        ("items", [1.0, 2.0], [2.0, 1.0]),
        ("anything", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ("anything", 1, True),
        ("anything", None, {}),
    ],
)
async def test_what_is_equal_and_not_the_same_is_a_change(
    on_host: Host, field: str, before: object, after: object
) -> None:
    loose = await Loose.model_validate({field: before}).asave()
    text = loose.redis_dump_json()
    setattr(loose, field, after)
    assert loose.redis_dump_json() != text
    await loose.asave()
    assert (await Loose.aget(loose.key)).redis_dump_json() == loose.redis_dump_json()


async def test_a_field_added_since_is_sent_when_it_is_set(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Person:1", '{"name":"ada"}')
    person = await Person.aget("1")
    await on_host.call("MODEL.SET", "Person:1", "$.age", "5")
    await person.asave()
    # Others have given it a value, and nobody did here.
    assert (await stored(on_host, person))["age"] == 5
    person.age = 0
    await person.asave()
    assert (await stored(on_host, person))["age"] == 0


async def test_extra_members_are_kept_and_removed_where_the_model_allows_them(on_host: Host) -> None:
    class Open(AtomicRedisModel):
        model_config = ConfigDict(extra="allow")
        name: str = ""

    thing: Any = await Open.model_validate({"name": "a", "color": "red", "size": 2}).asave()
    loaded: Any = await Open.aget(thing.key)
    assert loaded.color == "red"
    del loaded.color
    await loaded.asave()
    assert await stored(on_host, thing) == {"name": "a", "size": 2}
    await loaded.aupdate(weight=3)
    assert loaded.weight == 3
    assert (await stored(on_host, thing))["weight"] == 3


async def test_a_document_that_is_gone_is_created_again_as_a_whole(on_host: Host) -> None:
    person = await Person(name="ada", age=3).asave()
    await on_host.call("DEL", person.key)
    person.name = "bob"
    await person.asave()
    assert (await stored(on_host, person))["age"] == 3


async def test_only_existing_never_brings_a_document_back(on_host: Host) -> None:
    person = Person(name="ada")
    with pytest.raises(KeyNotFound, match="only_existing"):
        await person.asave(only_existing=True)
    assert await stored(on_host, person) is None
    await person.asave()
    person.age = 4
    await person.asave(only_existing=True)
    assert (await stored(on_host, person))["age"] == 4
    with pytest.raises(NestedModelError):
        await person.address.asave(only_existing=True)  # type: ignore[attr-defined]


async def test_saves_under_way_together_with_operations_lose_nothing(on_host: Host) -> None:
    person: Any = await Person().asave()
    person.name = "ada"
    await asyncio.gather(person.asave(), *(person.age.aincrease() for _ in range(20)), person.asave())
    await person.asave()
    found = await stored(on_host, person)
    assert (found["name"], found["age"]) == ("ada", 20)


async def test_aupdate_is_all_or_nothing_and_leaves_other_changes_unsaved(on_host: Host) -> None:
    person: Any = await Person(name="ada").asave()
    person.tags.append("unsaved")
    with pytest.raises(ValidationError):
        await person.aupdate(name="bob", age="many")
    with pytest.raises(ValidationError):
        await person.aupdate(nothing=1)
    assert person.name == "ada"

    await person.aupdate(name="bob", address=Address(city="Rome"))
    assert (person.name, person.address.city) == ("bob", "Rome")
    assert (await stored(on_host, person))["tags"] == []
    await person.asave()
    assert (await stored(on_host, person))["tags"] == ["unsaved"]


async def test_ainsert_stores_whole_models_and_returns_them(on_host: Host) -> None:
    first, second = Person(name="a"), Person(name="b")
    assert await Person.ainsert(first, second) == (first, second)
    assert (await stored(on_host, second))["name"] == "b"
    first.age = 1
    await Person.ainsert(first)
    assert (await stored(on_host, first))["age"] == 1
    with pytest.raises(MissingParameterError):
        await Person.ainsert()
    with pytest.raises(UnsupportedArgumentTypeError):
        await Person.ainsert("Person:1")  # type: ignore[arg-type]


async def test_adelete_says_whether_there_was_a_document(on_host: Host) -> None:
    person = await Person().asave()
    with pytest.raises(BadDeleteActionError):
        await person.address.adelete()  # type: ignore[attr-defined]
    assert await person.adelete() is True
    assert await person.adelete() is False
    await person.asave()
    assert await stored(on_host, person) is not None


async def test_a_value_that_would_not_come_back_is_refused(on_host: Host) -> None:
    person: Any = Person(address=Villa(city="Rome"))
    with pytest.raises(CantSerializeRedisValueError, match="Villa in a field of type Address"):
        await person.asave()
    with pytest.raises(CantSerializeRedisValueError):
        await Person(anything=object()).asave()
    with pytest.raises(CantSerializeRedisValueError):
        await Person(name="\ud800").asave() if False else await Person(anything="\ud800").asave()
    assert await stored(on_host, person) is None
