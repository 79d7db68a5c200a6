"""MODEL.CALC and MODEL.INCRBY: what Python computes, on every host."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from _hosts import CommandFailed, Host

KEY = "Doc:1"
DIGITS = 4300
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "MUL": operator.mul,
    "DIV": operator.truediv,
    "FLOORDIV": operator.floordiv,
    "MOD": operator.mod,
    "POW": operator.pow,
}

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
integers = st.integers(-(10**6), 10**6) | st.integers(-(2**70), 2**70) | st.integers(-(10**320), 10**320)
floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(integers, floats, st.sampled_from([0, 0.0, -0.0, 1, -1, 0.5, 5e-324, 2.0**53]))


async def create(host: Host, value: object) -> None:
    await host.call("MODEL.CREATE", KEY, json.dumps({"v": value, "w": 1}))


async def calc(host: Host, *words: str | int) -> object:
    """The value as it is after the operation, which must answer just that."""
    reply = await host.call("MODEL.CALC", KEY, "$.v", *words)
    assert isinstance(reply, bytes)
    assert await host.call("MODEL.GET_RO", KEY) == b'{"v":' + reply + b',"w":1}'
    return json.loads(reply)


def same(left: object, right: object) -> bool:
    """Whether two numbers are of one type and, zeros told apart, of one value."""
    return type(left) is type(right) and repr(left) == repr(right)


def computed(compute: Callable[[Any, Any], Any], left: object, right: object) -> object:
    """What Python makes of it; None where that is no number that a document can hold."""
    try:
        result = compute(left, right)
    except (ZeroDivisionError, OverflowError):
        return None
    if isinstance(result, complex) or (isinstance(result, float) and not math.isfinite(result)):
        return None
    return result


class TestNumbers:
    @many
    @given(left=numbers, right=numbers, name=st.sampled_from(["MUL", "DIV", "FLOORDIV", "MOD"]))
    @example(left=2**53 + 1, right=1, name="DIV")
    @example(left=0, right=-5, name="DIV")
    @example(left=10**320, right=10**12 + 1, name="DIV")
    @example(left=1, right=10**320, name="DIV")
    @example(left=10**320, right=1.5, name="MUL")
    @example(left=1e308, right=1e-10, name="FLOORDIV")
    @example(left=-1e-300, right=1e300, name="MOD")
    @example(left=6.0, right=-3, name="MOD")
    async def test_the_result_is_pythons(self, host: Host, left: float, right: float, name: str) -> None:
        await self.compare(host, left, right, name)

    @many
    @given(left=numbers, right=st.integers(-40, 90) | floats | st.sampled_from([0.5, -0.5, 3.0, 1 / 3]))
    @example(left=-8, right=1 / 3)
    @example(left=0, right=-1)
    @example(left=-0.0, right=-1)
    @example(left=-0.0, right=3)
    @example(left=-1, right=10**300)
    @example(left=0, right=0)
    @example(left=2, right=-(10**400))
    @example(left=10, right=400.0)
    async def test_so_is_a_power(self, host: Host, left: float, right: float) -> None:
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > 14_000:
            return
        await self.compare(host, left, right, "POW")

    async def compare(self, host: Host, left: float, right: float, name: str) -> None:
        await create(host, left)
        expected = computed(OPERATIONS[name], left, right)
        if expected is not None:
            found = await calc(host, name, json.dumps(right))
            assert same(found, expected), f"{left} {name} {right}: {found}"
            return
        before = await host.state(KEY)
        refusal = await host.refused("MODEL.CALC", KEY, "$.v", name, json.dumps(right))
        assert refusal.startswith("OUTOFRANGE ")
        assert await host.state(KEY) == before

    @many
    @given(left=numbers, right=numbers)
    @example(left=0, right=-0.0)
    @example(left=10**320, right=0.5)
    async def test_incrby_adds_as_python(self, host: Host, left: float, right: float) -> None:
        await create(host, left)
        expected = computed(operator.add, left, right)
        if expected is None:
            refusal = await host.refused("MODEL.INCRBY", KEY, "$.v", json.dumps(right))
            assert refusal.startswith("OUTOFRANGE ")
            return
        reply = await host.call("MODEL.INCRBY", KEY, "$.v", json.dumps(right))
        assert isinstance(reply, bytes)
        assert same(json.loads(reply), expected)

    async def test_the_integer_minus_zero_is_zero(self, host: Host) -> None:
        for words, expected in (
            (("MODEL.INCRBY", KEY, "$", "-0.0"), b"0.0"),
            (("MODEL.CALC", KEY, "$", "MUL", "1.0"), b"0.0"),
            (("MODEL.CALC", KEY, "$", "DIV", "1"), b"0.0"),
        ):
            await host.call("MODEL.CREATE", KEY, "-0")
            assert await host.call(*words) == expected

    @pytest.mark.parametrize(
        ("left", "words"),
        [
            (10 ** (DIGITS - 1), ("MUL", "10")),
            (10**2200, ("MUL", str(10**2200))),
            (10, ("POW", str(DIGITS))),
            (2, ("POW", str(10**18))),
            (2, ("POW", str(10**4000))),
            (-(10 ** (DIGITS - 1)), ("POW", "2")),
        ],
    )
    async def test_more_than_4300_digits_are_refused_before_they_are_computed(
        self, host: Host, left: int, words: tuple[str, ...]
    ) -> None:
        await create(host, left)
        before = await host.state(KEY)
        refusal = await host.refused("MODEL.CALC", KEY, "$.v", *words)
        assert refusal == "LIMIT the result would have more than 4300 digits"
        assert await host.state(KEY) == before

    async def test_4300_digits_are_computed(self, host: Host) -> None:
        await create(host, 10 ** (DIGITS // 2 - 1))
        assert await calc(host, "MUL", str(10 ** (DIGITS // 2))) == 10 ** (DIGITS - 1)
        assert await calc(host, "FLOORDIV", "-7") == 10 ** (DIGITS - 1) // -7
        await create(host, 10)
        assert await calc(host, "POW", str(DIGITS - 1)) == 10 ** (DIGITS - 1)


class TestRepeat:
    @many
    @given(
        value=st.text(max_size=6) | st.lists(st.sampled_from([1, "a,b", [2], {"x": None}]), max_size=3),
        times=st.integers(-2, 5),
    )
    async def test_a_string_or_an_array_is_there_so_many_times(
        self, host: Host, value: str | list[object], times: int
    ) -> None:
        await create(host, value)
        assert await calc(host, "REPEAT", times) == value * times

    async def test_a_large_array_and_one_that_becomes_large(self, host: Host) -> None:
        value = [*range(2000), "text"]
        await create(host, value)
        assert await calc(host, "REPEAT", 3) == value * 3
        assert await calc(host, "REPEAT", 0) == []
        await create(host, [1, [2]])
        assert await calc(host, "REPEAT", 5000) == [1, [2]] * 5000

    @pytest.mark.parametrize("times", [10**8, 2**63, 10**30])
    async def test_what_would_not_fit_is_refused_before_it_is_made(self, host: Host, times: int) -> None:
        for value in ("a text", [1, 2, 3]):
            await create(host, value)
            before = await host.state(KEY)
            refusal = await host.refused("MODEL.CALC", KEY, "$.v", "REPEAT", times)
            assert refusal.startswith(
                "LIMIT the document would be too large: rapyer.max-document is 536870912 bytes; "
            )
            assert await host.state(KEY) == before
        assert await host.call("MODEL.CREATE", KEY, '{"v":"","w":1}') == b"OK"
        assert await calc(host, "REPEAT", times) == ""
        assert await calc(host, "REPEAT", -times) == ""


_dumped = TypeAdapter(datetime)
_zones = st.one_of(
    st.none(),
    st.just(timezone.utc),
    st.integers(-1439, 1439).filter(bool).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


class TestShift:
    @many
    @given(
        moment=st.datetimes(timezones=_zones),
        micros=st.integers(-(10**19), 10**19) | st.integers(-(10**12), 10**12),
    )
    @example(moment=datetime(1, 1, 1), micros=-1)  # noqa: DTZ001 - without a zone is a case
    @example(moment=datetime(9999, 12, 31, 23, 59, 59, 999999, timezone.utc), micros=1)
    @example(moment=datetime(2024, 2, 28, 23, 59, 59, 999999), micros=1)  # noqa: DTZ001 - the same
    async def test_a_date_time_moves_exactly(self, host: Host, moment: datetime, micros: int) -> None:
        text = _dumped.dump_python(moment, mode="json")
        await create(host, text)
        try:
            expected = _dumped.dump_python(moment + timedelta(microseconds=micros), mode="json")
        except OverflowError:
            before = await host.state(KEY)
            refusal = await host.refused("MODEL.CALC", KEY, "$.v", "SHIFT", micros)
            assert refusal == f"OUTOFRANGE '{micros}': the years of a date-time are 1 to 9999"
            assert await host.state(KEY) == before
            return
        assert await calc(host, "SHIFT", micros) == expected

    @many
    @given(
        moment=st.datetimes(datetime(1970, 1, 1), datetime(2220, 1, 1), timezones=st.just(timezone.utc)),  # noqa: DTZ001 - as hypothesis wants them
        micros=st.lists(st.integers(-(10**14), 10**14), min_size=1, max_size=5),
    )
    async def test_seconds_since_the_epoch_move_exactly(
        self, host: Host, moment: datetime, micros: list[int]
    ) -> None:
        await create(host, moment.timestamp())
        for by in micros:
            moment += timedelta(microseconds=by)
            assert await calc(host, "SHIFT", by) == moment.timestamp()

    @pytest.mark.parametrize(
        ("seconds", "micros"), [(-62_135_596_800, -1), (253_402_300_799, 10**6), (1e300, 0)]
    )
    async def test_seconds_since_the_epoch_stay_a_date_time(
        self, host: Host, seconds: float, micros: int
    ) -> None:
        await create(host, seconds)
        refusal = await host.refused("MODEL.CALC", KEY, "$.v", "SHIFT", micros)
        assert refusal == f"OUTOFRANGE '{micros}': the years of a date-time are 1 to 9999"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2024-01-01T00:00:00+00:00", "2024-01-01T00:00:01+00:00"),
            ("2024-01-01 00:00:00.25z", "2024-01-01T00:00:01.250000z"),
            ("2024-01-01T00:00-05:30", "2024-01-01T00:00:01-05:30"),
        ],
    )
    async def test_the_zone_stays_as_it_is_written(self, host: Host, text: str, expected: str) -> None:
        await create(host, text)
        assert await calc(host, "SHIFT", 1_000_000) == expected

    @pytest.mark.parametrize(
        "value",
        ["2024-01-01", "12:00", "2024-02-30T00:00:00Z", "", "now", True, None, ["2024-01-01T00:00:00"]],
    )
    async def test_anything_else_does_not_move(self, host: Host, value: object) -> None:
        await create(host, value)
        refusal = await host.refused("MODEL.CALC", KEY, "$.v", "SHIFT", 1)
        assert refusal.startswith("BADTYPE path '$.v' holds ")
        assert refusal.endswith(", the command needs a date-time, ISO 8601 or a number")


DOCUMENT = '{"n":6,"f":1.5,"text":"ab","list":[1],"map":{},"flag":true,"none":null}'


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("$.n", "MUL", "x"), "BADJSON "),
        (("$.n", "MUL", '"2"'), "BADARG "),
        (("$.n", "MUL", "true"), "BADARG "),
        (("$.n", "ADD", "2"), "BADARG 'ADD': an operation is one of MUL, DIV, "),
        (("$.n", "MUL", "2", "MUL"), "BADARG 'MUL': not an option of this command"),
        (("$.text", "MUL", "2"), "BADTYPE "),
        (("$.flag", "MUL", "2"), "BADTYPE "),
        (("$.none", "POW", "2"), "BADTYPE "),
        (("$.list", "DIV", "2"), "BADTYPE "),
        (("$", "MOD", "2"), "BADTYPE "),
        (("$.n", "REPEAT", "2"), "BADTYPE "),
        (("$.map", "REPEAT", "2"), "BADTYPE "),
        (("$.text", "REPEAT", "2.0"), "BADARG "),
        (("$.text", "SHIFT", "1"), "BADTYPE "),
        (("$.text", "SHIFT", "1.5"), "BADARG "),
        (("$.n", "DIV", "0"), "OUTOFRANGE '0': nothing is divided by zero"),
        (("$.f", "MOD", "-0.0"), "OUTOFRANGE '0': nothing is divided by zero"),
        (("$.absent", "MUL", "2"), "NOPATH "),
        (("$.n.x", "MUL", "2"), "NOPATH "),
        (("n", "MUL", "2"), "BADPATH "),
        (("$.n", "MUL", "2", "IFVERSION", "9"), "STALE "),
    ],
)
async def test_bad_input_changes_and_refreshes_nothing(
    host: Host, words: tuple[str, ...], error: str
) -> None:
    await host.call("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000, "REFRESH", "ALL")
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    await host.pass_time(0.003)
    before = await host.state(KEY)
    assert (await host.refused("MODEL.CALC", KEY, *words)).startswith(error)
    assert await host.state(KEY) == before
    assert (await host.refused("MODEL.CALC", "Doc:none", "$.n", "MUL", "2")).startswith("NOKEY ")


async def test_in_a_batch_each_operation_sees_the_one_before(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, DOCUMENT)
    operations = [("$.n", "MUL", "7"), ("$.n", "POW", "2"), ("$.text", "REPEAT", "2"), ("$.n", "MOD", "-5")]
    words = [word for each in operations for word in ("5", "MODEL.CALC", KEY, *each)]
    assert await host.call("MODEL.EXEC", "1", KEY, *words) == [b"42", b"1764", b'"abab"', b"-1"]
    before = await host.state(KEY)
    with pytest.raises(CommandFailed, match=r"^OUTOFRANGE operation 2 \(MODEL.CALC\): "):
        await host.call("MODEL.EXEC", "1", KEY, *words[:6], "5", "MODEL.CALC", KEY, "$.n", "DIV", "0")
    assert await host.state(KEY) == before
