"""MODEL.MERGE: merge patches of RFC 7396, on every host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _hosts import Host

KEY = "Doc:1"

_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab"\\é', max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def merged(target: Any, patch: Any) -> Any:
    """The algorithm of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


async def merge(host: Host, target: Any, path: str, patch: Any) -> Any:
    await host.call("MODEL.CREATE", KEY, json.dumps(target))
    assert await host.call("MODEL.MERGE", KEY, path, json.dumps(patch)) == b"OK"
    text = await host.call("MODEL.GET_RO", KEY)
    assert isinstance(text, bytes)
    return json.loads(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=_values, patch=_values)
async def test_the_result_is_the_standards(host: Host, target: Any, patch: Any) -> None:
    assert await merge(host, target, "$", patch) == merged(target, patch)
    inside = {"x": [target], "y": 1}
    assert await merge(host, inside, "$.x[0]", patch) == {"x": [merged(target, patch)], "y": 1}
    assert await merge(host, {"y": 1}, "$.x", patch) == {"x": merged(None, patch), "y": 1}


async def test_a_large_object_is_merged_like_a_small_one(host: Host) -> None:
    target = {f"member {n}": {"n": n, "rest": "x" * 20} for n in range(5000)}
    patch = {f"member {n}": {"n": None, "new": n} if n % 2 else None for n in range(0, 5000, 7)}
    assert await merge(host, target, "$", patch) == merged(target, patch)


@pytest.mark.parametrize(
    ("path", "patch", "error"),
    [
        ("$.absent.x", "1", "NOPATH "),
        ("$.n.x", "1", "BADTYPE "),
        ("$", "{", "BADJSON "),
        ("$.deep", "[" * 128 + "]" * 128, "LIMIT "),
        ("$..n", "1", "BADPATH "),
    ],
)
async def test_bad_input_changes_nothing(host: Host, path: str, patch: str, error: str) -> None:
    await host.call("MODEL.CREATE", KEY, '{"n":1}')
    before = await host.state(KEY)
    assert (await host.refused("MODEL.MERGE", KEY, path, patch)).startswith(error)
    assert await host.state(KEY) == before
    assert (await host.refused("MODEL.MERGE", "Doc:none", "$", "{}")).startswith("NOKEY ")


async def test_a_value_that_is_expected_is_compared_by_its_meaning(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, '{"n":1.0,"list":[1,{"b":2,"a":"é"}]}')
    for path, value in (("$.n", "1"), ("$.list[1]", '{"a":"\\u00e9","b":2}'), ("$.list[-2]", "1e0")):
        assert await host.call("MODEL.EXPECT", KEY, path, value) == b"OK"
    for path, value in (("$.n", "2"), ("$.n", '"1"'), ("$.list", "[1]"), ("$.none", "null")):
        assert await host.refused("MODEL.EXPECT", KEY, path, value) == (
            f"STALE the value at path '{path}' is not the expected one; read it again, then repeat"
        )
    assert (await host.refused("MODEL.EXPECT", "Doc:none", "$", "1")).startswith("NOKEY ")


async def test_a_batch_fails_with_what_it_expects(host: Host) -> None:
    await host.call("MODEL.CREATE", KEY, '{"list":[1,2]}')
    expecting = ["4", "MODEL.EXPECT", KEY, "$.list[-1]"]
    popping = ["3", "MODEL.POP", KEY, "$.list"]
    assert await host.call("MODEL.EXEC", "1", KEY, *expecting, "2", *popping) == [b"OK", b"2"]
    before = await host.state(KEY)
    refusal = await host.refused("MODEL.EXEC", "1", KEY, *popping, *expecting, "1")
    assert refusal.startswith("STALE operation 2 (MODEL.EXPECT): the value at path '$.list[-1]' is not")
    assert await host.state(KEY) == before
