"""Decimals and date-times are met however they are written: by what they are, as in Python."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import pytest

import rapyer
from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel
from rapyer.errors import StaleModelError
from rapyer.types import RedisList, RedisSet

PARIS = datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
LONDON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
LATER = datetime(2024, 5, 2, tzinfo=timezone.utc)


class Log(AtomicRedisModel):
    moments: RedisList[datetime] = RedisList([PARIS])
    prices: RedisList[Decimal] = RedisList([Decimal("1.0")])
    days: RedisSet[datetime] = RedisSet({PARIS})
    sums: RedisSet[Decimal] = RedisSet({Decimal("1.0")})


ROWS: list[tuple[str, str, Any, Any]] = [
    ("moments", "days", LONDON, LATER),
    ("prices", "sums", Decimal("1.00"), Decimal("1.01")),
]


async def stored(host: Host, log: Log, field: str) -> list[Any]:
    return cast(
        "list[Any]", json.loads(cast("bytes", await host.call("MODEL.GET_RO", log.key, f"$.{field}")))
    )


async def agree(host: Host, log: Log, field: str, expected: int) -> None:
    """What the reply says is what the server holds, what is here, and what is known."""
    assert len(await stored(host, log, field)) == expected
    assert len(getattr(log, field)) == expected
    assert await Log.aget(log.key) == log
    assert not unsaved(log)


@pytest.mark.parametrize("block", [False, True], ids=["awaited", "block"])
@pytest.mark.parametrize(("items", "members", "same", "other"), ROWS)
async def test_awaited_operations_meet_what_is_equal(
    on_host: Host, items: str, members: str, same: Any, other: Any, block: bool
) -> None:
    log = await Log().asave()

    async def act() -> None:
        held, found = getattr(log, items), getattr(log, members)
        assert await held.acontains(same)
        assert await found.acontains(same)
        assert not await found.acontains(other)
        assert await held.aappend(same, unique=True) == 1
        assert await held.aappend(other, unique=True) == 2
        assert not await found.aadd(same)
        assert await found.aadd(other)
        assert await held.aremove(same)
        assert not await held.aremove(same)
        assert await found.aremove(same)
        assert not await found.aremove(same)

    if block:
        async with rapyer.apipeline():
            await act()
    else:
        await act()
    await agree(on_host, log, items, 1)
    await agree(on_host, log, members, 1)


@pytest.mark.parametrize(("items", "members", "same", "other"), ROWS)
async def test_recorded_operations_meet_what_others_wrote_in_their_way(
    on_host: Host, items: str, members: str, same: Any, other: Any
) -> None:
    log = await Log().asave()
    text = type(log).__rapyer_codec__.field(items).item.dump(same).decode()
    for field in (items, members):
        await on_host.call("MODEL.SET", log.key, f"$.{field}", f"[{text}]")
    async with rapyer.apipeline():
        getattr(log, items).remove(same)
        getattr(log, members).discard(same)
        getattr(log, members).add(other)
        getattr(log, members).add(other)
    await agree(on_host, log, items, 0)
    await agree(on_host, log, members, 1)


@pytest.mark.parametrize(("items", "members", "same", "other"), ROWS)
async def test_a_saved_set_meets_what_others_wrote_in_their_way(
    on_host: Host, items: str, members: str, same: Any, other: Any
) -> None:
    log, theirs = await Log().asave(), None
    text = type(log).__rapyer_codec__.field(members).item.dump(same).decode()
    await on_host.call("MODEL.SET", log.key, f"$.{members}", f"[{text}]")
    getattr(log, members).discard(same)
    getattr(log, members).add(other)
    await log.asave()
    await agree(on_host, log, members, 1)
    theirs = await Log.aget(log.key)
    getattr(theirs, members).add(same)
    await theirs.asave()
    await log.aload()
    original = next(iter(getattr(Log(), members)))
    getattr(log, members).discard(original)
    await log.asave()
    await agree(on_host, log, members, 1)


@pytest.mark.parametrize(("items", "members", "same", "other"), ROWS)
async def test_set_operations_meet_what_is_equal(
    on_host: Host, items: str, members: str, same: Any, other: Any
) -> None:
    log = await Log().asave()
    mate = Log()
    setattr(mate, members, {same, other})
    await mate.asave()
    mine, theirs = getattr(log, members), getattr(mate, members)
    assert await mine.aintersect(theirs) == {same}
    assert await mine.adifference(theirs) == set()
    assert await mine.aunion(theirs) == {same, other}


async def test_an_item_that_others_added_in_their_way_refuses_a_block_that_found_it_missing(
    on_host: Host,
) -> None:
    log = await Log(prices=RedisList()).asave()
    with pytest.raises(StaleModelError, match=r"MODEL.APPEND Log:.* \$\.prices"):
        async with rapyer.apipeline():
            assert await log.prices.aappend(Decimal("1.0"), unique=True) == 1
            await on_host.call("MODEL.APPEND", log.key, "$.prices", '"1.00"')
    assert log.prices == []


async def test_what_has_no_zone_is_another_moment(on_host: Host) -> None:
    log = await Log().asave()
    assert not await log.days.acontains(LONDON.replace(tzinfo=None))
    assert await log.days.aadd(LONDON.replace(tzinfo=None))
    assert len(log.days) == 2
