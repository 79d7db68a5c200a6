"""Keys under a model's prefix that hold no document of it: in nobody's way where many are looked for."""

from __future__ import annotations

import logging

import pytest

from _hosts import Host
from rapyer import AtomicRedisModel, Key
from rapyer.errors import WrongKeyTypeError
from rapyer.types import RedisInt


class Guest(AtomicRedisModel):
    name: Key[str]
    age: RedisInt = RedisInt(0)


FOREIGN = [b"Guest:list", b"Guest:text", "Guest:\u00e9\U0001f600".encode()]
NO_TEXT = [b"Guest:\xff\xfe", b"Guest:\xc3"]


@pytest.fixture
async def guests(on_host: Host) -> list[Guest]:
    """Seven hundred models, which are more than are looked at together."""
    guests = [Guest(name=str(n), age=RedisInt(n)) for n in range(700)]
    await Guest.ainsert(*guests)
    return guests


@pytest.fixture
async def strangers(guests: list[Guest], on_host: Host) -> list[bytes]:
    """Among them keys that are no UTF-8, and on servers keys of other types."""
    for key in NO_TEXT:
        await on_host.call("MODEL.CREATE", key, '{"name":"x","age":1}')
    if on_host.name == "embedded":
        # It has documents only.
        return NO_TEXT
    for key in FOREIGN:
        await on_host.call(*(("RPUSH", key, "a") if key.endswith(b"list") else ("SET", key, "a")))
    return [*NO_TEXT, *FOREIGN]


async def test_finding_skips_and_reports_them_once(
    guests: list[Guest], strangers: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for query, expected in (((), guests), ((Guest.age >= 350,), guests[350:])):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "rapyer"):
            found = await Guest.afind(*query)
        assert sorted(found, key=lambda guest: guest.age) == expected
        (told,) = caplog.records
        assert told.getMessage().startswith(
            f"{len(strangers)} keys under the prefix of Guest hold no document"
        )
        assert "Guest:" in told.getMessage()


async def test_deleting_by_condition_skips_them_and_leaves_them(
    guests: list[Guest], strangers: list[bytes], on_host: Host
) -> None:
    assert (await Guest.adelete_many(Guest.age < 600)).models_deleted == 600
    assert sorted(await Guest.afind(), key=lambda guest: guest.age) == guests[600:]
    assert await on_host.call("EXISTS", *strangers) == len(strangers)


async def test_looking_for_keys_skips_those_that_are_no_text(
    guests: list[Guest], strangers: list[bytes]
) -> None:
    keys = {str(key) for key in await Guest.afind_keys()}
    assert {guest.key for guest in guests} <= keys
    assert len(keys) == len(guests) + len(strangers) - len(NO_TEXT)


async def test_a_key_that_is_named_is_not_skipped(guests: list[Guest], strangers: list[bytes]) -> None:
    for key in set(strangers) - set(NO_TEXT):
        name = key.decode().removeprefix("Guest:")
        with pytest.raises(WrongKeyTypeError, match=name):
            await Guest.aget(name)
        with pytest.raises(WrongKeyTypeError):
            await Guest.afind("1", name)
