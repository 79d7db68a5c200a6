"""Every way Python has to change a value in place, against what all of them promise, on every host.

The ways are read from Python's own types: a method or operator that changes one, and has no row here, fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel

import rapyer
from _hosts import Host
from _package import moves_deadline
from rapyer import ActionGroup, AtomicRedisModel, RedisConfig
from rapyer.errors import KeyNotFound, PathNotFoundError, StaleModelError
from rapyer.types import RedisDatetimeTimestamp

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))


class Part(BaseModel):
    n: int = 0
    tags: list[str] = []


class Doc(AtomicRedisModel):
    n: int = 7
    ratio: float = 2.5
    word: str = "ab"
    data: bytes = b"ab"
    moment: datetime = NOON
    stamp: RedisDatetimeTimestamp = RedisDatetimeTimestamp.fromtimestamp(1_770_000_000, timezone.utc)
    maybe: int | None = 1
    items: list[int] = [3, 1, 2]
    names: dict[str, int] = {"a": 1, "b": 2}
    members: set[str] = {"x"}
    part: Part = Part()
    parts: list[Part] = [Part()]
    other: str = ""


READ, UPDATE, APPEND = ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.APPEND
ERASE, ARITHMETIC = ActionGroup.ERASE, ActionGroup.ARITHMETIC
GROUPS: list[ActionGroup] = [
    group for group in ActionGroup.__members__.values() if group is not ActionGroup.DELETE
]

WAYS = {
    "d.n = 9": UPDATE,
    "d.n += 5": UPDATE | ARITHMETIC,
    "d.n -= 5": UPDATE | ARITHMETIC,
    "d.n *= 3": UPDATE | ARITHMETIC,
    "d.n /= 7": UPDATE,
    "d.n //= 2": UPDATE | ARITHMETIC,
    "d.n %= 4": UPDATE | ARITHMETIC,
    "d.n **= 2": UPDATE | ARITHMETIC,
    "d.n <<= 2": UPDATE,
    "d.n >>= 1": UPDATE,
    "d.n &= 5": UPDATE,
    "d.n |= 8": UPDATE,
    "d.n ^= 1": UPDATE,
    "d.ratio += 0.5": UPDATE | ARITHMETIC,
    "d.ratio -= 0.5": UPDATE | ARITHMETIC,
    "d.ratio *= 2": UPDATE | ARITHMETIC,
    "d.ratio /= 2": UPDATE | ARITHMETIC,
    "d.ratio //= 2": UPDATE | ARITHMETIC,
    "d.ratio %= 2": UPDATE | ARITHMETIC,
    "d.ratio **= 0.5": UPDATE | ARITHMETIC,
    "d.word += 'c'": UPDATE | APPEND,
    "d.word *= 2": UPDATE,
    "d.word %= ()": UPDATE,
    "d.data += b'c'": UPDATE | APPEND,
    "d.data *= 2": UPDATE,
    "d.data %= ()": UPDATE,
    "d.moment += HOUR": UPDATE | ARITHMETIC,
    "d.moment -= HOUR": UPDATE | ARITHMETIC,
    "d.stamp += HOUR": UPDATE | ARITHMETIC,
    "d.stamp -= HOUR": UPDATE | ARITHMETIC,
    "d.maybe = None": UPDATE,
    "d.maybe += 1": UPDATE | ARITHMETIC,
    "d.items = [9]": UPDATE,
    "d.items[0] = 9": UPDATE,
    "d.items[0] += 9": UPDATE | ARITHMETIC,
    "d.items[:1] = [8, 9]": UPDATE,
    "d.items += [4]": UPDATE | APPEND,
    "d.items *= 2": UPDATE,
    "del d.items[0]": UPDATE | ERASE,
    "d.items.append(4)": UPDATE | APPEND,
    "d.items.clear()": UPDATE | ERASE,
    "d.items.extend([4, 5])": UPDATE | APPEND,
    "d.items.insert(0, 9)": UPDATE | APPEND,
    "d.items.pop()": READ | UPDATE | ERASE,
    "d.items.remove(2)": UPDATE | ERASE,
    "d.items.remove_range(0, 1)": UPDATE | ERASE,
    "d.items.reverse()": UPDATE,
    "d.items.sort()": UPDATE,
    "d.names = {'z': 9}": UPDATE,
    "d.names['c'] = 3": UPDATE,
    "d.names['a'] += 3": UPDATE | ARITHMETIC,
    "del d.names['a']": UPDATE | ERASE,
    "d.names |= {'c': 3}": UPDATE,
    "d.names.clear()": UPDATE | ERASE,
    "d.names.pop('a')": READ | UPDATE | ERASE,
    "d.names.popitem()": READ | UPDATE | ERASE,
    "d.names.setdefault('c', 3)": UPDATE,
    "d.names.update(c=3)": UPDATE,
    "d.members = {'z'}": UPDATE,
    "d.members |= {'z'}": UPDATE | APPEND,
    "d.members &= {'z'}": UPDATE | ERASE,
    "d.members -= {'x'}": UPDATE | ERASE,
    "d.members ^= {'x', 'z'}": UPDATE | APPEND | ERASE,
    "d.members.add('z')": UPDATE | APPEND,
    "d.members.clear()": UPDATE | ERASE,
    "d.members.discard('x')": UPDATE | ERASE,
    "d.members.pop()": READ | UPDATE | ERASE,
    "d.members.remove('x')": UPDATE | ERASE,
    "d.members.update({'z'})": UPDATE | APPEND,
    "d.members.difference_update({'x'})": UPDATE | ERASE,
    "d.members.intersection_update({'z'})": UPDATE | ERASE,
    "d.members.symmetric_difference_update({'x', 'z'})": UPDATE | APPEND | ERASE,
    "d.part = Part(n=1)": UPDATE,
    "d.part.n = 1": UPDATE,
    "d.part.n += 1": UPDATE | ARITHMETIC,
    "d.part.tags.append('t')": UPDATE | APPEND,
    "d.parts[0].n += 1": UPDATE | ARITHMETIC,
    "d.update(n=1, word='w')": UPDATE,
}
"""What Python does, and the groups of the operations that are recorded for it."""

DOUBLES = {"d.n **= 2", "d.word *= 2"}
"""Twice as long each time."""
TOGGLES = {"d.members ^= {'x', 'z'}", "d.members.symmetric_difference_update({'x', 'z'})"}
"""Refused where others toggled first."""

each = pytest.mark.parametrize("way", WAYS)


def do(way: str, doc: Doc) -> None:
    exec(way, {"d": doc, "HOUR": timedelta(hours=1, microseconds=1), "Part": Part})


SCALARS: dict[str, type] = {
    "n": int,
    "ratio": float,
    "word": str,
    "data": bytes,
    "moment": datetime,
    "stamp": datetime,
}
CONTAINERS: dict[str, tuple[type, type]] = {
    "items": (list, tuple),
    "names": (dict, MappingProxyType),
    "members": (set, frozenset),
}
OPERATORS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "matmul": "@",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "or": "|",
    "xor": "^",
}


def test_every_way_to_change_a_value_has_a_row() -> None:
    forms = {
        *(
            f"d.{field} {sign}= "
            for field, kind in SCALARS.items()
            for name, sign in OPERATORS.items()
            if f"__{name}__" in dir(kind)
        ),
        *(
            {"__setitem__": f"d.{field}[", "__delitem__": f"del d.{field}["}.get(name)
            or (f"d.{field} {OPERATORS[name[3:-2]]}= " if name.startswith("__") else f"d.{field}.{name}(")
            for field, (kind, frozen) in CONTAINERS.items()
            for name in set(dir(kind)) - set(dir(frozen)) - {"copy", "fromkeys", "__reversed__"}
        ),
    }
    assert not [form for form in forms if not any(way.startswith(form) for way in WAYS)]


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    yield
    Doc.Meta = RedisConfig()


@pytest.fixture
async def doc(on_host: Host) -> Doc:
    Doc.Meta = RedisConfig(ttl=1000)
    return await Doc().asave()


async def in_a_transaction(doc: Doc, act: Callable[[Doc], None]) -> None:
    async with rapyer.apipeline():
        act(doc)


@each
async def test_it_does_what_python_does_and_leaves_what_others_did(on_host: Host, doc: Doc, way: str) -> None:
    expected = doc.model_copy(deep=True)
    do(way, expected)
    await on_host.call("MODEL.UPDATE", doc.key, "$.other", '"theirs"')
    await in_a_transaction(doc, lambda doc: do(way, doc))
    assert doc == expected
    expected.other = "theirs"
    assert await Doc.aget(doc.key) == expected
    version = (await on_host.lifetime(doc.key))["version"]
    await doc.asave()
    assert (await on_host.lifetime(doc.key))["version"] == version


@each
async def test_it_refreshes_under_its_groups_and_under_no_other(on_host: Host, doc: Doc, way: str) -> None:
    for group in GROUPS:
        Doc.Meta.refresh_ttl = group
        doc = await Doc().asave()
        moves = await moves_deadline(on_host, doc.key, lambda: in_a_transaction(doc, lambda d: do(way, d)))  # noqa: B023
        assert moves is bool(group & WAYS[way]), group


@each
async def test_outside_of_a_transaction_it_is_local_until_it_is_saved(
    on_host: Host, doc: Doc, way: str
) -> None:
    before = await on_host.state(doc.key)
    do(way, doc)
    assert await on_host.state(doc.key) == before
    await doc.asave()
    assert await Doc.aget(doc.key) == doc


@each
async def test_an_error_leaves_all_as_it_was(on_host: Host, doc: Doc, way: str) -> None:
    local = doc.model_copy(deep=True)

    def fail(doc: Doc) -> None:
        do(way, doc)
        doc.ratio += 1

    await on_host.call("MODEL.UNSET", doc.key, "$.ratio")
    before = await on_host.state(doc.key)
    with pytest.raises((PathNotFoundError, StaleModelError)):
        await in_a_transaction(doc, fail)
    assert doc == local
    assert await on_host.state(doc.key) == before
    await on_host.call("MODEL.DEL", doc.key)
    with pytest.raises(KeyNotFound):
        await in_a_transaction(doc, lambda doc: do(way, doc))
    assert doc == local
    assert await on_host.call("EXISTS", doc.key) == 0


@each
async def test_fifty_at_once_are_as_if_one_came_after_the_other(on_host: Host, doc: Doc, way: str) -> None:
    copies = [await Doc.aget(doc.key) for _ in range(5 if way in DOUBLES else 50)]
    outcomes = await asyncio.gather(
        *(in_a_transaction(copy, lambda copy: do(way, copy)) for copy in copies), return_exceptions=True
    )
    done = outcomes.count(None)
    assert done > 0
    assert {type(outcome) for outcome in outcomes} <= {type(None), StaleModelError}
    assert done == len(copies) or way in TOGGLES or not WAYS[way] & (ARITHMETIC | APPEND)
    for _ in range(done):
        # What several wanted to be gone is gone.
        with contextlib.suppress(KeyError, ValueError):
            do(way, doc)
    assert await Doc.aget(doc.key) == doc


class Clamped(AtomicRedisModel):
    pages: Annotated[int, AfterValidator(lambda pages: min(pages, 10))] = 8
    counts: dict[str, Annotated[int, AfterValidator(abs)]] = {"a": 1}


async def test_where_validation_makes_another_value_that_is_sent(on_host: Host) -> None:
    clamped = await Clamped().asave()
    stale = await Clamped.aget(clamped.key)
    for model in (clamped, stale):
        with pytest.raises(StaleModelError) if model is stale else contextlib.nullcontext():
            async with rapyer.apipeline():
                model.pages += 5
                model.counts["a"] -= 5
    assert (clamped.pages, clamped.counts) == (10, {"a": 4})
    assert (stale.pages, stale.counts) == (8, {"a": 1})
    assert await Clamped.aget(clamped.key) == clamped
