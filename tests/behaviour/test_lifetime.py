"""The rules of a document's lifetime, on every host. What the rules are: docs/lifetime.md."""

from __future__ import annotations

import pytest

from _hosts import Host, Reply, later

KEY = "Doc:1"
WINDOW = 60_000
HUNDRED_YEARS = 3_155_760_000_000


async def policy(host: Host, *options: str | int, prefix: str = "Doc:", ttl: int | str = WINDOW) -> Reply:
    return await host.call("MODEL.POLICY", "SET", prefix, "TTL", ttl, *options)


async def create(host: Host, key: str = KEY, text: str = '{"n":1}') -> range:
    _, moments = await host.timed("MODEL.CREATE", key, text)
    return moments


class TestCreation:
    @pytest.mark.parametrize("command", [("CREATE",), ("SAVE",), ("SET", "$")], ids=" ".join)
    @pytest.mark.parametrize("refresh", ["ALL", "NONE", "READ"])
    async def test_sets_the_deadline_whatever_refresh_says(
        self, host: Host, command: tuple[str, ...], refresh: str
    ) -> None:
        await policy(host, "REFRESH", refresh)
        name, *path = command
        _, moments = await host.timed(f"MODEL.{name}", KEY, *path, "{}", "NOREFRESH")
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_without_a_policy_or_with_ttl_none_sets_no_deadline(self, host: Host) -> None:
        await create(host)
        assert await host.deadline(KEY) == -1
        await policy(host, "REFRESH", "ALL", prefix="Eternal:", ttl="NONE")
        await create(host, "Eternal:1")
        await host.call("MODEL.GET", "Eternal:1")
        assert await host.deadline("Eternal:1") == -1

    async def test_the_policy_default_is_to_refresh_on_nothing(self, host: Host) -> None:
        await policy(host)
        await create(host)
        before = await host.deadline(KEY)
        await host.pass_time(0.003)
        await host.call("MODEL.GET", KEY)
        assert await host.deadline(KEY) == before

    async def test_the_cap_limits_the_first_deadline(self, host: Host) -> None:
        await policy(host, "ABSOLUTE", WINDOW)
        moments = await create(host)
        lifetime = await host.lifetime(KEY)
        assert lifetime["created"] in moments
        assert lifetime["cap"] == lifetime["deadline"] == int(str(lifetime["created"])) + WINDOW

    async def test_a_document_is_gone_once_its_time_is_over(self, host: Host) -> None:
        await policy(host, ttl=300)
        await create(host)
        assert await host.call("MODEL.GET_RO", KEY) is not None
        await host.pass_time(0.4)
        assert await host.call("MODEL.GET", KEY) is None
        assert await host.call("EXISTS", KEY) == 0
        assert (await host.refused("MODEL.INCRBY", KEY, "$.n", 1)).startswith("NOKEY ")

    async def test_the_shortest_and_the_longest_window_work(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "ABSOLUTE", HUNDRED_YEARS, ttl=HUNDRED_YEARS)
        moments = await create(host)
        await host.call("MODEL.GET", KEY)
        assert int(str((await host.lifetime(KEY))["deadline"])) in later(moments, HUNDRED_YEARS)
        await policy(host, "REFRESH", "ALL", prefix="Brief:", ttl=1)
        await create(host, "Brief:1")
        await host.pass_time(0.01)
        assert await host.call("MODEL.GET", "Brief:1") is None


class TestRefresh:
    async def test_slides_the_deadline_to_a_whole_window(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        for _ in range(3):
            await host.pass_time(0.004)
            _, moments = await host.timed("MODEL.GET", KEY)
            assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_stops_at_the_cap(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "ABSOLUTE", WINDOW + 2)
        await create(host)
        cap = (await host.lifetime(KEY))["cap"]
        await host.pass_time(0.01)
        await host.call("MODEL.GET", KEY)
        assert await host.deadline(KEY) == cap

    async def test_brings_a_deadline_beyond_the_cap_back_to_it(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "ABSOLUTE", WINDOW)
        await create(host)
        await host.call("PEXPIRE", KEY, 2 * WINDOW)
        await host.call("MODEL.GET", KEY)
        assert await host.deadline(KEY) == (await host.lifetime(KEY))["cap"]

    async def test_never_shortens_a_deadline_given_by_hand(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        await host.call("PEXPIRE", KEY, 10 * WINDOW)
        before = await host.deadline(KEY)
        await host.call("MODEL.GET", KEY)
        assert await host.deadline(KEY) == before

    async def test_overwriting_the_whole_keeps_created_window_and_version_count(self, host: Host) -> None:
        await policy(host, "REFRESH", "NONE")
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", 3 * WINDOW)
        before = await host.lifetime(KEY)
        await host.pass_time(0.003)
        for command in (
            ("MODEL.CREATE", KEY, '{"n":2}'),
            ("MODEL.SAVE", KEY, '{"n":3}'),
            ("MODEL.SET", KEY, "$", '{"n":4}'),
        ):
            await host.call(*command)
        after = await host.lifetime(KEY)
        assert after == before | {"version": 4}

    async def test_a_document_made_after_del_is_new(self, host: Host) -> None:
        await policy(host)
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", 3 * WINDOW)
        await host.pass_time(0.003)
        await host.call("MODEL.DEL", KEY)
        moments = await create(host)
        after = await host.lifetime(KEY)
        assert after["created"] in moments
        assert after["window"] == WINDOW
        assert after["version"] == 1
        assert after["deadline"] in later(moments, WINDOW)

    async def test_a_policy_set_later_governs_from_then_on(self, host: Host) -> None:
        await policy(host, "REFRESH", "NONE")
        await create(host)
        await policy(host, "REFRESH", "READ", ttl=2 * WINDOW)
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, 2 * WINDOW)


class TestReadTouch:
    async def test_spares_reads_while_enough_of_the_window_remains(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "READ-TOUCH-PCT", 50)
        await create(host)
        before = await host.deadline(KEY)
        await host.pass_time(0.003)
        await host.call("MODEL.GET", KEY)
        await host.call("MODEL.MGET", KEY)
        assert await host.deadline(KEY) == before

    async def test_reads_refresh_once_little_remains(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "READ-TOUCH-PCT", 50)
        await create(host)
        await host.call("PEXPIRE", KEY, WINDOW // 2)
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_writes_are_never_spared(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "READ-TOUCH-PCT", 1)
        await create(host, text='{"n":1,"list":[1]}')
        for command in (("MODEL.INCRBY", KEY, "$.n", 1), ("MODEL.POP", KEY, "$.list")):
            await host.pass_time(0.003)
            _, moments = await host.timed(*command)
            assert await host.deadline(KEY) in later(moments, WINDOW)


class TestShortenedWindow:
    async def test_bites_at_the_next_access(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        await policy(host, "REFRESH", "ALL", ttl=WINDOW // 10)
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, WINDOW // 10)

    async def test_leaves_a_deadline_the_old_window_could_not_have_set(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        await host.call("PEXPIRE", KEY, 10 * WINDOW)
        before = await host.deadline(KEY)
        await policy(host, "REFRESH", "ALL", ttl=WINDOW // 10)
        await host.call("MODEL.GET", KEY)
        assert await host.deadline(KEY) == before

    async def test_leaves_a_document_with_a_window_of_its_own(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", WINDOW)
        await policy(host, "REFRESH", "ALL", ttl=WINDOW // 10)
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_does_not_shorten_for_a_group_that_does_not_refresh(self, host: Host) -> None:
        await policy(host, "REFRESH", "UPDATE")
        await create(host)
        before = await host.deadline(KEY)
        await policy(host, "REFRESH", "UPDATE", ttl=WINDOW // 10)
        await host.call("MODEL.GET", KEY)
        assert await host.deadline(KEY) == before


class TestTtlSet:
    async def test_is_sticky(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        reply, moments = await host.timed("MODEL.TTL", "SET", KEY, "PX", 2 * WINDOW)
        assert reply == b"OK"
        assert await host.deadline(KEY) in later(moments, 2 * WINDOW)
        assert (await host.lifetime(KEY))["window"] == 2 * WINDOW
        await host.pass_time(0.003)
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, 2 * WINDOW)

    async def test_once_moves_this_deadline_only(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        _, moments = await host.timed("MODEL.TTL", "SET", KEY, "PX", WINDOW // 2, "ONCE")
        assert await host.deadline(KEY) in later(moments, WINDOW // 2)
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_pxat_names_the_moment(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        at = await host.now_ms() + 2 * WINDOW
        assert await host.call("MODEL.TTL", "SET", KEY, "PXAT", at, "ONCE") == b"OK"
        assert await host.deadline(KEY) == at
        assert (await host.lifetime(KEY))["window"] == WINDOW

    async def test_pxat_gives_the_window_up_to_that_moment(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        at = await host.now_ms() + 2 * WINDOW
        _, moments = await host.timed("MODEL.TTL", "SET", KEY, "PXAT", at)
        window = (await host.lifetime(KEY))["window"]
        assert isinstance(window, int)
        assert at - window in moments

    @pytest.mark.parametrize("once", [(), ("ONCE",)])
    async def test_pxat_in_the_past_deletes_now(self, host: Host, once: tuple[str, ...]) -> None:
        await create(host)
        at = await host.now_ms() - 1
        assert await host.call("MODEL.TTL", "SET", KEY, "PXAT", at, *once) == b"OK"
        assert await host.call("EXISTS", KEY) == 0

    async def test_stays_within_the_cap(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL", "ABSOLUTE", 2 * WINDOW)
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", 5 * WINDOW)
        lifetime = await host.lifetime(KEY)
        assert lifetime["deadline"] == lifetime["cap"]

    async def test_gives_a_pinned_document_a_deadline_again(self, host: Host) -> None:
        await create(host)
        _, moments = await host.timed("MODEL.TTL", "SET", KEY, "PX", WINDOW)
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_leaves_the_text_and_its_version(self, host: Host) -> None:
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", WINDOW)
        assert (await host.lifetime(KEY))["version"] == 1
        assert await host.call("MODEL.GET_RO", KEY) == b'{"n":1}'


class TestTtlInherit:
    async def test_returns_to_the_policy_from_now(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", 5 * WINDOW)
        reply, moments = await host.timed("MODEL.TTL", "INHERIT", KEY)
        assert reply == b"OK"
        assert await host.deadline(KEY) in later(moments, WINDOW)
        assert (await host.lifetime(KEY))["window"] == WINDOW

    async def test_under_ttl_none_takes_the_deadline_away(self, host: Host) -> None:
        await policy(host, ttl="NONE")
        await create(host)
        await host.call("MODEL.TTL", "SET", KEY, "PX", WINDOW)
        assert await host.call("MODEL.TTL", "INHERIT", KEY) == b"OK"
        assert await host.deadline(KEY) == -1
        assert (await host.lifetime(KEY))["window"] is None


class TestTtlTouch:
    async def test_refreshes_now_whatever_refresh_says(self, host: Host) -> None:
        await policy(host, "REFRESH", "NONE")
        await create(host)
        await host.pass_time(0.003)
        reply, moments = await host.timed("MODEL.TTL", "TOUCH", KEY)
        assert reply == 1
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_tells_when_it_moved_nothing(self, host: Host) -> None:
        await create(host)
        assert await host.call("MODEL.TTL", "TOUCH", KEY) == 0
        await policy(host)
        await host.call("PEXPIRE", KEY, 10 * WINDOW)
        before = await host.deadline(KEY)
        assert await host.call("MODEL.TTL", "TOUCH", KEY) == 0
        assert await host.deadline(KEY) == before


class TestTtlGet:
    async def test_tells_everything_in_order(self, host: Host) -> None:
        await policy(host, "ABSOLUTE", 3 * WINDOW)
        await create(host)
        reply = await host.call("MODEL.TTL", "GET", KEY)
        assert isinstance(reply, list)
        assert reply[::2] == [b"deadline", b"window", b"created", b"cap", b"policy", b"version"]
        created = reply[5]
        assert isinstance(created, int)
        assert reply[1::2] == [created + WINDOW, WINDOW, created, created + 3 * WINDOW, b"Doc:", 1]

    async def test_of_a_document_without_a_policy(self, host: Host) -> None:
        await create(host)
        lifetime = await host.lifetime(KEY)
        assert [lifetime[name] for name in ("deadline", "window", "cap", "policy")] == [None] * 4

    async def test_of_no_document_is_nil(self, host: Host) -> None:
        assert await host.call("MODEL.TTL", "GET", KEY) is None

    @pytest.mark.parametrize(
        "command", [("SET", KEY, "PX", "1"), ("INHERIT", KEY), ("TOUCH", KEY)], ids=lambda c: c[0]
    )
    async def test_the_others_say_when_there_is_no_document(
        self, host: Host, command: tuple[str, ...]
    ) -> None:
        assert (await host.refused("MODEL.TTL", *command)).startswith("NOKEY ")


class TestServerCommands:
    async def test_expire_moves_this_deadline_only(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        assert await host.call("PEXPIRE", KEY, 5000) == 1
        assert 0 < await host.pttl(KEY) <= 5000
        assert (await host.lifetime(KEY))["window"] == WINDOW
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_a_persisted_document_is_pinned_until_it_gets_a_deadline(self, host: Host) -> None:
        await policy(host, "REFRESH", "ALL")
        await create(host)
        assert await host.call("PERSIST", KEY) == 1
        assert await host.call("PERSIST", KEY) == 0
        for command in (
            ("MODEL.GET", KEY),
            ("MODEL.INCRBY", KEY, "$.n", "1"),
            ("MODEL.CREATE", KEY, '{"n":5}'),
            ("MODEL.TTL", "TOUCH", KEY),
        ):
            await host.call(*command)
            assert await host.pttl(KEY) == -1, command
        at = await host.now_ms() + 5000
        assert await host.call("PEXPIREAT", KEY, at) == 1
        assert await host.deadline(KEY) == at
        _, moments = await host.timed("MODEL.GET", KEY)
        assert await host.deadline(KEY) in later(moments, WINDOW)

    async def test_expire_in_the_past_deletes(self, host: Host) -> None:
        await create(host)
        assert await host.call("PEXPIREAT", KEY, 1) == 1
        assert await host.call("EXISTS", KEY) == 0

    async def test_keys_that_are_not_there(self, host: Host) -> None:
        assert await host.call("PTTL", KEY) == -2
        assert await host.call("PEXPIRETIME", KEY) == -2
        assert await host.call("PEXPIRE", KEY, 1) == 0
        assert await host.call("PEXPIREAT", KEY, 1) == 0
        assert await host.call("PERSIST", KEY) == 0
        assert await host.call("EXISTS", KEY) == 0
        assert await host.call("DEL", KEY) == 0

    async def test_counting_and_clearing(self, host: Host) -> None:
        assert await host.call("PING") == b"PONG"
        for key in ("Doc:1", "Doc:2", "Doc:3"):
            await create(host, key)
        assert await host.call("DBSIZE") == 3
        assert await host.call("EXISTS", "Doc:1", "Doc:1", "Doc:9") == 2
        assert await host.call("DEL", "Doc:1", "Doc:9") == 1
        assert await host.call("FLUSHDB") == b"OK"
        assert await host.call("DBSIZE") == 0
