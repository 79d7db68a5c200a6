"""Options that several commands share, on every host: STRICT, DEFAULT, ELSE, REQUIRE, AS."""

from __future__ import annotations

import pytest

from _hosts import CommandFailed, Host, later

KEY, ABSENT = "Doc:1", "Doc:absent"
DOCUMENT = '{"n":1,"list":[1,2],"map":{"a":1},"queue":[[1,"a"]],"text":"a"}'
NO_KEY = "NOKEY there is no document under this key"
READERS = {
    "MODEL.GET": (),
    "MODEL.LEN": ("$.list",),
    "MODEL.TYPE": ("$.n",),
    "MODEL.KEYS": ("$.map",),
    "MODEL.CONTAINS": ("$.list", "1"),
    "MODEL.PEEK": ("$.queue",),
}


async def text(host: Host, key: str = KEY) -> str:
    reply = await host.call("MODEL.GET_RO", key)
    assert isinstance(reply, bytes)
    return reply.decode()


async def in_batch(host: Host, *words: str) -> str:
    """The error of a batch that holds an increment and then this command; nothing of it may stay."""
    before = await host.state(KEY)
    batch = ["4", "MODEL.INCRBY", KEY, "$.n", "1", str(len(words)), *words]
    refusal = await host.refused("MODEL.EXEC", "2", KEY, ABSENT, *batch)
    assert await host.state(KEY) == before
    return refusal


class TestStrictReaders:
    @pytest.mark.parametrize("twin", ["", "_RO"])
    @pytest.mark.parametrize("name", READERS)
    async def test_a_missing_document_is_an_error(self, host: Host, name: str, twin: str) -> None:
        words = (f"{name}{twin}", ABSENT, *READERS[name], "STRICT")
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        assert await host.refused(*words) == NO_KEY
        assert (await in_batch(host, *words)).startswith(f"NOKEY operation 2 ({name}{twin}): ")
        assert await host.call(*words[:-1]) == (0 if name == "MODEL.CONTAINS" else None)

    @pytest.mark.parametrize("name", READERS)
    async def test_a_document_is_read_as_without(self, host: Host, name: str) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        for path in (READERS[name], ("$.none", *READERS[name][1:])):
            assert await host.call(name, KEY, *path, "STRICT", "NOREFRESH") == await host.call(
                name, KEY, *path
            )


class TestDefault:
    async def test_a_member_of_a_later_release_starts_from_it(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"counts":{}}')
        words = ("MODEL.INCRBY", KEY, "$.counts.ada", "1", "DEFAULT", "$.counts.ada", "0")
        assert [await host.call(*words), await host.call(*words)] == [b"1", b"2"]
        assert await text(host) == '{"counts":{"ada":2}}'
        assert (await host.lifetime(KEY))["version"] == 3

    async def test_several_build_on_each_other(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "{}")
        defaults = ("DEFAULT", "$.a", "{}", "DEFAULT", "$.a.tags", '[ "x" ]')
        assert await host.call("MODEL.APPEND", KEY, "$.a.tags", '"y"', *defaults, "IFVERSION", "1") == 2
        assert await text(host) == '{"a":{"tags":["x","y"]}}'

    @pytest.mark.parametrize(
        "words",
        [
            ("MODEL.INCRBY", KEY, "$.m", "1", "MAX", "9", "DEFAULT", "$.m", "9"),
            ("MODEL.POP", KEY, "$.m", "DEFAULT", "$.m", "[]"),
            ("MODEL.ADD", KEY, "$.m", "1", "DEFAULT", "$.m", "[1]"),
        ],
        ids=lambda words: words[0],
    )
    async def test_what_finds_nothing_to_do_leaves_it_out(self, host: Host, words: tuple[str, ...]) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        before = await host.state(KEY)
        await host.call(*words)
        assert await host.state(KEY) == before

    async def test_what_fails_leaves_it_out(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        words = ("MODEL.CALC", KEY, "$.m", "DIV", "0", "DEFAULT", "$.m", "9")
        before = await host.state(KEY)
        assert (await host.refused(*words)).startswith("OUTOFRANGE ")
        assert await host.state(KEY) == before
        assert (await in_batch(host, *words)).startswith("OUTOFRANGE operation 2 ")

    async def test_in_a_batch_it_is_there_for_the_next_operation(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        first = ["MODEL.INCRBY", KEY, "$.m", "1", "DEFAULT", "$.m", "1"]
        second = ["MODEL.INCRBY", KEY, "$.m", "1"]
        batch = [str(len(first)), *first, str(len(second)), *second]
        assert await host.call("MODEL.EXEC", "1", KEY, *batch) == [b"2", b"3"]


class TestElse:
    WORDS = ("MODEL.INCRBY", KEY, "$.n", "1", "MAX", "2", "ELSE", '{ "n": 0, "by": "ada" }')

    async def test_a_rate_limiter_is_one_trip(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "NONE")
        reply, moments = await host.timed(*self.WORDS, "EXPECT-POLICY")
        assert reply == b"1"
        assert await host.deadline(KEY) in later(moments, 60_000)
        deadline = await host.deadline(KEY)
        assert [await host.call(*self.WORDS) for _ in range(2)] == [b"2", None]
        assert await host.deadline(KEY) == deadline
        assert await text(host) == '{"n":2,"by":"ada"}'
        assert (await host.lifetime(KEY))["version"] == 2

    @pytest.mark.parametrize(
        ("words", "prefix"),
        [
            (("$.n", "1", "EXPECT-POLICY", "ELSE", '{"n":0}'), "NOPOLICY"),
            (("$.n", "1", "IFVERSION", "1", "ELSE", '{"n":0}'), "NOKEY"),
            (("$.n", "1", "ELSE", '{"m":0}'), "NOPATH"),
            (("$.n", "1", "ELSE", '{"n":[]}'), "BADTYPE"),
            (("$.n", "1", "ELSE", '{"n":0'), "BADJSON"),
            (("$.n", "1", "MAX", "0", "STRICT", "ELSE", '{"n":0}'), "STALE"),
        ],
    )
    async def test_an_error_creates_nothing(self, host: Host, words: tuple[str, ...], prefix: str) -> None:
        assert (await host.refused("MODEL.INCRBY", KEY, *words)).split()[0] == prefix
        assert await host.call("DBSIZE") == 0

    async def test_a_bound_that_is_not_met_creates_nothing(self, host: Host) -> None:
        assert await host.call("MODEL.INCRBY", KEY, "$.n", "5", "MAX", "4", "ELSE", '{"n":0}') is None
        assert await host.call("DBSIZE") == 0

    async def test_it_goes_with_default_and_in_a_batch(self, host: Host) -> None:
        words = ["MODEL.INCRBY", KEY, "$.n.a", "1", "ELSE", '{"n":{}}', "DEFAULT", "$.n.a", "0"]
        twice = [*[str(len(words)), *words] * 2]
        assert await host.call("MODEL.EXEC", "1", KEY, *twice) == [b"1", b"2"]
        assert await text(host) == '{"n":{"a":2}}'


class TestRequire:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("INCRBY", "$.n", "10", "REQUIRE", "LE", "10"), "'$.n' would hold 11, which REQUIRE LE 10"),
            (("CALC", "$.n", "DIV", "4", "REQUIRE", "GT", "0.5"), "'$.n' would hold 0.25, which REQUIRE GT"),
            (("APPEND", "$.list", "3", "REQUIRE", "MAXLEN", "2"), "'$.list' would hold 3 items, which"),
            (
                ("APPEND", "$.text", '"é"', "REQUIRE", "MAXLEN", "1"),
                "'$.text' would hold 2 characters, which",
            ),
            (("INSERT", "$.list", "0", "3", "REQUIRE", "MAXLEN", "2"), "'$.list' would hold 3 items, which"),
            (
                ("POP", "$.map", "REQUIRE", "MINLEN", "1"),
                "'$.map' would hold 0 items, which REQUIRE MINLEN 1",
            ),
            (("REMOVE", "$.list", "1", "REQUIRE", "MINLEN", "2"), "'$.list' would hold 1 items, which"),
            (("CUT", "$.list", "0", "9", "REQUIRE", "MINLEN", "1"), "'$.list' would hold 0 items, which"),
            (("CLEAR", "$.text", "REQUIRE", "MINLEN", "1"), "'$.text' would hold 0 characters, which"),
            (("ADD", "$.list", "1", "3", "REQUIRE", "MAXLEN", "2"), "'$.list' would hold 3 items, which"),
            (("DISCARD", "$.list", "1", "3", "REQUIRE", "MINLEN", "2"), "'$.list' would hold 1 items, which"),
            (
                ("PUSH", "$.queue", "0", '"b"', "REQUIRE", "MAXLEN", "1"),
                "'$.queue' would hold 2 items, which",
            ),
            (("UNPUSH", "$.queue", '"a"', "REQUIRE", "MINLEN", "1"), "'$.queue' would hold 0 items, which"),
            (("POPMIN", "$.queue", "REQUIRE", "MINLEN", "1"), "'$.queue' would hold 0 items, which"),
        ],
        ids=lambda each: each[0] if isinstance(each, tuple) else "",
    )
    async def test_a_change_that_breaks_a_bound_is_refused_and_so_is_its_batch(
        self, host: Host, words: tuple[str, ...], message: str
    ) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        line = (f"MODEL.{words[0]}", KEY, *words[1:])
        before = await host.state(KEY)
        assert (await host.refused(*line)).startswith(f"CONSTRAINT path {message}")
        assert await host.state(KEY) == before
        assert (await in_batch(host, *line)).startswith("CONSTRAINT operation 2 ")
        # What it asks of the value alone stands in its way.
        await host.call(*line[: line.index("REQUIRE")])

    async def test_all_bounds_are_asked_for(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        bounds = ("REQUIRE", "GE", "0", "REQUIRE", "LT", "100", "REQUIRE", "MULTIPLE", "5")
        assert await host.call("MODEL.INCRBY", KEY, "$.n", "4", *bounds) == b"5"
        for by in ("1", "-10", "95"):
            assert (await host.refused("MODEL.INCRBY", KEY, "$.n", by, *bounds)).startswith("CONSTRAINT ")
        assert await host.call("MODEL.INCRBY", KEY, "$.n", "90", *bounds) == b"95"

    async def test_a_default_and_a_document_that_is_created_are_held_to_them(self, host: Host) -> None:
        words = ("MODEL.INCRBY", KEY, "$.n", "1", "REQUIRE", "LE", "1", "DEFAULT", "$.n", "0", "ELSE", "{}")
        assert await host.call(*words) == b"1"
        assert (await host.refused(*words)).startswith("CONSTRAINT path '$.n' would hold 2")
        assert (await host.refused(*words[:2], "$.m", "2", *words[4:-2], "DEFAULT", "$.m", "0")).startswith(
            "CONSTRAINT path '$.m' would hold 2"
        )
        assert await text(host) == '{"n":1}'
        await host.call("MODEL.DEL", KEY)
        assert (await host.refused(*words[:3], "2", *words[4:])).startswith("CONSTRAINT ")
        assert await host.call("EXISTS", KEY) == 0

    async def test_what_is_there_is_held_to_them_in_a_batch_after_any_operation(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        before = await host.state(KEY)
        for path, bound in (("$.list", "2"), ("$.text", "1"), ("$.map", "1")):
            assert await host.call("MODEL.EXPECT", KEY, path, "REQUIRE", "MAXLEN", bound) == b"OK"
            assert await host.refused("MODEL.EXPECT", KEY, path, "REQUIRE", "MINLEN", "9") == (
                f"CONSTRAINT path '{path}' would hold {bound} "
                f"{'characters' if path == '$.text' else 'items'}, which REQUIRE MINLEN 9 does not allow"
            )
        assert await host.call("MODEL.EXPECT", KEY, "$.n", "1", "REQUIRE", "LE", "1") == b"OK"
        assert (await host.refused("MODEL.EXPECT", KEY, "$.n", "REQUIRE", "GT", "1")).startswith(
            "CONSTRAINT "
        )
        set_, expect = (
            ("MODEL.SET", KEY, "$.map.x", "1"),
            ("MODEL.EXPECT", KEY, "$.map", "REQUIRE", "MAXLEN", "1"),
        )
        batch = ("MODEL.EXEC", "1", KEY, str(len(set_)), *set_, str(len(expect)), *expect)
        assert (await host.refused(*batch)).startswith("CONSTRAINT operation 2 (MODEL.EXPECT): path '$.map'")
        assert await host.state(KEY) == before

    async def test_what_changes_nothing_is_not_refused(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        before = await host.state(KEY)
        bounds = ("REQUIRE", "MINLEN", "9")
        assert await host.call("MODEL.ADD", KEY, "$.list", "1", *bounds) == 0
        assert await host.call("MODEL.REMOVE", KEY, "$.list", "7", *bounds) == 0
        assert await host.call("MODEL.POP", KEY, "$.map", '"none"', *bounds) is None
        assert await host.state(KEY) == before


class TestAs:
    PRICES = '{"s":["1.50",2,"x"],"t":["1.5","2.00"]}'
    NOON = '{"s":["2024-05-01T12:00:00Z","2024-05-01T12:00:00"]}'

    async def test_numbers_are_met_however_they_are_written(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, self.PRICES)
        number = ("AS", "NUMBER")
        assert await host.call("MODEL.CONTAINS", KEY, "$.s", '"1.5"') == 0
        assert await host.call("MODEL.CONTAINS", KEY, "$.s", '"1.5"', *number) == 1
        assert await host.call("MODEL.ADD", KEY, "$.s", '"1.500"', '"2"', '"3"', "3.0", *number) == 1
        assert await host.call("MODEL.APPEND", KEY, "$.s", "1.5", "UNIQUE", *number) == 4
        assert await host.call("MODEL.DISCARD", KEY, "$.s", '"2E0"', *number, "STRICT") == 1
        assert await host.call("MODEL.REMOVE", KEY, "$.s", "3e0", *number) == 1
        assert await text(host) == '{"s":["1.50","x"],"t":["1.5","2.00"]}'

    async def test_instants_are_met_in_any_zone(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, self.NOON)
        time = ("AS", "TIME")
        assert await host.call("MODEL.CONTAINS", KEY, "$.s", '"2024-05-01T14:00:00+02:00"', *time) == 1
        assert await host.call("MODEL.ADD", KEY, "$.s", '"2024-05-01T05:30:00-06:30"', *time) == 0
        assert await host.call("MODEL.DISCARD", KEY, "$.s", '"2024-05-01 12:00"', *time) == 1
        assert await text(host) == '{"s":["2024-05-01T12:00:00Z"]}'

    @pytest.mark.parametrize(
        ("operation", "result"),
        [("UNION", b'["1.50",2,"x"]'), ("INTER", b'["1.50",2]'), ("DIFF", b'["x"]')],
    )
    async def test_sets_are_combined_by_it(self, host: Host, operation: str, result: bytes) -> None:
        await host.call("MODEL.CREATE", KEY, self.PRICES)
        words = ("MODEL.SETOP", "2", KEY, KEY, "$.s", "$.t", operation)
        assert await host.call(*words, "AS", "number") == result
        assert await host.call(*words) != result

    async def test_a_strict_condition_goes_by_it(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, self.PRICES)
        words = ("MODEL.ADD", KEY, "$.t", '"7"', '"1.50"', "STRICT")
        assert await host.refused(*words, "AS", "NUMBER") == (
            "STALE STRICT is not met: path '$.t' holds \"1.50\"; read it again, then repeat"
        )
        assert await host.call(*words) == 2

    async def test_a_large_set_is_looked_up_either_way(self, host: Host) -> None:
        numbers = ",".join(f'"{number}.0"' for number in range(20_000))
        await host.call("MODEL.CREATE", KEY, f'{{"s":[{numbers}]}}')
        for _ in range(2):
            assert await host.call("MODEL.ADD", KEY, "$.s", '"17.00"', "123", "AS", "NUMBER") == 0
            assert await host.call("MODEL.CONTAINS", KEY, "$.s", '"19999.0"') == 1
        assert await host.call("MODEL.DISCARD", KEY, "$.s", "5", '"19999"', "AS", "NUMBER") == 2
        assert await host.call("MODEL.LEN", KEY, "$.s") == 19_998

    async def test_saves_of_parts_take_it_for_each_set(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, self.PRICES)
        edits = ("ADD", "$.t", "2", "1.5", "3", "AS", "NUMBER", "DISCARD", "$.s", "1", '"1.5"')
        assert await host.call("MODEL.EDIT", KEY, *edits) == b"OK"
        assert await text(host) == '{"s":["1.50",2,"x"],"t":["1.5","2.00",3]}'
        discard = ("DISCARD", "$.s", "1", '"1.5"', "AS", "NUMBER")
        add = ("ADD", "$.u", "2", '"1"', "1.0", "AS", "NUMBER")
        assert await host.call("MODEL.EDIT", KEY, *discard, *add) == b"OK"
        assert await text(host) == '{"s":[2,"x"],"t":["1.5","2.00",3],"u":["1"]}'

    async def test_another_word_is_refused(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, self.PRICES)
        refusal = await host.refused("MODEL.ADD", KEY, "$.s", "1", "AS", "TEXT")
        assert refusal == "BADARG 'TEXT': AS takes NUMBER or TIME"


class TestStrictConditions:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("MODEL.INCRBY", "$.n", "2", "MAX", "2"), "MAX 2 is not met: path '$.n' would hold 3"),
            (("MODEL.INCRBY", "$.n", "-2", "MIN", "0"), "MIN 0 is not met: path '$.n' would hold -1"),
            (("MODEL.APPEND", "$.list", "7", "2.0", "UNIQUE"), "UNIQUE is not met: path '$.list' holds 2.0"),
            (("MODEL.ADD", "$.list", "7", "2.0"), "STRICT is not met: path '$.list' holds 2.0"),
            (("MODEL.DISCARD", "$.list", "1", "3"), "STRICT is not met: path '$.list' does not hold 3"),
        ],
        ids=lambda each: each[0] if isinstance(each, tuple) else "",
    )
    async def test_it_fails_and_so_does_its_batch(
        self, host: Host, words: tuple[str, ...], message: str
    ) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        line = (words[0], KEY, *words[1:], "STRICT")
        before = await host.state(KEY)
        assert await host.refused(*line) == f"STALE {message}; read it again, then repeat"
        assert await host.state(KEY) == before
        with pytest.raises(CommandFailed, match=rf"^STALE operation 2 \({words[0]}\): .* is not met: "):
            await host.call(
                "MODEL.EXEC", "1", KEY, "4", "MODEL.SET", KEY, "$.text", '"b"', str(len(line)), *line
            )
        assert await host.state(KEY) == before

    async def test_met_it_does_the_same(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, DOCUMENT)
        assert await host.call("MODEL.INCRBY", KEY, "$.n", "1", "MIN", "2", "MAX", "2", "STRICT") == b"2"
        assert await host.call("MODEL.APPEND", KEY, "$.list", "3", "UNIQUE", "STRICT") == 3
