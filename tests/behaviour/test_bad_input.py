"""Bad input: a clear error of the same text on every host; nothing changed, nothing refreshed."""

from __future__ import annotations

import pytest

from _hosts import EmbeddedHost, Host

KEY = "Doc:1"
DOCUMENT = '{"n":1,"s":"x","list":[1,2],"map":{"a":1}}'
Word = str | bytes | int


async def refuses(host: Host, *command: Word) -> str:
    """The refusal, the same on the embedded engine, after which the document is as it was."""
    twin = EmbeddedHost()
    texts = []
    for each in (host, twin):
        await each.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "ALL")
        await each.call("MODEL.CREATE", KEY, DOCUMENT)
        await each.pass_time(0.002)
        before = await each.state(KEY)
        texts.append(await each.refused(*command))
        assert await each.state(KEY) == before
        assert await each.call("DBSIZE") == 1
    assert texts[0] == texts[1]
    assert texts[0].isascii()
    return texts[0]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        (" ", 1),
        ("{", 1),
        ('{"a"}', 4),
        ('{"a":}', 5),
        ('{"a":1,}', 7),
        ("{a:1}", 1),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("[1]]", 3),
        ("nul", 0),
        ("NaN", 0),
        ("Infinity", 0),
        ("-Infinity", 1),
        ("01", 1),
        ("1.", 2),
        (".5", 0),
        ("+1", 0),
        ("1e", 2),
        ('"abc', 4),
        ('"a\x00b"', 2),
        ('"a\nb"', 2),
        ('"\\x"', 1),
        ('"\\ud800"', 1),
        ('"a\\udc00"', 2),
        ('"\\ud800\\u0041"', 1),
        ('"\\u12G4"', 5),
        (b'"\xff"', 1),
        (b'"\xc0\x80"', 1),
        (b'"\xed\xa0\x80"', 1),
        (b'"ab\xe2\x82"', 3),
        ("'a'", 0),
        ("// no", 0),
        ("\ufeff1", 0),
        ("1\x00", 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("command", [("MODEL.CREATE", KEY), ("MODEL.SET", KEY, "$.n")], ids=lambda c: c[0])
async def test_bad_json_is_refused_with_the_byte_it_went_wrong_at(
    host: Host, command: tuple[str, ...], text: Word, offset: int
) -> None:
    refusal = await refuses(host, *command, text)
    assert refusal.startswith("BADJSON ")
    assert refusal.endswith(f" at byte {offset}")


@pytest.mark.parametrize(
    "path",
    [
        "$.", "$..n", "$.*", "$[*]", "$[?@.a]", "$[0:1]", "$[0,1]", "$['a','b']", "$.n ", " $.n", "$n",
        "$.1a", "$[01]", "$[-0]", "$[1.5]", "$[9007199254740992]", "$[", "$['a]", '$["a]', "$[a]", "$[]",
        '$["\\x"]', '$["\\ud800"]', "$.a-b", b"$.\xff", "$.a\x00", "$\x00",
    ],
    ids=repr,
)  # fmt: skip
async def test_bad_paths_are_refused(host: Host, path: Word) -> None:
    for command in (
        ("MODEL.SET", KEY, path, "1"),
        ("MODEL.POP", KEY, path),
        ("MODEL.INCRBY", KEY, path, "1"),
    ):
        assert (await refuses(host, *command)).startswith("BADPATH ")


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        (("MODEL.SET", KEY, "$.x.y", "1"), "NOPATH"),
        (("MODEL.SET", KEY, "$.list[2]", "1"), "NOPATH"),
        (("MODEL.SET", KEY, "$.list[-3]", "1"), "NOPATH"),
        (("MODEL.SET", KEY, "$.list.a", "1"), "BADTYPE"),
        (("MODEL.SET", KEY, "$.n.a", "1"), "BADTYPE"),
        (("MODEL.SET", KEY, "$.map[0]", "1"), "BADTYPE"),
        (("MODEL.APPEND", KEY, "$.absent", "1"), "NOPATH"),
        (("MODEL.APPEND", KEY, "$.map", "1"), "BADTYPE"),
        (("MODEL.APPEND", KEY, "$.n", "1"), "BADTYPE"),
        (("MODEL.POP", KEY, "$.absent"), "NOPATH"),
        (("MODEL.POP", KEY, "$.s"), "BADTYPE"),
        (("MODEL.POP", KEY, "$.list", "one"), "BADJSON"),
        (("MODEL.POP", KEY, "$.list", '"one"'), "BADARG"),
        (("MODEL.POP", KEY, "$.map", "0"), "BADARG"),
        (("MODEL.APPEND", KEY, "$.s", '"y"', "MAXLEN", "1"), "BADTYPE"),
        (("MODEL.APPEND", KEY, "$.s", '"y"', "UNIQUE"), "BADTYPE"),
        (("MODEL.APPEND", KEY, "$.list", "1", "MAXLEN", "x"), "OUTOFRANGE"),
        (("MODEL.APPEND", KEY, "$.list", "1", "MAXLEN"), "BADARG"),
        (("MODEL.INCRBY", KEY, "$.n", "1", "MAX", '"9"'), "BADARG"),
        (("MODEL.INCRBY", KEY, "$.n", "1", "MIN", "9", "MAX", "8"), "BADARG"),
        (("MODEL.UPDATE", KEY, "$.n", "2", "WHERE", "$.n", "IS", "1"), "BADARG"),
        (("MODEL.UPDATE", KEY, "$.n", "2", "WHERE", "n", "EQ", "1"), "BADPATH"),
        (("MODEL.UPDATE", KEY, "$.n", "2", "WHERE", "$.n", "EQ"), "BADARG"),
        (("MODEL.UPDATE", KEY, "$.n", "2", "WHERE", "$.n", "LT", "null"), "BADARG"),
        (("MODEL.UPDATE", KEY, "$.n", "2", "WHERE", "$.s", "LT", "1"), "BADTYPE"),
        (("MODEL.UPDATE", KEY, "WHERE", "$.n", "EQ", "1"), "BADARG"),
        (("MODEL.SET", KEY, "$.n", "2", "IFVERSION", "-1"), "OUTOFRANGE"),
        (("MODEL.SET", KEY, "$.n", "2", "IFVERSION", "4294967296"), "OUTOFRANGE"),
        (("MODEL.SET", KEY, "$.n", "2", "IFVERSION"), "BADARG"),
        (("MODEL.INSERT", KEY, "$.list", "x", "1"), "OUTOFRANGE"),
        (("MODEL.INSERT", KEY, "$.list", "9223372036854775808", "1"), "OUTOFRANGE"),
        (("MODEL.INSERT", KEY, "$.absent", "0", "1"), "NOPATH"),
        (("MODEL.INSERT", KEY, "$.s", "0", "1"), "BADTYPE"),
        (("MODEL.REMOVE", KEY, "$.list", "x"), "BADJSON"),
        (("MODEL.REMOVE", KEY, "$.map", '"a"'), "BADTYPE"),
        (("MODEL.REMOVE", KEY, "$.list", "1", "COUNT", "0"), "OUTOFRANGE"),
        (("MODEL.REMOVE", KEY, "$.list", "1", "COUNT"), "BADARG"),
        (("MODEL.REMOVE", KEY, "$.list", "1", "2"), "BADARG"),
        (("MODEL.CUT", KEY, "$.list", "0", "1.5"), "OUTOFRANGE"),
        (("MODEL.CUT", KEY, "$.s", "0", "1"), "BADTYPE"),
        (("MODEL.UNSET", KEY, "$.n", "$"), "BADARG"),
        (("MODEL.UNSET", KEY, "$.n", "$."), "BADPATH"),
        (("MODEL.UNSET", KEY, "$.n", "s"), "BADARG"),
        (("MODEL.CLEAR", KEY, "$.n"), "BADTYPE"),
        (("MODEL.CLEAR", KEY, "$.absent"), "NOPATH"),
        (("MODEL.LEN", KEY, "$.n"), "BADTYPE"),
        (("MODEL.KEYS", KEY, "$.list"), "BADTYPE"),
        (("MODEL.CONTAINS", KEY, "$.n", "1"), "BADTYPE"),
        (("MODEL.CONTAINS", KEY, "$.map", "1"), "BADARG"),
        (("MODEL.CONTAINS", KEY, "$.s", "1"), "BADARG"),
        (("MODEL.CONTAINS", KEY, "$.list", "{"), "BADJSON"),
        (("MODEL.COPY", KEY, KEY), "BADARG"),
        (("MODEL.GETORCREATE", KEY, "{"), "BADJSON"),
        (("MODEL.INCRBY", KEY, "$.absent", "1"), "NOPATH"),
        (("MODEL.INCRBY", KEY, "$.s", "1"), "BADTYPE"),
        (("MODEL.INCRBY", KEY, "$.n", "x"), "BADJSON"),
        (("MODEL.UPDATE", KEY, "$.n", "2", "n", "3"), "BADARG"),
        (("MODEL.SAVE", KEY, "[]", "ONLY", "1", '"n"'), "BADTYPE"),
        (("MODEL.SAVE", KEY, "{}", "ONLY", "x", '"n"'), "OUTOFRANGE"),
        (("MODEL.SAVE", KEY, "{}", "ONLY", "-1"), "OUTOFRANGE"),
        (("MODEL.SAVE", KEY, "{}", "ONLY", "1", "1"), "BADARG"),
        (("MODEL.SAVE", KEY, "{}", "ONLY", "2", '"n"'), "BADARG"),
        (("MODEL.SET", KEY, "$.n", "1", "NX", "XX"), "BADARG"),
        (("MODEL.CREATE", KEY, "1", "XX"), "BADARG"),
        (("MODEL.GET", KEY, "n"), "BADARG"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_what_does_not_fit_the_document_is_refused(
    host: Host, command: tuple[Word, ...], prefix: str
) -> None:
    assert (await refuses(host, *command)).startswith(f"{prefix} ")


@pytest.mark.parametrize(
    "command",
    [
        ("MODEL.CREATE",),
        ("MODEL.CREATE", KEY),
        ("MODEL.SAVE", KEY),
        ("MODEL.SET", KEY, "$"),
        ("MODEL.GET",),
        ("MODEL.GET_RO",),
        ("MODEL.MGET",),
        ("MODEL.UPDATE", KEY),
        ("MODEL.UPDATE", KEY, "$.n"),
        ("MODEL.DEL",),
        ("MODEL.APPEND", KEY, "$.list"),
        ("MODEL.POP", KEY),
        ("MODEL.INCRBY", KEY, "$.n"),
        ("MODEL.TTL",),
        ("MODEL.TTL", "GET"),
        ("MODEL.TTL", "GET", KEY, "more"),
        ("MODEL.TTL", "SET", KEY),
        ("MODEL.TTL", "SET", KEY, "PX"),
        ("MODEL.TTL", "INHERIT", KEY, "more"),
        ("MODEL.TTL", "TOUCH"),
        ("MODEL.POLICY",),
        ("MODEL.POLICY", "SET", "Doc:"),
        ("MODEL.POLICY", "SET", "Doc:", "TTL"),
        ("MODEL.POLICY", "GET"),
        ("MODEL.POLICY", "LIST", "more"),
        ("MODEL.POLICY", "DEL", "Doc:", "more"),
    ],
    ids=" ".join,
)
async def test_a_wrong_number_of_arguments_is_refused(host: Host, command: tuple[str, ...]) -> None:
    refusal = await refuses(host, *command)
    name = command[0].lower() + (
        f"|{command[1].lower()}" if command[1:] and "TTL" in command[0] + "POLICY" else ""
    )
    assert refusal.startswith(f"ERR wrong number of arguments for '{command[0].lower()}"), name
    assert refusal.endswith("' command")


async def test_commands_that_do_not_exist_are_refused_in_the_servers_words(host: Host) -> None:
    assert (await refuses(host, "MODEL.NOPE", KEY, "x")).startswith("ERR unknown command 'MODEL.NOPE'")
    assert (await refuses(host, "MODEL.TTL", "NOPE", KEY)).startswith("ERR unknown subcommand 'NOPE'")


@pytest.mark.parametrize("span", ["0", "-1", "1.5", "1e3", "+1", " 1", "", "x", "3155760000001", "9" * 30])
async def test_a_time_out_of_range_is_refused(host: Host, span: str) -> None:
    for how in ("PX", "PXAT"):
        if (how, span) == ("PXAT", "3155760000001"):
            continue
        refusal = await refuses(host, "MODEL.TTL", "SET", KEY, how, span)
        assert refusal.startswith("OUTOFRANGE ")
        assert f"'{span}'" in refusal


async def test_a_moment_beyond_a_hundred_years_is_refused(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, "1")
    before = await host.state(KEY)
    beyond = await host.now_ms() + 3_155_760_000_000 + 60_000
    assert (await host.refused("MODEL.TTL", "SET", KEY, "PXAT", beyond)).startswith("OUTOFRANGE ")
    assert await host.state(KEY) == before


@pytest.mark.parametrize(
    "options", [("PX", "1", "PXAT", "1"), ("EX", "1"), ("PX", "1", "NX"), ("ONCE", "1")], ids=" ".join
)
async def test_ttl_set_takes_one_time_and_once(host: Host, options: tuple[str, ...]) -> None:
    assert (await refuses(host, "MODEL.TTL", "SET", KEY, *options)).startswith("BADARG ")


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


class TestDepth:
    async def test_128_containers_are_stored(self, host: Host) -> None:
        assert await host.call("MODEL.CREATE", KEY, nested(128)) == b"OK"
        assert await host.call("MODEL.GET", KEY) == nested(128).encode()

    async def test_129_are_refused(self, host: Host) -> None:
        assert (await refuses(host, "MODEL.CREATE", KEY, nested(129))).startswith("LIMIT ")
        assert (await refuses(host, "MODEL.CREATE", KEY, '{"a":' * 129 + "1" + "}" * 129)).startswith(
            "LIMIT "
        )

    async def test_the_path_counts_as_well(self, host: Host) -> None:
        path = "$" + "[0]" * 100
        for command, fits in (
            (("MODEL.SET", path), 28),
            (("MODEL.UPDATE", path), 28),
            (("MODEL.APPEND", "$" + "[0]" * 99), 28),
        ):
            name, at = command
            await host.call("MODEL.CREATE", KEY, nested(101).replace("[]", "[0]"))
            before = await host.state(KEY)
            assert (await host.refused(name, KEY, at, nested(fits + 1))).startswith("LIMIT ")
            assert await host.state(KEY) == before
            await host.call(name, KEY, at, nested(fits))

    async def test_a_very_deep_text_is_refused_without_recursion(self, host: Host) -> None:
        assert (await refuses(host, "MODEL.CREATE", KEY, "[" * 1_000_000)).startswith("LIMIT ")

    async def test_a_path_of_too_many_steps_is_refused(self, host: Host) -> None:
        assert (await refuses(host, "MODEL.SET", KEY, "$" + "[0]" * 1000, "1")).startswith("LIMIT ")


class TestNumbers:
    async def test_4300_digits_are_kept(self, host: Host) -> None:
        digits = "9" * 4300
        await host.call("MODEL.CREATE", KEY, digits)
        assert await host.call("MODEL.GET", KEY) == digits.encode()

    async def test_4301_digits_are_refused(self, host: Host) -> None:
        assert (await refuses(host, "MODEL.CREATE", KEY, "9" * 4301)).startswith("LIMIT ")
        assert (await refuses(host, "MODEL.INCRBY", KEY, "$.n", "9" * 4301)).startswith("LIMIT ")

    async def test_a_sum_of_4301_digits_is_refused(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "9" * 4300)
        before = await host.state(KEY)
        assert (await host.refused("MODEL.INCRBY", KEY, "$", "1")).startswith("LIMIT ")
        assert await host.state(KEY) == before

    async def test_a_number_beyond_a_double_is_refused(self, host: Host) -> None:
        assert (await refuses(host, "MODEL.CREATE", KEY, "1e400")).startswith("LIMIT ")


async def test_keys_and_strings_may_hold_any_bytes(host: Host) -> None:
    key = b"Doc:\x00\xff%s%n"
    assert await host.call("MODEL.CREATE", key, '"a\\u0000b"') == b"OK"
    assert await host.call("MODEL.GET", key) == b'"a\\u0000b"'
    refusal = await host.refused("MODEL.CREATE", b"No:\x00\xff%s%n\r\n", "1", "EXPECT-POLICY")
    assert refusal.startswith("NOPOLICY ")
    assert refusal.isprintable()


async def test_a_very_long_argument_is_named_by_its_beginning(host: Host) -> None:
    refusal = await refuses(host, "MODEL.SET", KEY, "$.n", "1", "x" * 100_000)
    assert refusal.startswith("BADARG ")
    assert len(refusal) < 500


@pytest.mark.parametrize(
    "command",
    [
        ("MODEL.CREATE", KEY, "1"),
        ("MODEL.SAVE", KEY, "1"),
        ("MODEL.SET", KEY, "$", "1"),
        ("MODEL.GET", KEY),
        ("MODEL.GET_RO", KEY),
        ("MODEL.MGET", KEY),
        ("MODEL.UPDATE", KEY, "$.n", "1"),
        ("MODEL.DEL", KEY),
        ("MODEL.APPEND", KEY, "$", "1"),
        ("MODEL.POP", KEY, "$"),
        ("MODEL.INCRBY", KEY, "$", "1"),
        ("MODEL.TTL", "GET", KEY),
        ("MODEL.TTL", "SET", KEY, "PX", "1"),
        ("MODEL.TTL", "INHERIT", KEY),
        ("MODEL.TTL", "TOUCH", KEY),
    ],
    ids=" ".join,
)
async def test_a_key_of_another_type_is_left_alone(host: Host, command: tuple[str, ...]) -> None:
    if host.name == "embedded":
        return  # It holds nothing but documents.
    await host.call("SET", KEY, "text", "PX", "60000")
    before = await host.deadline(KEY)
    refusal = await host.refused(*command)
    assert refusal == "WRONGTYPE Operation against a key holding the wrong kind of value"
    assert await host.call("GET", KEY) == b"text"
    assert await host.deadline(KEY) == before
