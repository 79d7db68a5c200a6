"""Random operations against plain Python: the same values, types, errors and lifetimes, on every host.

Two copies of a model take turns, as two processes do: what one of them missed must not be undone by it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import rapyer
from _hosts import EmbeddedHost, Host
from _package import unsaved
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig
from rapyer.errors import KeyNotFound
from rapyer.types import PriorityQueueItem, RedisPriorityQueue

R, F, C, U = ActionGroup.READ, ActionGroup.FETCH, ActionGroup.CREATE, ActionGroup.UPDATE
A, E, N = ActionGroup.APPEND, ActionGroup.ERASE, ActionGroup.ARITHMETIC
TTL = 1000
NEAR = 5


class Part(BaseModel):
    n: int = 0
    tags: list[str] = []


class Thing(AtomicRedisModel):
    n: int = 0
    ratio: float = 0.0
    text: str = ""
    data: bytes = b""
    moment: datetime = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    items: list[int] = [1, 2, 1]
    names: dict[str, int] = {"a": 1, "b": 2}
    members: set[int] = {1, 2}
    part: Part = Part()
    parts: list[Part] = [Part(), Part(n=1)]
    maybe: list[int] | None = None
    queue: RedisPriorityQueue[str] = RedisPriorityQueue()


FIELDS = list(Thing.model_fields)


@dataclass
class Reference:
    """What plain Python makes of the same operations."""

    groups: ActionGroup
    fields: dict[str, Any] = field(default_factory=lambda: plain(Thing()))
    now: float = 0.0
    deadline: float = TTL

    @property
    def alive(self) -> bool:
        return self.now < self.deadline

    def refresh(self, groups: ActionGroup) -> None:
        if self.alive and groups & self.groups:
            self.deadline = self.now + TTL

    def save(self) -> None:
        if not self.alive:
            self.deadline = self.now + TTL
        self.refresh(C | U)


class View:
    """The members of a dict as attributes, as those of a model are."""

    def __init__(self, fields: dict[str, Any]) -> None:
        object.__setattr__(self, "fields", fields)

    def __getattr__(self, name: str) -> Any:
        value = self.fields[name]
        return View(value) if name == "part" else value

    def __setattr__(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def __deepcopy__(self, memo: Any) -> View:
        return View(copy.deepcopy(self.fields, memo))


@dataclass(frozen=True)
class Step:
    """One operation, done to a model and to a dict of its fields."""

    name: str
    groups: ActionGroup
    to_model: Callable[[Any], Any]
    to_fields: Callable[[dict[str, Any]], Any]

    def __repr__(self) -> str:
        return self.name

    @property
    def field(self) -> str:
        """The field it is about."""
        word = self.name.split(" ")[-1 if self.name.startswith("del ") else 0]
        names = {"add": "members", "discard": "members"}
        return names.get(word) or next(
            (name for name in FIELDS if word.split("[")[0].split(".")[0] == name), "items"
        )


@dataclass(frozen=True)
class Statement:
    """One statement of Python's, about `d` and `v`."""

    text: str
    value: Any

    def run(self, thing: Any) -> None:
        def new_part(n: int) -> Any:
            return View(Part(n=n).model_dump()) if isinstance(thing, View) else Part(n=n)

        exec(self.text, {"d": thing, "v": copy.copy(self.value), "Part": new_part})


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


def _unpush(queue: list[tuple[float, str]], value: str) -> bool:
    before = len(queue)
    queue[:] = [pair for pair in queue if pair[1] != value]
    return len(queue) < before


def _push(queue: list[tuple[float, str]], value: str, priority: int) -> bool:
    known = _unpush(queue, value)
    queue.append((float(priority), value))
    queue.sort(key=lambda pair: pair[0])
    return not known


def _pop_first(queue: list[tuple[float, str]]) -> PriorityQueueItem[str] | None:
    if not queue:
        return None
    priority, value = queue.pop(0)
    return PriorityQueueItem(value, priority)


ints = st.integers(-(2**70), 2**70)
small = st.integers(-3, 3)
keys = st.sampled_from(["a", "b", "a.b", "", 'q"[0]', "\U0001f600"])
floats = st.integers(-1000, 1000).map(lambda number: number / 64)

changes = st.one_of(
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
)
changes_of_sets = st.one_of(
    st.builds(
        lambda v: Step(
            f"add {v}",
            U | A,
            lambda m: m.members.aadd_many(v),
            lambda f: len([f["members"].add(i) for i in v if i not in f["members"]]),
        ),
        st.sets(small, min_size=1),
    ),
    st.builds(
        lambda v: Step(
            f"discard {v}",
            U | E,
            lambda m: m.members.aremove(v),
            lambda f: v in f["members"] and f["members"].remove(v) is None,
        ),
        small,
    ),
    st.just(Step("members.clear", U | E, lambda m: m.members.aclear(), lambda f: _clear(f["members"]))),
)
changes_of_queues = st.one_of(
    st.builds(
        lambda v, p: Step(
            f"queue.push {v} {p}", U | A, lambda m: m.queue.apush(v, p), lambda f: _push(f["queue"], v, p)
        ),
        st.sampled_from("abc"),
        st.integers(-2, 2),
    ),
    st.builds(
        lambda v: Step(
            f"queue.remove {v}", U | E, lambda m: m.queue.aremove(v), lambda f: _unpush(f["queue"], v)
        ),
        st.sampled_from("abc"),
    ),
    st.just(Step("queue.pop", R | U | E, lambda m: m.queue.apop(), lambda f: _pop_first(f["queue"]))),
    st.just(Step("queue.clear", U | E, lambda m: m.queue.aclear(), lambda f: _clear(f["queue"]))),
)
changes = changes | changes_of_sets | changes_of_queues

spans = st.builds(timedelta, microseconds=st.integers(-(10**14), 10**14))
index = st.integers(-4, 3)
statements = st.one_of(
    st.tuples(st.just("d.n {}= v"), st.sampled_from(["+", "-", "*", "//", "%", "|", "<<"]), small),
    st.tuples(st.just("d.n **= v"), st.none(), st.integers(0, 3)),
    st.tuples(st.just("d.ratio {}= v"), st.sampled_from(["+", "-", "*", "/", "//", "%"]), floats),
    st.tuples(st.just("d.text += v"), st.none(), st.text(max_size=2)),
    st.tuples(st.just("d.text *= v"), st.none(), small),
    st.tuples(st.just("d.data += v"), st.none(), st.binary(max_size=4)),
    st.tuples(st.just("d.moment {}= v"), st.sampled_from(["+", "-"]), spans),
    st.tuples(st.just("d.items.{}(v)"), st.sampled_from(["append", "remove", "pop"]), small),
    st.tuples(st.just("d.items{}"), st.sampled_from([".sort()", ".reverse()", ".clear()"]), st.none()),
    st.tuples(st.just("d.items[{}] = v"), index, ints),
    st.tuples(st.just("d.items[{}] += v"), index, ints),
    st.tuples(st.just("d.items.insert({}, v)"), index, small),
    st.tuples(st.just("d.items[:{}] = [v, v]"), index, small),
    st.tuples(st.just("del d.items[v]"), st.none(), index),
    st.tuples(st.just("d.items {}= [v]"), st.just("+"), small),
    st.tuples(st.just("d.items *= v"), st.none(), st.integers(0, 2)),
    st.tuples(st.just("d.names[v] = 7"), st.none(), keys),
    st.tuples(st.just("d.names[v] *= 3"), st.none(), keys),
    st.tuples(st.just("d.names.pop(v)"), st.none(), keys),
    st.tuples(st.just("d.names.setdefault(v, 9)"), st.none(), keys),
    st.tuples(st.just("d.names.update({{v: 5, 'z': 6}})"), st.none(), keys),
    st.tuples(st.just("d.names.popitem()"), st.none(), st.none()),
    st.tuples(st.just("del d.names[v]"), st.none(), keys),
    st.tuples(st.just("d.members.{}(v)"), st.sampled_from(["add", "discard", "remove"]), small),
    st.tuples(st.just("d.members {}= v"), st.sampled_from(["|", "&", "-", "^"]), st.sets(small)),
    st.tuples(st.just("d.part.n {}= v"), st.sampled_from(["+", "*"]), ints),
    st.tuples(st.just("d.part.tags.append(v)"), st.none(), st.text(max_size=2)),
    st.tuples(st.just("d.parts[{}].n += v"), index, small),
    st.tuples(st.just("d.parts[{}].tags.append('t')"), index, st.none()),
    st.tuples(st.just("d.parts[{}] = Part(v)"), index, small),
    st.tuples(st.just("d.parts.append(Part(v))"), st.none(), small),
    st.tuples(st.just("d.parts.insert({}, Part(v))"), index, small),
    st.tuples(st.just("d.parts.pop(v)"), st.none(), index),
    st.tuples(st.just("d.parts.reverse()"), st.none(), st.none()),
    st.tuples(st.just("d.maybe = v"), st.none(), st.none() | st.lists(small)),
    st.tuples(st.just("d.maybe.append(v)"), st.none(), small),
).map(lambda drawn: Statement(drawn[0].format(drawn[1]), drawn[2]))
# Reading sees the server, in a transaction too: it is no part of one.
reads = st.just(Step("len", R, lambda m: m.items.alen(), lambda f: len(f["items"])))
# What finds nothing to do answers so, and does not count as use.
_IDLE = {
    "pop": None,
    "remove": False,
    "cut": 0,
    "names.pop": None,
    "del": 0,
    "items.clear": 0,
    "names.clear": 0,
    "members.clear": 0,
    "discard": False,
    "queue.remove": False,
    "queue.pop": None,
    "queue.clear": 0,
}

programs = st.lists(
    st.one_of(
        st.sampled_from([300.0, 999.0, 1001.0]),
        st.tuples(
            st.integers(0, 1),
            st.one_of(
                changes,
                reads,
                st.lists(changes, min_size=1, max_size=4),
                st.tuples(
                    st.sampled_from(["transaction", "block", "save"]),
                    st.lists(statements, min_size=1, max_size=5),
                ),
                st.just("save"),
                st.just("load"),
                index,
            ),
        ),
    ),
    min_size=10,
    max_size=40,
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


def typed(value: Any) -> Any:
    """A value that tells 1 from True and 1.0."""
    if isinstance(value, View):
        return typed(value.fields)
    if isinstance(value, dict):
        return [(key, typed(item)) for key, item in value.items()]
    if isinstance(value, (list, set)):
        items = [typed(item) for item in value]
        return type(value).__name__, sorted(items, key=repr) if isinstance(value, set) else items
    return type(value).__name__, value


class Run:
    """Two copies of a document, and what plain Python says it is."""

    def __init__(self, host: Host, policy: ActionGroup, thing: Thing, other: Thing) -> None:
        self.host = host
        self.copies = (thing, other)
        self.fresh = {0, 1}
        """The copies that have missed nothing."""
        self.reference = Reference(policy)

    def changed_by(self, copy_: int) -> None:
        self.fresh &= {copy_}

    async def step(self, at: int, part: Any) -> None:
        thing: Any = self.copies[at]
        if isinstance(part, int):
            await self.count_in_element(at, part)
        elif part == "save":
            await self.save(at)
        elif part == "load":
            await self.load(at)
        elif isinstance(part, list):
            await self.awaited_transaction(at, part)
        elif isinstance(part, tuple) and len(part) == 3:
            await self.leave_unsaved(at, *part)
        elif isinstance(part, tuple):
            how, statements = part
            if how == "save":
                await self.edit(at, statements)
            elif how == "transaction" or (at in self.fresh and self.reference.alive):
                await self.transaction(at, statements, loads=how == "transaction")
        elif not self.reference.alive:
            result = await outcome(partial(part.to_model, thing))
            assert result in (KeyNotFound, 0), part
        else:
            expected = await outcome(partial(part.to_fields, self.reference.fields))
            assert await outcome(partial(part.to_model, thing)) == expected, part
            if not is_idle(part, expected):
                self.reference.refresh(part.groups)
            self.changed_by(at)

    async def count_in_element(self, at: int, index: int) -> None:
        parts, elements = self.reference.fields["parts"], self.copies[at].parts
        if at in self.fresh and self.reference.alive and -len(parts) <= index < len(parts):
            parts[index].n += 1
            assert await elements[index].n.aincrease() == parts[index].n  # type: ignore[attr-defined]
            self.reference.refresh(U | N)
            self.changed_by(at)

    async def save(self, at: int) -> None:
        """Nothing was changed here only, so nothing is written; but what is gone is there again."""
        thing = self.copies[at]
        if not self.reference.alive:
            self.reference.fields = plain(thing)
            self.fresh = {at}
        await thing.asave()
        self.reference.save()

    async def load(self, at: int) -> None:
        assert (await outcome(self.copies[at].aload) is KeyNotFound) is not self.reference.alive
        if self.reference.alive:
            self.reference.refresh(R | F)
            self.fresh.add(at)

    async def edit(self, at: int, statements: list[Statement]) -> None:
        """Loads, changes and saves."""
        await self.load(at)
        if not self.reference.alive:
            return
        fields = copy.deepcopy(self.reference.fields)
        for statement in statements:
            expected = failure(statement, View(fields))
            assert failure(statement, self.copies[at]) == expected, statement
        self.reference.fields = fields
        await self.copies[at].asave()
        self.reference.save()
        self.changed_by(at)

    async def leave_unsaved(
        self, at: int, statements: list[Statement], steps: list[tuple[int, Step]], end: str | list[Statement]
    ) -> None:
        """Loads and changes, and only saves after both copies have worked on other fields.

        Before, there may be a transaction, about what has changed here as well.
        """
        await self.load(at)
        if not self.reference.alive:
            return
        thing: Any = self.copies[at]
        fields = copy.deepcopy(self.reference.fields)
        for statement in statements:
            assert failure(statement, thing) == failure(statement, View(fields)), statement
        unsaved = {name for name in fields if typed(fields[name]) != typed(self.reference.fields[name])}
        members = self.reference.fields["members"].copy()
        added, removed = fields["members"] - members, members - fields["members"]
        for who, step in steps:
            if step.field not in unsaved or (step.field == "members" and who != at):
                await self.step(who, step)
        # A set is no unsaved value, but has unsaved additions and removals.
        fields["members"] = (self.reference.fields["members"] | added) - removed
        if end == "load":
            await self.load(at)
            unsaved = set()
        fields = self.reference.fields | {name: fields[name] for name in unsaved}
        if isinstance(end, list):
            async with thing.apipeline():
                for statement in end:
                    if failure(statement, View(copy.deepcopy(fields))) is None:
                        statement.run(View(fields))
                        statement.run(thing)
            self.reference.refresh(ActionGroup.all())
            assert typed(plain(thing)) == typed(fields)
        self.reference.fields = fields
        await thing.asave()
        self.reference.save()
        left = await thing.attl()
        assert left is not None
        self.reference.deadline = self.reference.now + left
        self.fresh = set() if end == "save" else {at}

    async def transaction(self, at: int, statements: list[Statement], loads: bool) -> None:
        thing: Any = self.copies[at]
        block = thing.apipeline if loads else rapyer.apipeline
        looked = R | F if loads else ActionGroup(0)
        fields = copy.deepcopy(self.reference.fields)
        failures = [error for statement in statements if (error := failure(statement, View(fields)))][:1]
        if not self.reference.alive or failures:
            with pytest.raises((KeyNotFound, *failures)):
                async with block():
                    for statement in statements:
                        statement.run(thing)
            self.reference.refresh(looked)
            return
        async with block():
            for statement in statements:
                statement.run(thing)
        self.reference.fields = fields
        self.reference.refresh(looked)
        if self.reference.groups & (U | A | E | N) and await thing.attl() > TTL - NEAR:
            # Whether each one is recorded, and under which groups, is for the matrix of in-place changes.
            self.reference.deadline = self.reference.now + TTL
        self.fresh = {at}

    async def awaited_transaction(self, at: int, steps: list[Step]) -> None:
        thing: Any = self.copies[at]
        before, fields = copy.deepcopy(self.reference.fields), self.reference.fields
        expected = [await outcome(partial(step.to_fields, fields)) for step in steps]
        errors = [result for result in expected if isinstance(result, type)]
        if not self.reference.alive or errors:
            self.reference.fields = before
            with pytest.raises((KeyNotFound, *errors)):
                async with thing.apipeline():
                    for step in steps:
                        await step.to_model(thing)
            # Entering has read it.
            self.reference.refresh(R | F)
            return
        async with thing.apipeline():
            results = [await step.to_model(thing) for step in steps]
        assert results == expected
        self.reference.refresh(R | F)
        for step, result in zip(steps, expected, strict=True):
            if not is_idle(step, result):
                self.reference.refresh(step.groups)
        self.fresh = {at}

    async def check(self) -> None:
        for one in self.copies:
            assert unsaved(one) == [], "nothing is left to save"
        thing = self.copies[0]
        text = await self.host.call("MODEL.GET_RO", thing.key)
        if not self.reference.alive:
            assert text is None
            return
        assert isinstance(text, bytes)
        expected = typed(self.reference.fields)
        assert typed(plain(Thing.__rapyer_codec__.load(text))) == expected
        for at in self.fresh:
            assert typed(plain(self.copies[at])) == expected
        left = await thing.attl()
        assert left is not None
        assert math.isclose(left, self.reference.deadline - self.reference.now, abs_tol=NEAR)


def plain(thing: Thing) -> dict[str, Any]:
    fields = copy.deepcopy(thing.model_dump())
    return fields | {"parts": [View(part) for part in fields["parts"]]}


def failure(statement: Statement, thing: Any) -> type[Exception] | None:
    try:
        statement.run(thing)
    except Exception as error:
        return type(error)
    return None


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=programs, policy=policies)
async def test_a_model_is_what_plain_python_says(
    on_host: Host, program: list[Any], policy: ActionGroup
) -> None:
    Thing.Meta = RedisConfig(ttl=TTL, refresh_ttl=policy)
    thing = await Thing().asave()
    run = Run(on_host, policy, thing, await Thing.aget(thing.key))
    for part in program:
        if not isinstance(part, float):
            await run.step(*part)
        elif isinstance(on_host, EmbeddedHost):
            await on_host.pass_time(part)
            run.reference.now += part
        await run.check()
    Thing.Meta = RedisConfig()
