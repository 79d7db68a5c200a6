"""What each command answers and what it leaves behind, on every host."""

from __future__ import annotations

import pytest

from _hosts import Host, later

KEY = "Doc:1"


async def stored(host: Host, key: str = KEY) -> str | None:
    reply = await host.call("MODEL.GET_RO", key)
    assert reply is None or isinstance(reply, bytes)
    return None if reply is None else reply.decode()


class TestCreate:
    async def test_stores_the_canonical_text(self, host: Host) -> None:
        assert await host.call("MODEL.CREATE", KEY, ' { "a" : [1 , 1.10], "\\u00e9" : "\\/" } ') == b"OK"
        assert await stored(host) == '{"a":[1,1.10],"é":"/"}'

    async def test_replaces_what_is_there(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1}')
        assert await host.call("MODEL.CREATE", KEY, '{"b":2}') == b"OK"
        assert await stored(host) == '{"b":2}'

    async def test_nx_leaves_what_is_there(self, host: Host) -> None:
        assert await host.call("MODEL.CREATE", KEY, "1", "NX") == b"OK"
        assert await host.call("MODEL.CREATE", KEY, "2", "NX") is None
        assert await stored(host) == "1"


class TestSave:
    async def test_creates_the_whole_where_there_is_nothing(self, host: Host) -> None:
        assert await host.call("MODEL.SAVE", KEY, '{"a":1,"b":2}', "ONLY", 1, '"a"') == b"OK"
        assert await stored(host) == '{"a":1,"b":2}'

    async def test_xx_creates_nothing(self, host: Host) -> None:
        assert await host.call("MODEL.SAVE", KEY, '{"a":1}', "XX") is None
        assert await stored(host) is None

    async def test_only_replaces_adds_and_removes_the_named_members(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"keep":0,"change":1,"gone":2}')
        saved = '{"keep":9,"change":5,"new":6}'
        assert await host.call("MODEL.SAVE", KEY, saved, "ONLY", 3, '"change"', '"gone"', '"new"') == b"OK"
        assert await stored(host) == '{"keep":0,"change":5,"new":6}'

    async def test_without_only_replaces_the_whole(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1,"b":2}')
        assert await host.call("MODEL.SAVE", KEY, '{"c":3}', "XX") == b"OK"
        assert await stored(host) == '{"c":3}'

    async def test_only_compares_names_as_text_not_as_written(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"é":1}')
        assert await host.call("MODEL.SAVE", KEY, '{"\\u00e9":2}', "ONLY", 1, '"\\u00e9"') == b"OK"
        assert await stored(host) == '{"é":2}'


class TestSet:
    async def test_at_the_root_creates(self, host: Host) -> None:
        assert await host.call("MODEL.SET", KEY, "$", '{"a":1}') == b"OK"
        assert await stored(host) == '{"a":1}'

    @pytest.mark.parametrize(
        ("path", "after"),
        [
            ("$.a", '{"a":9,"list":[1,2],"map":{"x":1}}'),
            ("$.new", '{"a":1,"list":[1,2],"map":{"x":1},"new":9}'),
            ("$.list[0]", '{"a":1,"list":[9,2],"map":{"x":1}}'),
            ("$.list[-1]", '{"a":1,"list":[1,9],"map":{"x":1}}'),
            ('$["map"]["a.b"]', '{"a":1,"list":[1,2],"map":{"x":1,"a.b":9}}'),
        ],
    )
    async def test_below_the_root_replaces_or_adds_a_member(self, host: Host, path: str, after: str) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1,"list":[1,2],"map":{"x":1}}')
        assert await host.call("MODEL.SET", KEY, path, "9") == b"OK"
        assert await stored(host) == after

    async def test_nx_and_xx_ask_whether_there_is_something_at_the_path(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1}')
        assert await host.call("MODEL.SET", KEY, "$.a", "2", "NX") is None
        assert await host.call("MODEL.SET", KEY, "$.b", "2", "XX") is None
        assert await host.call("MODEL.SET", KEY, "$.a", "2", "XX") == b"OK"
        assert await host.call("MODEL.SET", KEY, "$.b", "3", "NX") == b"OK"
        assert await stored(host) == '{"a":2,"b":3}'

    async def test_nx_and_xx_at_the_root_ask_for_the_document(self, host: Host) -> None:
        assert await host.call("MODEL.SET", KEY, "$", "1", "XX") is None
        assert await host.call("MODEL.SET", KEY, "$", "1", "NX") == b"OK"
        assert await host.call("MODEL.SET", KEY, "$", "2", "NX") is None
        assert await stored(host) == "1"


class TestGet:
    async def test_without_a_path_is_the_document(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":{"b":[1,2]}}')
        assert await host.call("MODEL.GET", KEY) == b'{"a":{"b":[1,2]}}'
        assert await host.call("MODEL.GET", KEY, "$") == b'{"a":{"b":[1,2]}}'

    async def test_of_one_path_is_its_value_and_of_several_an_array(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":{"b":[1,2]},"c":null}')
        assert await host.call("MODEL.GET", KEY, "$.a.b[-1]") == b"2"
        assert await host.call("MODEL.GET", KEY, "$.c") == b"null"
        assert await host.call("MODEL.GET", KEY, "$.a", "$.c", "$.absent") == [b'{"b":[1,2]}', b"null", None]

    async def test_of_no_document_is_nil(self, host: Host) -> None:
        assert await host.call("MODEL.GET", KEY) is None

    @pytest.mark.parametrize(
        "name", ["a.b", 'quo"te', "it's", "", " ", "\U0001f511", "é", "back\\slash", "line\nbreak"]
    )
    async def test_any_member_name_can_be_named(self, host: Host, name: str) -> None:
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        await host.call("MODEL.CREATE", KEY, "{}")
        assert await host.call("MODEL.SET", KEY, f"$[{quoted}]", "1") == b"OK"
        assert await host.call("MODEL.GET", KEY, f"$[{quoted}]") == b"1"

    async def test_mget_aligns_with_its_keys(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("MODEL.CREATE", "Doc:3", "3")
        assert await host.call("MODEL.MGET", KEY, "Doc:2", "Doc:3") == [b"1", None, b"3"]
        assert await host.call("MODEL.MGET_RO", "Doc:2", KEY) == [None, b"1"]


class TestGetOrCreate:
    async def test_creates_once_and_reads_from_then_on(self, host: Host) -> None:
        assert await host.call("MODEL.GETORCREATE", KEY, '{"n": 1}') == [1, b'{"n":1}']
        assert await host.call("MODEL.GETORCREATE", KEY, '{"n":2}') == [0, b'{"n":1}']
        assert await stored(host) == '{"n":1}'
        assert (await host.lifetime(KEY))["version"] == 1

    async def test_a_policy_is_expected_where_it_creates_only(self, host: Host) -> None:
        refusal = await host.refused("MODEL.GETORCREATE", KEY, "1", "EXPECT-POLICY")
        assert refusal.startswith("NOPOLICY ")
        await host.call("MODEL.CREATE", KEY, "1")
        assert await host.call("MODEL.GETORCREATE", KEY, "2", "EXPECT-POLICY") == [0, b"1"]


class TestCopy:
    async def test_creates_a_document_with_a_lifetime_of_its_own(self, host: Host) -> None:
        await host.call("MODEL.POLICY", "SET", "Copy:", "TTL", 90_000)
        await host.call("MODEL.CREATE", KEY, '{"a":[1]}')
        await host.call("MODEL.TTL", "SET", KEY, "PX", 5_000)
        await host.call("MODEL.SET", KEY, "$.a[0]", "2")
        await host.pass_time(0.003)
        before = await host.state(KEY)
        reply, moments = await host.timed("MODEL.COPY", KEY, "Copy:1")
        assert reply == 1
        assert await stored(host, "Copy:1") == '{"a":[2]}'
        assert await host.deadline("Copy:1") in later(moments, 90_000)
        lifetime = await host.lifetime("Copy:1")
        assert lifetime["created"] in moments
        assert (lifetime["version"], lifetime["window"]) == (1, 90_000)
        assert await host.state(KEY) == before

    async def test_of_nothing_is_nothing(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        assert await host.call("MODEL.COPY", "Doc:2", KEY, "REPLACE") == 0
        assert await host.call("MODEL.COPY", "Doc:2", "Doc:3") == 0
        assert await stored(host) == "1"
        assert await host.call("DBSIZE") == 1

    async def test_replaces_only_when_it_is_told_to(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("MODEL.CREATE", "Doc:2", "2")
        before = await host.state("Doc:2")
        assert await host.call("MODEL.COPY", KEY, "Doc:2") == 0
        assert await host.state("Doc:2") == before
        assert await host.call("MODEL.COPY", KEY, "Doc:2", "REPLACE") == 1
        assert await stored(host, "Doc:2") == "1"

    async def test_a_replaced_document_keeps_its_lifetime(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("MODEL.CREATE", "Doc:2", "2")
        await host.call("MODEL.TTL", "SET", "Doc:2", "PX", 5_000_000)
        before = await host.lifetime("Doc:2")
        await host.call("MODEL.COPY", KEY, "Doc:2", "REPLACE")
        assert await host.lifetime("Doc:2") == before | {"version": 2}

    async def test_onto_itself_is_refused(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        assert (await host.refused("MODEL.COPY", KEY, KEY, "REPLACE")).startswith("BADARG ")

    async def test_a_large_document_is_copied_whole(self, host: Host) -> None:
        text = str(list(range(5000))).replace(" ", "")
        await host.call("MODEL.CREATE", KEY, text)
        assert await host.call("MODEL.COPY", KEY, "Doc:2") == 1
        await host.call("MODEL.SET", KEY, "$[0]", "9")
        assert await stored(host, "Doc:2") == text


class TestUpdate:
    async def test_sets_several_places_at_once(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1,"b":{"c":2}}')
        assert await host.call("MODEL.UPDATE", KEY, "$.a", "10", "$.b.c", "20", "$.d", "30") == b"OK"
        assert await stored(host) == '{"a":10,"b":{"c":20},"d":30}'

    async def test_is_all_or_nothing(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1}')
        before = await host.state(KEY)
        assert (await host.refused("MODEL.UPDATE", KEY, "$.a", "2", "$.x.y", "3")).startswith("NOPATH ")
        assert (await host.refused("MODEL.UPDATE", KEY, "$.a", "2", "$.b", "{")).startswith("BADJSON ")
        assert await host.state(KEY) == before

    async def test_a_later_pair_sees_what_an_earlier_one_set(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"a":1}')
        assert await host.call("MODEL.UPDATE", KEY, "$.b", '{"c":1}', "$.b.c", "2") == b"OK"
        assert await stored(host) == '{"a":1,"b":{"c":2}}'

    async def test_indices_and_paths_that_meet_give_what_one_after_the_other_gives(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"list":[1,{"a":1}],"m":{}}')
        changes = ("$.list[-1]", "[7]", "$.list[1][0]", "8", "$.m", '{"x":1}', "$.m.x", "2", "$.m.y", "3")
        assert await host.call("MODEL.UPDATE", KEY, *changes) == b"OK"
        assert await stored(host) == '{"list":[1,[8]],"m":{"x":2,"y":3}}'

    async def test_what_would_be_lost_to_an_earlier_pair_is_refused(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"list":[1,{"a":1}]}')
        before = await host.state(KEY)
        refusal = await host.refused("MODEL.UPDATE", KEY, "$.list[-1]", "5", "$.list[1].a", "6")
        assert refusal.startswith("BADTYPE ")
        assert await host.state(KEY) == before

    async def test_is_all_or_nothing_in_a_large_document(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, str({"list": list(range(3000))}).replace("'", '"'))
        before = await host.state(KEY)
        assert (await host.refused("MODEL.UPDATE", KEY, "$.list[5]", "0", "$.list[3000]", "0")).startswith(
            "NOPATH "
        )
        assert await host.state(KEY) == before
        assert await host.call("MODEL.UPDATE", KEY, "$.list[5]", '"a"', "$.list[-1]", '"b"') == b"OK"
        assert await host.call("MODEL.GET", KEY, "$.list[5]", "$.list[2999]") == [b'"a"', b'"b"']

    @pytest.mark.parametrize(
        ("condition", "met"),
        [
            ("$.n EQ 5", True),
            ("$.n eq 5.0", True),
            ("$.n NE 5", False),
            ("$.n LT 5.5", True),
            ("$.n LT 5", False),
            ("$.n LE 5", True),
            ("$.n GT 4", True),
            ("$.n GT 5", False),
            ("$.n GE 5", True),
            ("$.none EQ null", True),
            ("$.none NE 1", True),
            ('$.list EQ [1,{"a":2}]', True),
            ("$.list NE []", True),
            ('$.s LT "b"', True),
            ('$.s GE "b"', False),
            ("$.absent EQ null", False),
            ("$.absent NE 1", False),
            ("$.absent LT 1", False),
        ],
    )
    async def test_where_decides_whether_anything_is_set(self, host: Host, condition: str, met: bool) -> None:
        await host.call("MODEL.CREATE", KEY, '{"n":5,"none":null,"list":[1,{"a":2}],"s":"a"}')
        before = await host.state(KEY)
        reply = await host.call("MODEL.UPDATE", KEY, "$.new", "1", "$.n", "6", "WHERE", *condition.split())
        assert reply == (b"OK" if met else None)
        assert (await host.state(KEY) == before) is not met

    async def test_all_conditions_must_be_met(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"n":5,"m":1}')
        update = ("MODEL.UPDATE", KEY, "$.n", "0", "WHERE", "$.n", "EQ", "5", "WHERE", "$.m", "EQ")
        assert await host.call(*update, "2") is None
        assert await host.call(*update, "1") == b"OK"


class TestDel:
    async def test_counts_the_documents_it_removed(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        await host.call("MODEL.CREATE", "Doc:2", "2")
        assert await host.call("MODEL.DEL", KEY, "Doc:2", "Doc:3") == 2
        assert await host.call("DBSIZE") == 0

    async def test_the_same_key_twice_counts_once(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1")
        assert await host.call("MODEL.DEL", KEY, KEY) == 1


class TestAppend:
    async def test_adds_elements_to_an_array(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"list":[],"map":{}}')
        assert await host.call("MODEL.APPEND", KEY, "$.list", "1") == 1
        assert await host.call("MODEL.APPEND", KEY, "$.list", "[2]", '{"a": 3}') == 3
        assert await stored(host) == '{"list":[1,[2],{"a":3}],"map":{}}'

    async def test_adds_text_to_a_string_and_counts_characters(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"s":"né"}')
        assert await host.call("MODEL.APPEND", KEY, "$.s", '"\\ud83d\\udd11"') == 3
        assert await stored(host) == '{"s":"né\U0001f511"}'

    async def test_takes_an_array_or_a_string_and_nothing_else(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"n":1,"s":""}')
        assert (await host.refused("MODEL.APPEND", KEY, "$.n", "1")).startswith("BADTYPE ")
        assert (await host.refused("MODEL.APPEND", KEY, "$.s", "1")).startswith("BADTYPE ")

    @pytest.mark.parametrize(
        ("most", "left"), [(5, [1, 2, 3, 4, 5]), (4, [2, 3, 4, 5]), (1, [5]), (0, []), (9, [1, 2, 3, 4, 5])]
    )
    async def test_maxlen_drops_the_first_ones(self, host: Host, most: int, left: list[int]) -> None:
        await host.call("MODEL.CREATE", KEY, "[1,2,3]")
        assert await host.call("MODEL.APPEND", KEY, "$", "4", "5", "MAXLEN", most) == len(left)
        assert await stored(host) == str(left).replace(" ", "")
        assert (await host.lifetime(KEY))["version"] == 2

    async def test_unique_leaves_out_what_is_there(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '[1,"a"]')
        assert await host.call("MODEL.APPEND", KEY, "$", '"a"', '"b"', "1.0", '"b"', "UNIQUE") == 3
        assert await stored(host) == '[1,"a","b"]'
        assert await host.call("MODEL.APPEND", KEY, "$", '"a"', "UNIQUE") == 3
        assert (await host.lifetime(KEY))["version"] == 2

    async def test_unique_and_maxlen_go_together(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "[1,2,3]")
        assert await host.call("MODEL.APPEND", KEY, "$", "2", "4", "UNIQUE", "MAXLEN", 3) == 3
        assert await stored(host) == "[2,3,4]"
        assert await host.call("MODEL.APPEND", KEY, "$", "2", "UNIQUE", "MAXLEN", 2) == 2
        assert await stored(host) == "[3,4]"

    async def test_bytes_are_appended_to_base64(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '"_w=="')
        assert await host.call("MODEL.APPEND", KEY, "$", '"_g=="', '""', '"AQID"', "BASE64") == 5
        assert await stored(host) == '"__4BAgM="'

    @pytest.mark.parametrize(
        ("held", "words", "refusal"),
        [
            ('"a"', ('"AQ=="',), "BADTYPE path '$' holds string, the command needs a string of base64"),
            ('"/w=="', ('"AQ=="',), "BADTYPE "),
            ("[]", ('"AQ=="',), "BADTYPE path '$' holds array, the command needs a string of base64"),
            ('""', ('"AQ"',), "BADARG '\"AQ\"': not a JSON string of base64"),
            ('""', ("1",), "BADARG '1': not a JSON string of base64"),
            ('""', ('"AQ=="', "MAXLEN", "1"), "BADARG 'BASE64': UNIQUE and MAXLEN are for arrays"),
        ],
    )
    async def test_what_is_no_base64_changes_nothing(
        self, host: Host, held: str, words: tuple[str, ...], refusal: str
    ) -> None:
        await host.call("MODEL.CREATE", KEY, held)
        before = await host.state(KEY)
        assert (await host.refused("MODEL.APPEND", KEY, "$", *words, "BASE64")).startswith(refusal)
        assert await host.state(KEY) == before


class TestPop:
    @pytest.mark.parametrize(
        ("index", "popped", "left"), [((), b"3", "[1,2]"), ((0,), b"1", "[2,3]"), ((-2,), b"2", "[1,3]")]
    )
    async def test_takes_an_element_out(
        self, host: Host, index: tuple[int, ...], popped: bytes, left: str
    ) -> None:
        await host.call("MODEL.CREATE", KEY, "[1,2,3]")
        assert await host.call("MODEL.POP", KEY, "$", *index) == popped
        assert await stored(host) == left

    async def test_takes_a_member_out_by_name(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"map":{"a.b":1,"c":2}}')
        assert await host.call("MODEL.POP", KEY, "$.map", '"a.b"') == b"1"
        assert await stored(host) == '{"map":{"c":2}}'

    async def test_without_a_name_takes_the_last_member_with_its_name(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"map":{"a":1,"b":{"x":2}}}')
        assert await host.call("MODEL.POP", KEY, "$.map") == b'["b",{"x":2}]'
        assert await stored(host) == '{"map":{"a":1}}'

    @pytest.mark.parametrize(("path", "which"), [("$.list", ()), ("$.map", ()), ("$.map", ('"a"',))])
    async def test_of_nothing_is_nil(self, host: Host, path: str, which: tuple[str, ...]) -> None:
        await host.call("MODEL.CREATE", KEY, '{"list":[],"map":{}}')
        before = await host.state(KEY)
        assert await host.call("MODEL.POP", KEY, path, *which) is None
        assert await host.state(KEY) == before


class TestIncrby:
    @pytest.mark.parametrize(
        ("number", "by", "after"),
        [
            ("1", "2", "3"),
            ("1", "-2", "-1"),
            ("9007199254740993", "1", "9007199254740994"),
            ("170141183460469231731687303715884105727", "1", "170141183460469231731687303715884105728"),
            ("0.1", "0.2", "0.30000000000000004"),
            ("1.5", "1", "2.5"),
        ],
    )
    async def test_is_exact_for_integers_and_ieee_for_floats(
        self, host: Host, number: str, by: str, after: str
    ) -> None:
        await host.call("MODEL.CREATE", KEY, f'{{"n":{number}}}')
        assert await host.call("MODEL.INCRBY", KEY, "$.n", by) == after.encode()
        assert await stored(host) == f'{{"n":{after}}}'

    async def test_beyond_a_double_changes_nothing(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, "1.7e308")
        before = await host.state(KEY)
        assert (await host.refused("MODEL.INCRBY", KEY, "$", "1.7e308")).startswith(("OUTOFRANGE ", "LIMIT "))
        assert await host.state(KEY) == before

    @pytest.mark.parametrize(
        ("by", "bounds", "after"),
        [
            ("1", ("MAX", "11"), "11"),
            ("2", ("MAX", "11"), None),
            ("1.5", ("MAX", "11.5"), "11.5"),
            ("-11", ("MIN", "0"), None),
            ("-10", ("MIN", "0", "MAX", "20"), "0"),
            ("100000000000000000000", ("MAX", "1e19"), None),
        ],
    )
    async def test_stays_within_its_bounds(
        self, host: Host, by: str, bounds: tuple[str, ...], after: str | None
    ) -> None:
        await host.call("MODEL.CREATE", KEY, "10")
        before = await host.state(KEY)
        reply = await host.call("MODEL.INCRBY", KEY, "$", by, *bounds)
        assert reply == (None if after is None else after.encode())
        if after is None:
            assert await host.state(KEY) == before
        else:
            assert await stored(host) == after

    async def test_takes_numbers_only(self, host: Host) -> None:
        await host.call("MODEL.CREATE", KEY, '{"s":"1","n":1}')
        assert (await host.refused("MODEL.INCRBY", KEY, "$.s", "1")).startswith("BADTYPE ")
        assert (await host.refused("MODEL.INCRBY", KEY, "$.n", '"1"')).startswith(("BADTYPE ", "BADARG "))


async def test_a_write_without_a_document_says_so(host: Host) -> None:
    for command in [
        ("MODEL.UPDATE", KEY, "$.a", "1"),
        ("MODEL.SET", KEY, "$.a", "1"),
        ("MODEL.APPEND", KEY, "$", "1"),
        ("MODEL.INSERT", KEY, "$", 0, "1"),
        ("MODEL.REMOVE", KEY, "$", "1"),
        ("MODEL.CUT", KEY, "$", 0, 1),
        ("MODEL.UNSET", KEY, "$.a"),
        ("MODEL.CLEAR", KEY, "$"),
        ("MODEL.INCRBY", KEY, "$", "1"),
    ]:
        assert (await host.refused(*command)).startswith("NOKEY ")
    assert await host.call("DBSIZE") == 0


async def test_every_write_counts_one_version(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, '{"n":1,"list":[]}')
    assert (await host.lifetime(KEY))["version"] == 1
    for count, command in enumerate(
        [
            ("MODEL.SET", KEY, "$.n", "2"),
            ("MODEL.UPDATE", KEY, "$.n", "3", "$.m", "4"),
            ("MODEL.APPEND", KEY, "$.list", "1", "2"),
            ("MODEL.POP", KEY, "$.list"),
            ("MODEL.INCRBY", KEY, "$.n", "1"),
            ("MODEL.INSERT", KEY, "$.list", 0, "1", "2", "1"),
            ("MODEL.REMOVE", KEY, "$.list", "1", "COUNT", 9),
            ("MODEL.CUT", KEY, "$.list", 0, 1),
            ("MODEL.UNSET", KEY, "$.n", "$.m", "$.absent"),
            ("MODEL.CLEAR", KEY, "$"),
            ("MODEL.SAVE", KEY, '{"n":1}', "ONLY", 1, '"n"'),
            ("MODEL.CREATE", KEY, "{}"),
        ],
        start=2,
    ):
        await host.call(*command)
        assert (await host.lifetime(KEY))["version"] == count, command
    await host.call("MODEL.GET", KEY)
    assert (await host.lifetime(KEY))["version"] == 13


async def test_command_names_and_options_are_read_in_any_case(host: Host) -> None:
    assert await host.call("model.create", KEY, "1", "nx") == b"OK"
    assert await host.call("Model.Ttl", "get", "absent") is None
