"""`Meta` and `init_rapyer`: what is set, when, and what wins."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from _hosts import Host
from _package import moves_deadline
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig, init_rapyer
from rapyer.errors import (
    InvalidRefreshTtlError,
    KeyNotFound,
    NotConfiguredError,
    RapyerError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)


async def test_meta_belongs_to_one_model(on_host: Host) -> None:
    class First(AtomicRedisModel):
        pass

    class Second(AtomicRedisModel):
        pass

    First.Meta.ttl = 5
    assert Second.Meta.ttl is None
    assert AtomicRedisModel.Meta.ttl is None
    shared = RedisConfig(ttl=7)
    First.Meta = shared
    Second.Meta = shared
    First.Meta.ttl = 8
    assert (Second.Meta.ttl, shared.ttl) == (7, 7)


async def test_meta_is_inherited_by_copying(on_host: Host) -> None:
    class Parent(AtomicRedisModel):
        Meta = RedisConfig(ttl=5, refresh_ttl=False)

    class Child(Parent):
        pass

    Parent.Meta.ttl = 6
    assert (Child.Meta.ttl, Child.Meta.refresh_ttl) == (5, False)


async def test_what_a_model_sets_wins_over_init_which_replaces_only_what_it_is_given(
    on_host: Host,
) -> None:
    class Own(AtomicRedisModel):
        Meta = RedisConfig(ttl=5)

    class Other(AtomicRedisModel):
        pass

    await init_rapyer(ttl=100, refresh_ttl=ActionGroup.READ)
    await init_rapyer(refresh_ttl=False)
    assert (Own.Meta.ttl, Own.Meta.refresh_ttl) == (5, False)
    assert (Other.Meta.ttl, Other.Meta.refresh_ttl) == (100, False)
    assert AtomicRedisModel.Meta.ttl == 100
    Other.Meta.init_with_rapyer = False
    assert (Other.Meta.ttl, Other.Meta.refresh_ttl) == (None, True)
    Other.Meta.init_with_rapyer = True
    Own.Meta.ttl = None
    own, other = await Own().asave(), await Other().asave()
    assert await on_host.pttl(own.key) == -1
    assert 99_000 < await on_host.pttl(other.key) <= 100_000


async def test_a_change_of_meta_takes_effect_at_once_on_documents_that_exist(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=100, refresh_ttl=False)

    thing = await Thing().asave()
    assert not await moves_deadline(on_host, thing.key, lambda: Thing.aget(thing.key))
    Thing.Meta.refresh_ttl = ActionGroup.FETCH
    Thing.Meta.ttl = timedelta(seconds=200)
    assert await moves_deadline(on_host, thing.key, lambda: Thing.aget(thing.key))
    assert 199_000 < await on_host.pttl(thing.key) <= 200_000


async def test_policies_say_what_meta_says(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(
            ttl=timedelta(milliseconds=90_001),
            refresh_ttl=ActionGroup.UPDATE | ActionGroup.READ,
            absolute_ttl=3600,
            read_touch_pct=50,
        )

    class Forever(AtomicRedisModel):
        Meta = RedisConfig(refresh_ttl=ActionGroup.READ)

    class Fixed(AtomicRedisModel):
        Meta = RedisConfig(absolute_ttl=60)

    for model in (Thing, Forever, Fixed):
        await model.afind_one("none")
    policies = {}
    for row in await on_host.call("MODEL.POLICY", "LIST"):  # type: ignore[union-attr]
        assert isinstance(row, list)
        names = dict(zip(row[::2], row[1::2], strict=True))
        policies[names[b"prefix"]] = names
    thing = policies[b"Thing:"]
    assert (thing[b"ttl"], thing[b"refresh"]) == (90_001, b"READ,UPDATE")
    assert (thing[b"absolute"], thing[b"read-touch-pct"]) == (3_600_000, 50)
    assert policies[b"Forever:"][b"ttl"] in (None, b"NONE")
    fixed = await Fixed().asave()
    assert 59_000 < await on_host.pttl(fixed.key) <= 60_000
    assert not await moves_deadline(on_host, fixed.key, lambda: Fixed.aget(fixed.key))


async def test_a_policy_that_the_server_lost_is_sent_again_before_anything_is_created(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=100)

    await Thing().asave()
    await on_host.call("MODEL.POLICY", "DEL", "Thing:")
    for created in (await Thing().asave(), (await Thing.ainsert(Thing()))[0]):
        assert await on_host.pttl(created.key) > 0
        await on_host.call("MODEL.POLICY", "DEL", "Thing:")


async def test_expected_policies_are_never_sent_and_a_missing_one_is_named(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=100)

    await init_rapyer(policies="expect")
    thing = Thing()
    with pytest.raises(RapyerError, match="SET Thing: TTL 100000 REFRESH ALL"):
        await thing.asave()
    assert await on_host.call("MODEL.POLICY", "LIST") == []
    assert await on_host.call("EXISTS", thing.key) == 0
    await on_host.call("MODEL.POLICY", "SET", "Thing:", "TTL", 50_000)
    await thing.asave()
    assert 49_000 < await on_host.pttl(thing.key) <= 50_000


async def test_two_definitions_of_a_class_do_not_disturb_each_other(on_host: Host) -> None:
    def define(ttl: int) -> type[AtomicRedisModel]:
        class Thing(AtomicRedisModel):
            name: str = ""
            Meta = RedisConfig(ttl=ttl)

        return Thing

    old, new = define(10), define(20)
    first, second = await old().asave(), await new().asave()
    assert await on_host.pttl(first.key) <= 10_000 < await on_host.pttl(second.key)


@pytest.mark.parametrize(
    "ttl", [0, -1, True, 1.5, 1800.0, "60", timedelta(0), timedelta(microseconds=1500), 2**40]
)
async def test_a_ttl_that_is_no_span_of_time_is_refused_where_it_is_set(on_host: Host, ttl: Any) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=5)

    thing = await Thing().asave()
    for name in ("ttl", "absolute_ttl"):
        with pytest.raises((UnsupportedArgumentTypeError, UnsupportedArgumentValueError), match=name):
            setattr(Thing.Meta, name, ttl)
    for act in (init_rapyer(ttl=ttl), thing.aset_ttl(ttl)):
        with pytest.raises((UnsupportedArgumentTypeError, UnsupportedArgumentValueError), match="ttl must"):
            await act
    assert Thing.Meta.ttl == 5
    assert AtomicRedisModel.Meta.ttl is None
    assert 0 < await on_host.pttl(thing.key) <= 5000


async def test_other_settings_are_checked_where_they_are_set(on_host: Host) -> None:
    with pytest.raises(InvalidRefreshTtlError):
        RedisConfig(refresh_ttl=ActionGroup.all())
    wrong: list[dict[str, Any]] = [
        {"refresh_ttl": 1},
        {"refresh_ttl": None},
        {"read_touch_pct": 0},
        {"read_touch_pct": 101},
        {"read_touch_pct": True},
        {"policies": "maybe"},
        {"redis": 5},
        {"redis": "http://localhost"},
        {"redis": "localhost:6379"},
    ]
    for settings in wrong:
        with pytest.raises(RapyerError):
            RedisConfig(**settings)
    with pytest.raises(AttributeError):
        AtomicRedisModel.Meta.tll = 5  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedArgumentTypeError, match="RedisConfig"):

        class Bad(AtomicRedisModel):
            Meta = {"ttl": 5}  # type: ignore[assignment]


async def test_a_cap_shorter_than_the_ttl_is_refused_before_anything_is_sent(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=10, absolute_ttl=5)

    with pytest.raises(UnsupportedArgumentValueError, match="absolute_ttl"):
        await Thing().asave()


async def test_attl_tells_what_is_left_and_refreshes_nothing(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=100)

    thing = await Thing().asave()
    left = await thing.attl()
    assert left is not None
    assert 99 < left <= 100
    assert not await moves_deadline(on_host, thing.key, thing.attl)
    await on_host.call("PERSIST", thing.key)
    assert await thing.attl() is None
    await thing.adelete()
    with pytest.raises(KeyNotFound):
        await thing.attl()
    with pytest.raises(KeyNotFound):
        await thing.aset_ttl(5)


async def test_aset_ttl_once_holds_until_the_next_refresh(on_host: Host) -> None:
    class Thing(AtomicRedisModel):
        Meta = RedisConfig(ttl=100)

    thing = await Thing().asave()
    await thing.aset_ttl(timedelta(seconds=50), once=True)
    assert 49 < (await thing.attl() or 0) <= 50
    await thing.asave()
    assert 99 < (await thing.attl() or 0) <= 100


async def test_without_any_connection_both_ways_to_configure_one_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Thing(AtomicRedisModel):
        pass

    monkeypatch.delenv("RAPYER_URL", raising=False)
    with pytest.raises(NotConfiguredError, match=r"init_rapyer\(redis=.*RAPYER_URL"):
        await Thing().asave()
    monkeypatch.setenv("RAPYER_URL", "embedded://from-the-environment")
    assert await (await Thing().asave()).attl() is None


async def test_the_logger_that_is_given_says_how_to_log(on_host: Host) -> None:
    ours = logging.getLogger("rapyer")
    level, handlers = ours.level, list(ours.handlers)
    theirs, handler = logging.Logger("theirs", logging.ERROR), logging.NullHandler()
    theirs.addHandler(handler)
    try:
        await init_rapyer(logger=theirs, override_old_idx=False, prefer_normal_json_dump=True)
        assert (ours.level, ours.handlers) == (logging.ERROR, [handler])
        await init_rapyer()
        assert ours.handlers == [handler]
    finally:
        ours.setLevel(level)
        ours.handlers = handlers
