"""Finding and loading models."""

from __future__ import annotations

from typing import Annotated, Any, cast
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from _hosts import Host
from rapyer import AtomicRedisModel, Key, RapyerKey
from rapyer.errors import (
    CorruptedModelError,
    FoundError,
    KeyNotFound,
    UnsupportedArgumentTypeError,
    WrongKeyTypeError,
)
from rapyer.fields import SafeLoad


class Part(BaseModel):
    n: int = 0


class Book(AtomicRedisModel):
    title: str = ""
    pages: int = 0
    parts: list[Part] = []
    first: Part = Part()
    notes: dict[str, Part] = {}


class Movie(AtomicRedisModel):
    title: str = ""


class Account(AtomicRedisModel):
    email: Key[str]
    count: int = 0


class Ticket(AtomicRedisModel):
    number: Annotated[int, Key()]


async def test_a_model_is_found_by_its_key_and_by_its_pk_alone(on_host: Host) -> None:
    book = await Book(title="a").asave()
    assert book.key == f"Book:{book.pk}"
    assert isinstance(book.key, RapyerKey)
    assert await Book.aget(book.key) == book == await Book.aget(book.pk)
    assert (await Book.aget(book.pk)).key == book.key


async def test_a_pk_may_hold_colons_and_any_text(on_host: Host) -> None:
    for pk in ("a:b", "with space", "\U0001f600", "x" * 1000, "Book:1", ":"):
        book = Book(title=pk)
        book.pk = pk
        await book.asave()
        assert (await Book.aget(book.key)).title == pk
    assert (await Book.aget("a:b")).title == "a:b"


async def test_the_key_of_another_model_is_refused(on_host: Host) -> None:
    movie = await Movie(title="m").asave()
    with pytest.raises(KeyNotFound, match="start with 'Book:'"):
        await Book.aget(movie.key)
    assert await Book.afind_one(movie.key) is None


async def test_a_key_field_is_the_primary_key(on_host: Host) -> None:
    account = await Account(email="a@b:c").asave()
    assert account.key == "Account:a@b:c"
    assert await Account.aget("a@b:c") == account
    ticket = await Ticket(number=7).asave()
    assert ticket.pk == 7
    assert (await Ticket.aget("7")).number == 7


def test_a_pk_is_made_once_and_is_not_part_of_the_data() -> None:
    book = Book()
    assert UUID(book.pk)
    assert book.pk == book.pk
    assert "pk" not in book.model_dump()
    assert book == Book()


async def test_a_missing_document_is_key_not_found(on_host: Host) -> None:
    with pytest.raises(KeyNotFound, match="Book:none"):
        await Book.aget("none")
    assert await Book.afind_one("none") is None
    with pytest.raises(KeyNotFound):
        await Book().aload()


@pytest.mark.parametrize("key", [None, True, b"x", Movie()])
async def test_what_is_no_key_is_refused(on_host: Host, key: Any) -> None:
    for ask in (Book.aget, Book.afind, Book.afind_one):
        with pytest.raises(UnsupportedArgumentTypeError, match="key of Book"):
            await ask(key)


async def test_a_document_that_does_not_validate_is_reported_with_its_key(on_host: Host) -> None:
    await on_host.call("MODEL.CREATE", "Book:bad", '{"pages":"many"}')
    for act in (Book.aget("bad"), Book.afind("bad"), Book.afind_one("bad")):
        with pytest.raises(CorruptedModelError, match="Book:bad"):
            await act


async def test_a_key_of_another_type_is_reported(host: Host, on_host: Host) -> None:
    if host.name == "embedded":
        return  # it holds nothing but documents
    await on_host.call("SET", "Book:text", "x")
    with pytest.raises(WrongKeyTypeError, match="Book:text"):
        await Book.aget("text")


async def test_afind_keeps_the_order_of_its_keys(on_host: Host) -> None:
    books = [await Book(title=title).asave() for title in "abc"]
    keys = [book.pk for book in books]
    assert await Book.afind(*reversed(keys)) == books[::-1]
    with pytest.raises(KeyNotFound, match="'Book:none'"):
        await Book.afind(keys[0], "none")
    assert await Book.afind("none", keys[0], skip_missing=True) == [books[0]]


async def test_one_model_found_is_used_as_that_model(on_host: Host) -> None:
    book = await Book(title="a").asave()
    found: Any = await Book.afind(book.key)
    found.title = "b"
    await found.pages.aincrease(3)
    await found.asave()

    assert found.title == "b"
    assert found == [found[0]]
    assert isinstance(found, list)
    assert (await Book.aget(book.key)).pages == 3


async def test_none_or_several_found_say_what_to_do(on_host: Host) -> None:
    books = [await Book(title=title).asave() for title in "ab"]
    several: Any = await Book.afind(*(book.key for book in books))
    none: Any = await Book.afind("none", skip_missing=True)
    for found, remedy in ((several, r"found\[0\].title"), (none, "look whether it holds any")):
        with pytest.raises(FoundError, match=remedy):
            _ = found.title
        with pytest.raises(FoundError):
            found.title = "x"
    assert len(several) == 2
    assert not none


async def test_a_field_named_like_a_list_method_is_asked_of_the_model(on_host: Host) -> None:
    account = await Account(email="a").asave()
    found: Any = await Account.afind(account.key)
    with pytest.raises(FoundError, match=r"found\[0\].count"):
        _ = found.count
    with pytest.raises(FoundError, match=r"found\[0\].count"):
        found.count = 5
    assert found[0].count == 0
    assert found.index(account) == 0


async def test_aload_updates_in_place_and_keeps_objects(on_host: Host) -> None:
    mine: Any = await Book(title="a", parts=[Part(n=1)], notes={"x": Part(), "y": Part()}).asave()
    parts, first, notes, noted, part = mine.parts, mine.first, mine.notes, mine.notes["x"], mine.parts[0]
    theirs: Any = await Book.aget(mine.key)
    await theirs.aupdate(title="b", parts=[Part(n=2), Part(n=3)], first=Part(n=4), notes={"x": Part(n=5)})
    mine.pages = 99

    assert await mine.aload() is mine
    assert mine == theirs
    assert mine.pages == 0
    assert mine.parts is parts
    assert [held.n for held in parts] == [2, 3]
    assert mine.first is first
    assert first.n == 4
    assert mine.notes is notes
    assert mine.notes["x"] is noted
    assert noted.n == 5
    with pytest.raises(Exception, match="no longer"):
        await part.n.aincrease()
    await mine.asave()
    assert await Book.aget(mine.key) == theirs


class Town(BaseModel):
    name: str = "Rome"


class Drifted(AtomicRedisModel):
    name: SafeLoad[str] = "x"
    size: SafeLoad[int]
    town: SafeLoad[Town | None] = None
    tags: SafeLoad[list[str]] = []
    strict: int = 0


class TestSafeLoad:
    async def test_what_is_not_valid_is_none_and_stays_stored(
        self, on_host: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = '{"name":5,"size":"big","town":{"name":[]},"tags":["a"],"strict":1}'
        await on_host.call("MODEL.CREATE", "Drifted:1", text)
        model = await Drifted.aget("1")
        assert (model.name, model.size, model.town, model.tags, model.strict) == (None, None, None, ["a"], 1)
        assert model.failed_fields == {"name", "size", "town"}
        assert [record.args[0] for record in caplog.records if record.args] == ["name", "size", "town"]  # type: ignore[index]
        model.strict = 2
        model.tags = ["b"]
        await model.asave()
        stored = await on_host.call("MODEL.GET_RO", "Drifted:1")
        assert stored == b'{"name":5,"size":"big","town":{"name":[]},"tags":["b"],"strict":2}'
        async with model.apipeline():
            model.size = 3
        assert model.failed_fields == {"name", "town"}
        model.name = "y"
        await model.asave()
        assert await on_host.call("MODEL.GET_RO", "Drifted:1", "$.name", "$.size") == [b'"y"', b"3"]
        assert (await Drifted.aget("1")).failed_fields == {"town"}
        await on_host.call("MODEL.SET", "Drifted:1", "$.town", '{"name":"Nice"}')
        assert (await model.aload()).town == Town(name="Nice")
        assert model.failed_fields == set()

    async def test_what_is_valid_or_missing_is_as_ever(self, on_host: Host) -> None:
        model = await Drifted(size=1, town=Town()).asave()
        assert (await Drifted.aget(model.key)).failed_fields == set()
        assert await Drifted.aget(model.key) == model
        await on_host.call("MODEL.CREATE", "Drifted:1", '{"size":1}')
        assert await Drifted.aget("1") == Drifted(size=1)
        await on_host.call("MODEL.CREATE", "Drifted:1", "{}")
        with pytest.raises(CorruptedModelError, match="size"):
            await Drifted.aget("1")
        await on_host.call("MODEL.CREATE", "Drifted:1", '{"size":1,"strict":"x"}')
        with pytest.raises(CorruptedModelError, match="strict"):
            await Drifted.aget("1")

    def test_what_users_give_is_checked_as_ever(self) -> None:
        for wrong in ("x", None):
            with pytest.raises(ValidationError):
                Drifted(size=cast("int", wrong))
        with pytest.raises(ValidationError):
            Drifted.model_validate_json('{"size":"x"}')
