"""Editing a document on any host has the outcome of editing the same value in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _hosts import CommandFailed, Host

KEY = "Doc:1"
Step: TypeAlias = "str | int"
Steps = tuple[Step, ...]
Edit: TypeAlias = "tuple[str, Steps, Any]"

names = st.sampled_from(["a", "b", "a.b", 'quo"te', "é", ""])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(-1e9, 1e9),
    st.text(st.characters(codec="utf-8"), max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
paths = st.lists(st.one_of(names, st.integers(-3, 3)), max_size=3).map(tuple)
edits: st.SearchStrategy[Edit] = st.one_of(
    st.tuples(st.just("SET"), paths, values),
    st.tuples(st.just("APPEND"), paths, values),
    st.tuples(st.just("POP"), paths, st.one_of(st.none(), names, st.integers(-3, 3))),
    st.tuples(st.just("INCRBY"), paths, st.one_of(st.integers(-(10**30), 10**30), st.floats(-1e9, 1e9))),
)


class Refused(Exception):
    """What Python cannot do either."""


def look_up(value: Any, steps: Steps) -> Any:
    for step in steps:
        container: Any = dict if isinstance(step, str) else list
        if not isinstance(value, container):
            raise Refused
        try:
            value = value[step]
        except (KeyError, IndexError):
            raise Refused from None
    return value


def set_at(document: Any, steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    *above, last = steps
    parent = look_up(document, tuple(above))
    if not (isinstance(last, str) and isinstance(parent, dict)):
        look_up(parent, (last,))
    parent[last] = value
    return document


def append(document: Any, steps: Steps, value: Any) -> Any:
    target = look_up(document, steps)
    if isinstance(target, list):
        target.append(value)
        return document
    if isinstance(target, str) and isinstance(value, str):
        return set_at(document, steps, target + value)
    raise Refused


def pop(document: Any, steps: Steps, which: Step | None) -> Any:
    target = look_up(document, steps)
    if isinstance(target, list) and not isinstance(which, str):
        at = -1 if which is None else which
        if -len(target) <= at < len(target):
            del target[at]
    elif isinstance(target, dict) and not isinstance(which, int):
        if which is None and target:
            target.popitem()
        elif which is not None:
            target.pop(which, None)
    else:
        raise Refused
    return document


def increase(document: Any, steps: Steps, by: float) -> Any:
    target = look_up(document, steps)
    if isinstance(target, bool) or not isinstance(target, int | float):
        raise Refused
    return set_at(document, steps, target + by)


IN_PYTHON: dict[str, Callable[[Any, Steps, Any], Any]] = {
    "SET": set_at,
    "APPEND": append,
    "POP": pop,
    "INCRBY": increase,
}


def path_text(steps: Steps) -> str:
    return "$" + "".join(f"[{json.dumps(step)}]" for step in steps)


def words(edit: Edit) -> list[str]:
    name, steps, argument = edit
    last = [] if name == "POP" and argument is None else [json.dumps(argument)]
    return [f"MODEL.{name}", KEY, path_text(steps), *last]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values, st.lists(edits, max_size=12))
async def test_a_document_edited_by_commands_is_the_value_edited_in_python(
    host: Host, document: Any, sequence: list[Edit]
) -> None:
    await host.call("MODEL.CREATE", KEY, json.dumps(document))
    for edit in sequence:
        name, steps, argument = edit
        expected: Any = json.loads(json.dumps(document))
        try:
            expected = IN_PYTHON[name](expected, steps, argument)
        except Refused:
            expected = document
        try:
            await host.call(*words(edit))
        except CommandFailed:
            assert expected == document, edit
        stored = await host.call("MODEL.GET", KEY)
        assert isinstance(stored, bytes)
        assert json.dumps(json.loads(stored)) == json.dumps(expected), edit
        document = expected
