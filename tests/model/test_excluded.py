"""Fields with `exclude=True` are not stored."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, Key, RedisConfig, apipeline
from rapyer.errors import CorruptedModelError, RapyerError, UnsupportedArgumentValueError
from rapyer.types import PriorityQueueItem, RedisInt, RedisList, RedisPriorityQueue, RedisSet


class Card(BaseModel):
    number: str = ""
    cvc: str = Field(default="none", exclude=True)


@pydantic_dataclass
class Login:
    name: str = ""
    code: str = Field(default="none", exclude=True)


class Token(BaseModel):
    text: str = Field(exclude=True)


class Account(AtomicRedisModel):
    name: str = ""
    n: RedisInt = RedisInt(0)
    password: str = Field(default="unset", exclude=True)
    scratch: list[int] = Field(default_factory=lambda: [7], exclude=True)
    card: Card = Field(default_factory=Card)
    cards: RedisList[Card] = Field(default_factory=RedisList[Card])
    tags: RedisSet[str] = Field(default_factory=RedisSet, exclude=True)
    queue: RedisPriorityQueue[str] = Field(default_factory=RedisPriorityQueue, exclude=True)


async def test_an_excluded_field_is_not_stored(on_host: Host) -> None:
    account = Account(name="ada", password="secret", scratch=[1], card=Card(number="1", cvc="123"))
    await account.asave()
    text = cast("bytes", await on_host.call("MODEL.GET_RO", account.key))
    assert not any(word in text for word in (b"password", b"secret", b"scratch", b"cvc", b"123"))
    loaded = await Account.aget(account.key)
    assert (loaded.password, loaded.scratch, loaded.card.cvc) == ("unset", [7], "none")
    assert loaded.card.number == "1"
    assert type(loaded.scratch) is list
    assert unsaved(loaded) == unsaved(account) == []
    assert loaded.redis_dump().keys() == {"name", "n", "card", "cards", "tags", "queue"}


async def test_an_excluded_field_of_a_dataclass_is_not_stored(on_host: Host) -> None:
    class Signed(AtomicRedisModel):
        login: Login = Field(default_factory=Login)

    signed = await Signed(login=Login("ada", "123")).asave()
    assert await on_host.call("MODEL.GET_RO", signed.key) == b'{"login":{"name":"ada"}}'
    assert (await Signed.aget(signed.key)).login == Login("ada", "none")


async def test_it_stays_what_it_is_here_whatever_is_loaded(on_host: Host) -> None:
    account = await Account(password="secret", scratch=[1]).asave()
    await account.aload()
    assert (account.password, account.scratch) == ("secret", [1])
    await account.n.aincrease()
    async with account.apipeline():
        account.n += 1
    async with account.alock():
        pass
    assert (account.password, account.scratch, account.n) == ("secret", [1], 2)
    await account.aupdate(password="other", name="ada")
    await account.aupdate(password="another")
    assert account.password == "another"
    text = cast("bytes", await on_host.call("MODEL.GET_RO", account.key))
    assert b"other" not in text
    assert b'"name":"ada"' in text
    assert (await Account.aget(account.key)).password == "unset"
    with pytest.raises(UnsupportedArgumentValueError, match="password"):
        await account.aset_default("password", "x")


async def test_a_block_records_nothing_of_it_and_takes_it_back_when_it_fails(on_host: Host) -> None:
    account = await Account(password="secret").asave()
    async with apipeline():
        account.password = "changed"
        account.name = "ada"
        await account.aupdate(password="changed again")
    assert account.password == "changed again"
    assert b"changed" not in cast("bytes", await on_host.call("MODEL.GET_RO", account.key))
    with pytest.raises(ZeroDivisionError):
        async with apipeline():
            account.n += 1
            account.password = "lost"
            raise ZeroDivisionError
    assert account.password == "changed again"


async def test_what_an_older_release_stored_is_ignored_and_goes_at_the_next_save(on_host: Host) -> None:
    account = await Account(name="ada").asave()
    for path, text in (("$.password", '"old"'), ("$.scratch", '"no list"'), ("$.card.cvc", '"999"')):
        await on_host.call("MODEL.SET", account.key, path, text)
    loaded = await Account.aget(account.key)
    assert (loaded.password, loaded.scratch, loaded.card.cvc) == ("unset", [7], "none")
    await loaded.aload()
    assert (loaded.password, loaded.scratch) == ("unset", [7])
    loaded.password = "new"
    await loaded.n.aincrease()
    assert loaded.password == "new"
    await loaded.asave()
    stored = cast("bytes", await on_host.call("MODEL.GET_RO", account.key))
    assert not any(word in stored for word in (b"password", b"scratch", b"cvc", b"new"))
    assert (await Account.aget(account.key)).n == 1


async def test_a_class_that_forbids_other_members_ignores_it_too(on_host: Host) -> None:
    class Strict(AtomicRedisModel):
        model_config = ConfigDict(extra="forbid")

        n: int = 0
        secret: int = Field(default=1, exclude=True)

    strict = await Strict().asave()
    await on_host.call("MODEL.SET", strict.key, "$.secret", "5")
    assert (await Strict.aget(strict.key)).secret == 1
    await on_host.call("MODEL.SET", strict.key, "$.other", "5")
    with pytest.raises(CorruptedModelError):
        await Strict.aget(strict.key)


async def test_sets_and_queues_that_are_marked_so_are_stored(on_host: Host) -> None:
    account = await Account(tags=cast("Any", {"a"})).asave()
    await account.tags.aadd("b")
    await account.queue.apush("job", 1.0)
    loaded = await Account.aget(account.key)
    assert loaded.tags == {"a", "b"}
    assert list(loaded.queue) == [PriorityQueueItem("job", 1.0)]


async def test_an_excluded_key_comes_from_the_key(on_host: Host) -> None:
    class User(AtomicRedisModel):
        id: Key[int] = Field(exclude=True)
        name: str = ""
        seen: str = Field(default="", exclude=True)

        @model_validator(mode="after")
        def look(self) -> User:
            vars(self)["seen"] = f"user {self.id}"
            return self

    user = await User(id=5, name="ada").asave()
    assert await on_host.call("MODEL.GET_RO", user.key) == b'{"name":"ada"}'
    loaded = await User.aget("5")
    assert (loaded.id, loaded.key, loaded.seen) == (5, user.key, "user 5")
    assert [one.id for one in await User.afind()] == [5]
    await loaded.aload()
    assert loaded.id == 5
    loaded.name = "eve"
    await loaded.asave()
    async with loaded.apipeline():
        loaded.name = "bob"
    assert (await User.aget(user.key)).name == "bob"
    assert len(await User.afind()) == 1


def test_an_excluded_field_needs_a_default() -> None:
    with pytest.raises(RapyerError, match=r"Bare\.secret is excluded.*default"):

        class Bare(AtomicRedisModel):
            secret: str = Field(exclude=True)

    with pytest.raises(RapyerError, match=r"Token\.text is excluded.*default"):

        class Holder(AtomicRedisModel):
            token: Token


async def test_defaults_are_made_anew_and_validated(on_host: Host) -> None:
    class Fresh(AtomicRedisModel):
        start: int = 3
        items: list[int] = Field(default=[], exclude=True)
        number: int = Field(default=cast("Any", "5"), exclude=True)
        double: int = Field(default_factory=lambda data: data["start"] * 2, exclude=True)
        marked: Annotated[int, Field(exclude=True)] = 4

    fresh = await Fresh(start=4).asave()
    one, other = await Fresh.aget(fresh.key), await Fresh.aget(fresh.key)
    one.items.append(1)
    assert other.items == []
    assert (one.number, one.double, one.marked) == (5, 8, 4)


async def test_they_are_stored_where_meta_says_so(on_host: Host) -> None:
    class Keeping(AtomicRedisModel):
        Meta = RedisConfig(store_excluded=True)

        secret: str = Field(exclude=True)
        n: RedisInt = Field(default=RedisInt(0), exclude=True)
        card: Card = Field(default_factory=Card)

    kept = await Keeping(secret="s", card=Card(cvc="1")).asave()
    await kept.n.aincrease()
    loaded = await Keeping.aget(kept.key)
    assert (loaded.secret, loaded.n, loaded.card.cvc) == ("s", 1, "1")
    loaded.secret = "t"
    await loaded.asave()
    assert (await Keeping.aget(kept.key)).secret == "t"
    assert "secret" not in loaded.model_dump()
