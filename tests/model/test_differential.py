"""Random operations against plain Python: the same values, types, errors and lifetimes, on every host."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _hosts import EmbeddedHost, Host
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig
from rapyer.errors import KeyNotFound

R, F, C, U = ActionGroup.READ, ActionGroup.FETCH, ActionGroup.CREATE, ActionGroup.UPDATE
A, E, N = ActionGroup.APPEND, ActionGroup.ERASE, ActionGroup.ARITHMETIC
TTL = 1000
NEAR = 5


class Thing(AtomicRedisModel):
    n: int = 0
    ratio: float = 0.0
    text: str = ""
    items: list[int] = []
    names: dict[str, int] = {}


@dataclass
class Reference:
    """What plain Python makes of the same operations."""

    groups: ActionGroup
    fields: dict[str, Any] = field(default_factory=lambda: Thing().model_dump())
    now: float = 0.0
    deadline: float = TTL

    @property
    def alive(self) -> bool:
        return self.now < self.deadline

    def refresh(self, groups: ActionGroup) -> None:
        if groups & self.groups:
            self.deadline = self.now + TTL

    def save(self) -> None:
        if not self.alive:
            self.deadline = self.now + TTL
        self.refresh(C | U)


@dataclass(frozen=True)
class Step:
    """One operation, done to a model and to a dict of its fields."""

    name: str
    groups: ActionGroup
    to_model: Callable[[Any], Any]
    to_fields: Callable[[dict[str, Any]], Any]

    def __repr__(self) -> str:
        return self.name


def _add(fields: dict[str, Any], name: str, amount: float) -> Any:
    fields[name] += amount
    return fields[name]


def _put(container: Any, key: Any, value: Any) -> Any:
    container[key] = value


def _append(items: list[int], value: int, maxlen: int | None, unique: bool) -> int:
    if not unique or value not in items:
        items.append(value)
    if maxlen is not None:
        del items[: max(0, len(items) - maxlen)]
    return len(items)


def _pop(items: list[int], index: int) -> Any:
    return items.pop(index) if items or index not in (0, -1) else None


def _cut(items: list[int], start: int, stop: int) -> int:
    before = len(items)
    del items[start:stop]
    return before - len(items)


def _remove(items: list[int], value: int) -> bool:
    found = value in items
    if found:
        items.remove(value)
    return found


def _clear(container: Any) -> int:
    count = len(container)
    container.clear()
    return count


ints = st.integers(-(2**70), 2**70)
small = st.integers(-3, 3)
keys = st.sampled_from(["a", "b", "a.b", "", 'q"[0]', "\U0001f600"])
floats = st.floats(-1e9, 1e9, allow_nan=False)

steps = st.one_of(
    st.builds(
        lambda v: Step(f"n += {v}", U | N, lambda m: m.n.aincrease(v), lambda f: _add(f, "n", v)),
        ints,
    ),
    st.builds(
        lambda v: Step(f"ratio += {v}", U | N, lambda m: m.ratio.aincrease(v), lambda f: _add(f, "ratio", v)),
        floats,
    ),
    st.builds(
        lambda v, most, unique: Step(
            f"append {v} {most} {unique}",
            U | A,
            lambda m: m.items.aappend(v, maxlen=most, unique=unique),
            lambda f: _append(f["items"], v, most, unique),
        ),
        small,
        st.none() | st.integers(1, 4),
        st.booleans(),
    ),
    st.builds(
        lambda i, v: Step(
            f"insert {i} {v}",
            U | A,
            lambda m: m.items.ainsert(i, v),
            lambda f: (f["items"].insert(i, v), len(f["items"]))[1],
        ),
        small,
        small,
    ),
    st.builds(
        lambda i: Step(f"pop {i}", R | U | E, lambda m: m.items.apop(i), lambda f: _pop(f["items"], i)), small
    ),
    st.builds(
        lambda v: Step(f"remove {v}", U | E, lambda m: m.items.aremove(v), lambda f: _remove(f["items"], v)),
        small,
    ),
    st.builds(
        lambda a, b: Step(
            f"cut {a}:{b}", U | E, lambda m: m.items.aremove_range(a, b), lambda f: _cut(f["items"], a, b)
        ),
        small,
        small,
    ),
    st.builds(
        lambda k, v: Step(
            f"names[{k!r}] = {v}",
            U,
            lambda m: m.names.aupdate({k: v}),
            lambda f: _put(f["names"], k, v),
        ),
        keys,
        ints,
    ),
    st.builds(
        lambda k: Step(
            f"names.pop {k!r}", R | U | E, lambda m: m.names.apop(k), lambda f: f["names"].pop(k, None)
        ),
        keys,
    ),
    st.builds(
        lambda k: Step(
            f"del names[{k!r}]",
            U | E,
            lambda m: m.names.adel_item(k),
            lambda f: 0 if f["names"].pop(k, None) is None else 1,
        ),
        keys,
    ),
    st.just(Step("names.popitem", R | U | E, lambda m: m.names.apopitem(), lambda f: f["names"].popitem())),
    st.just(Step("items.clear", U | E, lambda m: m.items.aclear(), lambda f: _clear(f["items"]))),
    st.just(Step("names.clear", U | E, lambda m: m.names.aclear(), lambda f: _clear(f["names"]))),
    st.builds(
        lambda v: Step(f"text = {v!r}", U, lambda m: m.aupdate(text=v), lambda f: _put(f, "text", v)),
        st.text(max_size=3),
    ),
    st.just(Step("len", R, lambda m: m.items.alen(), lambda f: len(f["items"]))),
)
# What finds nothing to do answers so, and does not count as use.
_IDLE = {"pop": None, "remove": False, "cut": 0, "names.pop": None, "del": 0}

programs = st.lists(
    st.one_of(
        steps,
        st.lists(steps, min_size=1, max_size=4),
        st.sampled_from([300.0, 999.0, 1001.0]),
        st.just("save"),
        st.just("load"),
    ),
    max_size=12,
)
policies = st.sampled_from([ActionGroup.all(for_ttl=True), ActionGroup(0), R, F, C | A, U, E, N])


async def outcome(act: Callable[[], Any]) -> Any:
    """A result, or the kind of error."""
    try:
        result = act()
        return await result if hasattr(result, "__await__") else result
    except (KeyNotFound, IndexError, KeyError) as error:
        return next(kind for kind in (KeyNotFound, IndexError, KeyError) if isinstance(error, kind))


def is_idle(step: Step, result: Any) -> bool:
    if isinstance(result, type):
        return True
    word = step.name.split(" ", 1)[0]
    return (
        word in _IDLE and result is not True and result == _IDLE[word] and type(result) is type(_IDLE[word])
    )


async def check(host: Host, thing: Any, reference: Reference) -> None:
    text = await host.call("MODEL.GET_RO", thing.key)
    if not reference.alive:
        assert text is None
        return
    assert isinstance(text, bytes)
    found = json.loads(text)
    assert found == reference.fields
    assert [type(value) for value in found.values()] == [type(value) for value in reference.fields.values()]
    assert thing.model_dump() == reference.fields
    assert list(thing.names) == list(reference.fields["names"])
    left = await thing.attl()
    assert math.isclose(left, reference.deadline - reference.now, abs_tol=NEAR)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=programs, policy=policies)
async def test_a_model_is_what_plain_python_says(
    on_host: Host, program: list[Any], policy: ActionGroup
) -> None:
    Thing.Meta = RedisConfig(ttl=TTL, refresh_ttl=policy)
    thing: Any = await Thing().asave()
    reference = Reference(policy)
    for part in program:
        if isinstance(part, float):
            if isinstance(on_host, EmbeddedHost):
                await on_host.pass_time(part)
                reference.now += part
        elif part == "save":
            await thing.asave()
            reference.save()
        elif part == "load":
            assert (await outcome(thing.aload) is KeyNotFound) is not reference.alive
            if reference.alive:
                reference.refresh(R | F)
        elif isinstance(part, list):
            await transact(thing, reference, part)
        elif not reference.alive:
            result = await outcome(partial(part.to_model, thing))
            assert result in (KeyNotFound, 0), part
        else:
            expected = await outcome(partial(part.to_fields, reference.fields))
            assert await outcome(partial(part.to_model, thing)) == expected, part
            if not is_idle(part, expected):
                reference.refresh(part.groups)
        await check(on_host, thing, reference)
    Thing.Meta = RedisConfig()


async def transact(thing: Any, reference: Reference, steps: list[Step]) -> None:
    before, fields = copy.deepcopy(reference.fields), reference.fields
    expected = [await outcome(partial(step.to_fields, fields)) for step in steps]
    errors = [result for result in expected if isinstance(result, type)]
    if not reference.alive or errors:
        reference.fields = before
        with pytest.raises((KeyNotFound, *errors)):
            async with thing.apipeline():
                for step in steps:
                    await step.to_model(thing)
        if reference.alive:
            # Entering has read it.
            reference.refresh(R | F)
        return
    async with thing.apipeline():
        results = [await step.to_model(thing) for step in steps]
    assert results == expected
    reference.refresh(R | F)
    for step, result in zip(steps, expected, strict=True):
        if not is_idle(step, result):
            reference.refresh(step.groups)
