"""MODEL.LOCK, RENEW and UNLOCK: leases with fencing numbers, on every host."""

from __future__ import annotations

import pytest

from _hosts import Host, later

LOCK = "lock:Doc:1"
LEASE = 60_000
SHORT = 50


async def take(host: Host, token: str, lease: int = LEASE) -> int:
    number = await host.call("MODEL.LOCK", LOCK, token, "PX", lease)
    assert isinstance(number, int)
    return number


async def test_one_token_holds_a_lock(host: Host) -> None:
    await take(host, "one")
    assert await host.call("MODEL.LOCK", LOCK, "two", "PX", LEASE) is None
    assert await host.call("MODEL.RENEW", LOCK, "two", "PX", LEASE) == 0
    assert await host.call("MODEL.UNLOCK", LOCK, "two") == 0
    assert await host.call("MODEL.UNLOCK", LOCK, "one") == 1
    assert await host.call("MODEL.UNLOCK", LOCK, "one") == 0
    await take(host, "two")


async def test_the_holder_may_repeat_what_it_asked_for(host: Host) -> None:
    # Whoever lost the reply asks again.
    number = await take(host, "one", SHORT)
    assert await take(host, "one", LEASE) == number
    await host.pass_time((SHORT + 10) / 1000)
    assert await host.call("MODEL.LOCK", LOCK, "two", "PX", LEASE) is None


async def test_a_lease_ends_by_itself(host: Host) -> None:
    first = await take(host, "one", SHORT)
    await host.pass_time((SHORT + 10) / 1000)
    assert await host.call("MODEL.RENEW", LOCK, "one", "PX", LEASE) == 0
    second = await take(host, "two")
    assert second > first
    assert await host.call("MODEL.UNLOCK", LOCK, "one") == 0


async def test_a_renewed_lease_lasts_from_then_on(host: Host) -> None:
    await take(host, "one", SHORT)
    assert await host.call("MODEL.RENEW", LOCK, "one", "PX", LEASE) == 1
    await host.pass_time((SHORT + 10) / 1000)
    assert await host.call("MODEL.LOCK", LOCK, "two", "PX", LEASE) is None


async def test_numbers_grow_from_lease_to_lease(host: Host) -> None:
    numbers = []
    for turn in range(200):
        numbers.append(await take(host, f"holder {turn}"))
        assert await host.call("MODEL.UNLOCK", LOCK, f"holder {turn}") == 1
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 2**53


async def test_numbers_grow_where_the_lock_was_forgotten(host: Host) -> None:
    number = await take(host, "one")
    await host.pass_time(0.002)
    await host.call("DEL", LOCK)
    assert await take(host, "two") > number


async def test_a_lock_is_kept_a_minute_beyond_its_lease_and_no_longer(host: Host) -> None:
    _, moments = await host.timed("MODEL.LOCK", LOCK, "one", "PX", LEASE)
    assert await host.deadline(LOCK) in later(moments, LEASE + 60_000)
    _, moments = await host.timed("MODEL.UNLOCK", LOCK, "one")
    assert await host.deadline(LOCK) in later(moments, 60_000)


async def test_no_policy_changes_how_long_a_lock_lives(host: Host) -> None:
    await host.call("MODEL.POLICY", "SET", "lock:", "TTL", 1_000, "REFRESH", "ALL")
    _, moments = await host.timed("MODEL.LOCK", LOCK, "one", "PX", LEASE)
    assert await host.deadline(LOCK) in later(moments, LEASE + 60_000)


async def test_a_token_is_any_text(host: Host) -> None:
    token = 'quo"te\\ \n\x00 ✓'
    await take(host, token)
    assert await host.call("MODEL.UNLOCK", LOCK, token) == 1


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (("MODEL.LOCK", LOCK, b"\xff", "PX", 1), "BADARG '\\xff': the token of a lock is text"),
        (("MODEL.LOCK", LOCK, "t", "PX", 0), "OUTOFRANGE '0': "),
        (("MODEL.LOCK", LOCK, "t", "EX", 1), "BADARG 'EX': not an option"),
        (("MODEL.LOCK", LOCK, "t"), "ERR wrong number of arguments"),
        (("MODEL.LOCK", "Doc:1", "t", "PX", 1), "BADTYPE path '$' holds object, the command needs a lock"),
        (("MODEL.RENEW", "Doc:1", "t", "PX", 1), "BADTYPE "),
        (("MODEL.UNLOCK", "Doc:1", "t"), "BADTYPE "),
    ],
)
async def test_what_is_no_lock_is_refused(host: Host, command: tuple[str | int, ...], refusal: str) -> None:
    await host.call("MODEL.CREATE", "Doc:1", '{"token":"t","number":1}')
    before = await host.state("Doc:1")
    assert (await host.refused(*command)).startswith(refusal)
    assert await host.state("Doc:1") == before
    assert await host.call("DBSIZE") == 1


async def test_a_batch_can_demand_its_lock(host: Host) -> None:
    await take(host, "one")
    await host.call("MODEL.CREATE", "Doc:1", "1")
    renew = ("5", "MODEL.RENEW", LOCK, "one", "PX", str(LEASE))
    replies = await host.call("MODEL.EXEC", "2", LOCK, "Doc:1", *renew, "4", "MODEL.SET", "Doc:1", "$", "2")
    assert replies == [1, b"OK"]
