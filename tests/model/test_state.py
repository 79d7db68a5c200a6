"""What a model shows, what it believes and what the server holds, whatever is done in whatever order.

Three instances of one document, of two releases of its class, take turns with clients that have none. After
each step they are compared with an oracle in plain Python: the server's document, and for each instance the
document that it was last told of, with the changes its user has not saved.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import TypedDict

import rapyer
from _hosts import EmbeddedHost, Host
from _oracle import Edit, Missing, Path, Shape, apply, at, edits, fill, has_others, holds, merged, over
from _package import unsaved
from rapyer import AtomicRedisModel, RedisConfig, init_rapyer, teardown_rapyer
from rapyer._state import state_of
from rapyer.errors import ConcurrentTransactionError, KeyNotFound, RapyerError
from rapyer.types import RedisPriorityQueue

_T = TypeVar("_T")

TTL = 1000
KEY = "Doc:1"


class Color(Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Point(TypedDict):
    x: int
    y: int


@dataclass
class Pair:
    left: int = 0
    right: str = ""


class Leaf(BaseModel):
    n: int = 0
    tags: list[str] = []
    note: str = ""


class Part(BaseModel):
    n: int = 0
    name: str = ""
    leaf: Leaf = Leaf()
    marks: set[int] = set()
    queue: RedisPriorityQueue[str] = RedisPriorityQueue()


def _zone(hours: int) -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=hours)))


class Wide(AtomicRedisModel):
    """The release with all fields."""

    n: int = 0
    ratio: float = 0.0
    text: str = ""
    data: bytes = b""
    flag: bool = False
    moment: datetime = _zone(2)
    price: Decimal = Decimal("0.00")
    ident: UUID = UUID(int=1)
    color: Color = Color.RED
    maybe: int | None = None
    items: list[int] = [1, 2, 1]
    moments: list[datetime] = [_zone(1), _zone(-3)]
    names: dict[str, int] = {"a": 1, "b": 2}
    members: set[str] = {"a", "b"}
    prices: set[Decimal] = {Decimal("1.0")}
    queue: RedisPriorityQueue[str] = RedisPriorityQueue()
    part: Part = Part()
    parts: list[Part] = [Part(n=1, name="p"), Part(n=2, name="q")]
    by_name: dict[str, Part] = {"k": Part(n=3)}
    rows: list[dict[str, Part]] = [{"r": Part(n=4, name="r")}]
    groups: dict[str, set[int]] = {"g": {1, 2}}
    point: Point = {"x": 1, "y": 2}
    pair: Pair = Pair()
    anything: Any = {"a": [1, {"b": None}], "c": 1}

    @classmethod
    def class_key_initials(cls) -> str:
        return "Doc"


class NarrowLeaf(BaseModel):
    n: int = 0
    tags: list[str] = []


class NarrowPart(BaseModel):
    n: int = 0
    leaf: NarrowLeaf = NarrowLeaf()


@dataclass
class NarrowPair:
    left: int = 0


class Narrow(AtomicRedisModel):
    """An older release, which knows less, at every depth."""

    n: int = 0
    text: str = ""
    items: list[int] = [1, 2, 1]
    names: dict[str, int] = {"a": 1, "b": 2}
    members: set[str] = {"a", "b"}
    part: NarrowPart = NarrowPart()
    parts: list[NarrowPart] = [NarrowPart(n=1), NarrowPart(n=2)]
    by_name: dict[str, NarrowPart] = {"k": NarrowPart(n=3)}
    rows: list[dict[str, NarrowPart]] = [{"r": NarrowPart(n=4)}]
    pair: NarrowPair = NarrowPair()

    @classmethod
    def class_key_initials(cls) -> str:
        return "Doc"


WIDE, NARROW = Shape(Wide), Shape(Narrow)
NAMES = ["a", "b", "k", "z"]
LEAVES: dict[Any, list[Any]] = {
    int: [1, 2, -3, 2**60],
    float: [1.0, 2.5, -0.125, 3.0],
    str: ["a", "b", "é", "z"],
    bytes: [b"x", b"\xff\xfe", b"", b"abc"],
    bool: [True, False],
    datetime: [_zone(0), _zone(2), _zone(5), _zone(-3)],
    Decimal: [Decimal("1.0"), Decimal("1.50"), Decimal("2.50"), Decimal(3)],
    UUID: [UUID(int=2), UUID(int=3)],
    Color: list(Color),
    int | None: [None, 7, 8],
    Any: [None, [1, {"b": 2}], {"a": 1, "d": [True]}, "text"],
}


def made(shape: Shape, seed: int) -> Any:
    """A value, a few different ones for different seeds."""
    if shape.kind == "leaf":
        return copy.deepcopy(LEAVES[shape.type][seed % len(LEAVES[shape.type])])
    if shape.kind == "record":
        # Not every member differs from what others make.
        return {
            name: made(child, seed // 3 if at_ % 2 else seed)
            for at_, (name, child) in enumerate(shape.members.items())
        }
    if shape.kind == "list":
        return [made(shape.child(None), seed + number) for number in range(seed % 3)]
    if shape.kind == "set":
        return {made(shape.child(None), seed + number) for number in range(seed % 3)}
    if shape.kind == "dict":
        return {
            NAMES[(seed + number) % 4]: made(shape.child(""), seed + number) for number in range(seed % 3)
        }
    return []


class Refused(Exception):
    """The server does not do this, and so nothing of the batch."""


Operation = Callable[[Any, bool], Any]
"""Done to a document: as a server does it, `strict`, or without its conditions, where a model follows."""


@dataclass
class Frame:
    """An instance in a block."""

    local: Any
    """What it was on entry."""
    ground: Any
    fork: Any
    moved: set[Path]
    assigned: set[Path]
    operations: list[Operation] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)

    def replay(self, ground: Any) -> None:
        self.fork = copy.deepcopy(ground)
        for operation in self.operations:
            with suppress(Missing):
                operation(self.fork, False)


@dataclass(eq=False)
class Instance:
    """A model, and what it is to be."""

    model: Any
    shape: Shape
    base: Any
    local: Any
    moved: set[Path] = field(default_factory=set)
    assigned: set[Path] = field(default_factory=set)
    frames: list[Frame] = field(default_factory=list)

    @property
    def ground(self) -> Any:
        return self.frames[-1].fork if self.frames else self.base

    def move(self, base: Any) -> None:
        """The server was seen to hold another document."""
        shown = self.ground
        self.base = copy.deepcopy(base)
        ground = self.base
        for frame in self.frames:
            frame.replay(ground)
            ground = frame.fork
        self.local = merged(self.shape, shown, self.local, self.ground, self.assigned)

    def assign(self, path: Path, shape: Shape) -> None:
        """The user gave the members here a value."""
        self.assigned.add(path)
        for name, member in shape.members.items():
            self.assign((*path, name), member)

    def settle(self, path: Path = ()) -> None:
        """What there is at a path is what the server holds."""
        for places in (self.moved, self.assigned):
            places -= {place for place in places if place[: len(path)] == path}

    def unsaved(self) -> list[Edit]:
        return list(edits(self.shape, self.ground, self.local, self.assigned))

    def reach(self, path: Path) -> Any:
        """The model's value at a path, as its user comes to it."""
        value = self.model
        for step in path:
            by_name = isinstance(step, str) and not isinstance(value, dict)
            value = getattr(value, step) if by_name else value[step]
        return value

    def places(self, *, elements: bool, records: bool) -> list[tuple[Path, Shape]]:
        """Where there is something to change: in elements of lists too, in records without operations too."""

        def walk(shape: Shape, value: Any, path: Path) -> None:
            found.append((path, shape))
            if shape.kind == "record" and (shape.is_model or records):
                for name, child in shape.members.items():
                    walk(child, value[name], (*path, name))
            elif shape.kind == "dict":
                for name, item in value.items():
                    walk(shape.child(name), item, (*path, name))
            elif shape.kind == "list" and elements:
                for number, item in enumerate(value):
                    walk(shape.child(None), item, (*path, number))

        found: list[tuple[Path, Shape]] = []
        walk(self.shape, self.local, ())
        return found[1:]


@dataclass(eq=False)
class Block:
    operations: list[Operation] = field(default_factory=list)
    taking_part: list[Instance] = field(default_factory=list)
    saved: list[Instance] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """Something that happens; `pick`, `verb` and `seed` choose what exactly, of what there is then."""

    what: str
    who: int = 0
    pick: int = 0
    verb: int = 0
    seed: int = 0
    body: tuple[Any, ...] = ()


class Boom(Exception):
    pass


# -- changes of the user's own


def change(shape: Shape, value: Any, step: Step) -> tuple[str, list[Any]] | None:
    """What a user can do to a value of this shape: a word and its arguments."""
    seed = step.seed
    verbs: list[tuple[str, list[Any]]] = []
    if shape.kind != "queue":
        verbs.append(("assign", [made(shape, seed)]))
    if shape.type is int:
        verbs.append(("+=", [seed % 5 + 1]))
    if shape.kind == "list":
        item = made(shape.child(None), seed)
        verbs += [("append", [item]), ("insert", [seed % 3, item]), ("reverse", []), ("clear", [])]
        if value:
            number = seed % len(value)
            verbs += [("pop", [number]), ("setitem", [number, item]), ("del", [number])]
    elif shape.kind == "dict":
        verbs += [("setitem", [NAMES[seed % 4], made(shape.child(""), seed)]), ("clear", [])]
        if value:
            verbs.append(("del", [sorted(value)[seed % len(value)]]))
    elif shape.kind == "set":
        item = made(shape.child(None), seed)
        verbs += [("add", [item]), ("discard", [item]), ("clear", [])]
    return verbs[step.verb % len(verbs)] if verbs else None


def do(holder: Any, key: Any, word: str, arguments: list[Any], put: Callable[[Any, Any, Any], None]) -> None:
    """Does it to Python's values: a plain document's or a model's."""
    if word == "assign":
        put(holder, key, arguments[0])
        return
    value = (
        getattr(holder, key) if hasattr(holder, str(key)) and not isinstance(holder, dict) else holder[key]
    )
    if word == "+=":
        value += arguments[0]
        put(holder, key, value)
    elif word == "setitem":
        value[arguments[0]] = arguments[1]
    elif word == "del":
        del value[arguments[0]]
    else:
        getattr(value, word)(*arguments)


def put_plain(holder: Any, key: Any, value: Any) -> None:
    holder[key] = value


def put_in_model(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, (dict, list)):
        holder[key] = value
    else:
        setattr(holder, key, value)


MOVING = ("insert", "pop", "del", "reverse", "clear")


class Machine:
    def __init__(self, host: Host, document: Any, models: list[Any]) -> None:
        self.host = host
        self.server: Any = document
        self.instances = [
            Instance(model, shape, copy.deepcopy(document), shape.known(document))
            for model, shape in zip(models, (WIDE, NARROW, WIDE), strict=True)
        ]
        self.blocks: list[Block] = []
        self.outside = contextvars.copy_context()

    # -- the oracle's server

    def on_server(self, *operations: Operation) -> list[Any]:
        """Raises `Refused`, `Missing` or `KeyNotFound`, and then nothing is done."""
        if self.server is None:
            raise KeyNotFound
        document = copy.deepcopy(self.server)
        answers = [operation(document, True) for operation in operations]
        self.server = document
        return answers

    # -- steps

    async def step(self, step: Step) -> None:
        one = self.instances[step.who % 3]
        await getattr(self, step.what)(one, step)
        await self.check()

    async def edit(self, one: Instance, step: Step) -> None:
        """The user changes something."""
        recording = bool(self.blocks)
        places = one.places(elements=not recording, records=True)
        path, shape = places[step.pick % len(places)]
        chosen = change(shape, at(one.local, path), step)
        if chosen is None:
            return
        word, arguments = chosen
        event(f"edit: {shape.kind} {word}")
        holder_shape, own = one.shape, True
        for name in path[:-1]:
            holder_shape = holder_shape.child(name)
            own = own and (holder_shape.kind in ("dict", "list") or holder_shape.is_model)
        own = own and (shape.kind != "record" or shape.is_model or word == "assign")
        given_ = [self._given(shape, word, number, argument) for number, argument in enumerate(arguments)]
        if recording and own:
            operation = self._recorded(one, path, shape, word, arguments)
            self._touch(one, path[0])
            do(one.reach(path[:-1]), path[-1], word, given_, put_in_model)
            self._record(one, operation)
            one.local[path[0]] = one.shape.child(path[0]).known(one.ground[path[0]])
            return
        do(one.reach(path[:-1]), path[-1], word, given_, put_in_model)
        do(at(one.local, path[:-1]), path[-1], word, copy.deepcopy(arguments), put_plain)
        if (shape.kind == "list" and word in MOVING) or word == "assign":
            one.moved.add(path)
        if word in ("assign", "+="):
            one.assign(path, shape)

    def _given(self, shape: Shape, word: str, number: int, argument: Any) -> Any:
        if word == "assign":
            return shape.given(argument)
        is_item = word in ("append", "add", "discard") or (word in ("insert", "setitem") and number == 1)
        return shape.child(None if shape.kind != "record" else "").given(argument) if is_item else argument

    def _recorded(
        self, one: Instance, path: Path, shape: Shape, word: str, arguments: list[Any]
    ) -> Operation:
        """What the server does for a change in a block."""
        before = self._after_unsaved(one, path[0], self._enlisted(one))
        way = path[:-1] if word == "assign" else path
        lacks = not holds(before, way)
        fill(one.shape, before, way)
        seen: Any = copy.deepcopy(at(before, path)) if word in ("reverse", "pop", "del") else None
        replaced: list[Edit] | None = None
        item: Any = None
        if word in ("assign", "setitem"):
            place, kind = path, shape
            if word == "setitem":
                place, kind = (*path, arguments[0]), shape.child(arguments[0])
            item = arguments[-1]
            try:
                held = at(before, place)
            except Missing:
                pass
            else:
                if has_others(kind, held, item):
                    replaced = list(edits(kind, held, item))
                else:
                    item = over(kind, held, item)

        def operation(document: Any, strict: bool) -> None:
            if lacks:
                fill(one.shape, document, way)
            value = at(document, path[:-1]) if word == "assign" else at(document, path)
            if word in ("pop", "del"):
                taken = seen[arguments[0]]
                held = at(value, (arguments[0],)) if strict else value and at(value, (arguments[0],))
                if strict and not WIDE_AT(path).child(arguments[0]).same(held, taken):
                    raise Refused
                del value[arguments[0]]
            elif word == "reverse":
                if strict and not WIDE_AT(path).same(value, seen):
                    raise Refused
                value[:] = reversed(copy.deepcopy(seen))
            elif word in ("setitem", "assign"):
                step = path[-1] if word == "assign" else arguments[0]
                if isinstance(value, list) or replaced is not None:
                    at(value, (step,))
                value[step] = copy.deepcopy(item) if replaced is None else apply(value[step], replaced)
            else:
                do(at(document, path[:-1]), path[-1], word, copy.deepcopy(arguments), put_plain)

        return operation

    def _after_unsaved(self, one: Instance, name: str, document: Any) -> Any:
        """A document with what was not saved of a field, which goes ahead of the first operation on it."""
        touched = name in one.frames[-1].touched
        parts = [] if touched else [part for part in one.unsaved() if part.path[0] == name]
        return apply(document, parts, one.local)

    def _enlisted(self, one: Instance) -> Any:
        block = self.blocks[-1]
        if one not in block.taking_part:
            block.taking_part.append(one)
            ground = copy.deepcopy(one.ground)
            one.frames.append(
                Frame(
                    copy.deepcopy(one.local), ground, copy.deepcopy(ground), set(one.moved), set(one.assigned)
                )
            )
        return one.ground

    def _touch(self, one: Instance, name: str) -> None:
        self._enlisted(one)
        frame = one.frames[-1]
        if name not in frame.touched:
            parts = [part for part in one.unsaved() if part.path[0] == name]
            frame.touched.add(name)
            frame.recorded.add(name)
            if parts:
                self._record(one, _edited(parts))

    def _record(self, one: Instance, operation: Operation) -> None:
        self.blocks[-1].operations.append(operation)
        one.frames[-1].operations.append(operation)
        operation(one.frames[-1].fork, False)

    # -- awaited operations

    async def operate(self, one: Instance, step: Step) -> None:
        """An awaited operation, in the block that this is in, if it is in one."""
        act, path, operation, follow, taken = self._operation(one, step, in_block=bool(self.blocks))
        if act is None:
            return
        if self.blocks:
            self._touch(one, path[0])
            answer = await act()
            assert answer == operation(copy.deepcopy(one.ground), False)
            if taken is not None and answer is not None:
                self.blocks[-1].operations.append(
                    _expected((*path, taken), copy.deepcopy(at(one.ground, (*path, taken))))
                )
            self._record(one, operation)
            one.local[path[0]] = one.shape.child(path[0]).known(one.ground[path[0]])
            return
        await self._at_once(one, act, path, operation, follow)

    async def stranger(self, one: Instance, step: Step) -> None:
        """An awaited operation of a task that has nothing to do with the blocks there are."""
        act, path, operation, follow, _ = self._operation(one, step)
        if act is not None:
            await self._at_once(one, lambda: self._elsewhere(act), path, operation, follow)

    async def _elsewhere(self, act: Callable[[], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            return await act()

        return await self.outside.run(asyncio.get_running_loop().create_task, run())

    async def _at_once(
        self,
        one: Instance,
        act: Callable[[], Awaitable[Any]],
        path: Path,
        operation: Operation,
        follow: Callable[[Any, Any], None],
    ) -> None:
        try:
            (expected,) = self.on_server(operation)
        except (KeyNotFound, Missing) as refused:
            with pytest.raises(KeyNotFound if isinstance(refused, KeyNotFound) else RapyerError):
                await act()
            return
        answer = await act()
        assert answer == expected, path
        if one.base is None:
            # Nothing is known: it is done to the value as it is.
            follow(one.local, answer)
            return
        base = copy.deepcopy(one.base)
        try:
            follow(base, answer)
        except Missing:
            return
        if any(path[0] in frame.recorded for frame in one.frames):
            one.move(base)
            return
        old, one.base = one.base, base
        ground = base
        for frame in one.frames:
            frame.replay(ground)
            ground = frame.fork
        self._replay(one, path, old, base)

    def _replay(self, one: Instance, path: Path, old: Any, new: Any) -> None:
        """What an operation did to the base is done to the value here, whatever was changed here."""
        shape = one.shape
        for name in path:
            shape = shape.child(name)
        try:
            mine = at(one.local, path)
        except Missing:
            return
        old = copy.deepcopy(old)
        if not holds(old, path):
            fill(one.shape, old, path)
        before, after = at(old, path), at(new, path)
        holder = at(one.local, path[:-1])
        if shape.kind in ("dict", "record"):
            for name in before:
                if name not in after:
                    mine.pop(name, None)
            for name, value in after.items():
                if shape.kind == "record" and name not in shape.members:
                    continue
                if name not in before or not shape.child(name).same(
                    shape.child(name).known(before[name]), shape.child(name).known(value)
                ):
                    mine[name] = shape.child(name).known(value)
        elif shape.kind == "set":
            mine -= before - after
            mine |= after - before
        elif shape.kind == "list":
            mine[:] = shape.known(after)
        else:
            holder[path[-1]] = shape.known(after)

    def _operation(self, one: Instance, step: Step, *, in_block: bool = False) -> Any:
        """An operation on a place: what calls it, where, what it does to a document, what follows it."""
        nothing = (None, (), None, None, None)
        kinds = ("list", "dict", "set", "queue")
        places = [
            (path, shape)
            for path, shape in one.places(elements=False, records=False)
            if shape.kind in kinds or shape.type in (int, float) or shape.is_model
        ]
        path, shape = places[step.pick % len(places)]
        kind, seed = shape.kind, step.seed
        mine = at(one.local, path)
        words: list[str]
        if shape.type in (int, float):
            words = ["aincrease"]
        else:
            words = {
                "record": ["aupdate"],
                "dict": ["aset_item", "adel_item", "apop", "aclear"],
                "set": ["aadd", "aremove", "aclear"],
                "list": ["aappend", "apop", "aremove", "aclear"],
                "queue": ["apush", "apop", "aremove", "aclear"],
            }[kind]
        word = words[step.verb % len(words)]
        if kind == "list" and self._list_is_changed(one, path, shape):
            # What is done to a list that was changed here is another test's.
            return nothing
        event(f"operation: {kind} {word}")
        value_shape = shape if kind in ("leaf", "record") else shape.child("")
        name = NAMES[seed % 4]
        if kind == "record":
            name = list(shape.members)[seed % len(shape.members)]
            value_shape = shape.members[name]
        value = made(value_shape, seed)
        if kind == "set" and word != "aadd" and mine and seed % 2:
            value = sorted(mine, key=repr)[seed % len(mine)]

        lacks = one.base is not None and not holds(one.base if not self.blocks else one.ground, path)

        def act() -> Awaitable[Any]:
            target = one.reach(path)
            given_ = value_shape.given(value)
            if word == "aincrease":
                return cast("Awaitable[Any]", target.aincrease(seed % 5 + 1))
            if word == "aupdate":
                return cast("Awaitable[Any]", target.aupdate(**{name: given_}))
            if kind == "dict":
                named = {"aset_item": (name, given_), "adel_item": (name,), "apop": (name,)}
                return self._plain_answer(target, word, named.get(word, ()), shape)
            if kind == "queue" and word == "apush":
                return cast("Awaitable[Any]", target.apush(given_, seed % 3))
            arguments = () if word in ("aclear", "apop") else (given_,)
            return self._plain_answer(target, word, arguments, shape)

        def operation(document: Any, strict: bool) -> Any:
            if lacks:
                fill(one.shape, document, path)
            held = at(document, path)
            wide = WIDE_AT(path)
            if word == "aincrease":
                at(document, path[:-1])[path[-1]] = held + (seed % 5 + 1)
                return held + (seed % 5 + 1)
            if word == "aupdate":
                held[name] = copy.deepcopy(value)
                return None
            if word == "aclear":
                count = len(held)
                held.clear()
                return count
            if kind == "dict":
                if word == "aset_item":
                    held[name] = copy.deepcopy(value)
                    return True
                taken = held.pop(name, None)
                if word == "adel_item":
                    return 0 if taken is None else 1
                return None if taken is None else shape.child(name).text(shape.child(name).known(taken))
            if kind == "set":
                known = value in held
                (held.add if word == "aadd" else held.discard)(value)
                return not known if word == "aadd" else known
            if kind == "queue":
                return _queue(held, word, value, seed % 3)
            return _list(wide.child(None), shape.child(None), held, word, value)

        def follow(document: Any, answer: Any) -> None:
            if lacks:
                fill(one.shape, document, path)
            if word == "aincrease":
                at(document, path)
                at(document, path[:-1])[path[-1]] = answer
            elif kind == "list" and word == "apop" and answer is None:
                pass
            elif kind == "list" and word == "apop":
                held = at(document, path)
                known = [shape.child(None).text(shape.child(None).known(item)) for item in held]
                if known and known[-1] == answer:
                    held.pop()
                elif answer in known:
                    held.pop(known.index(answer))
            elif kind == "queue" and word == "apop" and answer is not None:
                held = at(document, path)
                held[:] = [pair for pair in held if pair[1] != answer[0]]
            elif kind == "queue" and word == "apop":
                at(document, path).clear()
            else:
                operation(document, False)

        if in_block and kind == "record":
            # An update in a block is made of assignments.
            recorded = self._recorded(one, (*path, name), value_shape, "assign", [value])
            return act, path, recorded, follow, None
        guard = {"dict": name, "list": -1, "queue": 0}[kind] if word == "apop" and kind != "set" else None
        return act, path, operation, follow, guard

    def _list_is_changed(self, one: Instance, path: Path, shape: Shape) -> bool:
        try:
            held = at(one.ground, path)
        except Missing:
            return True
        return not shape.same(shape.known(held), at(one.local, path)) or path in one.moved

    async def _plain_answer(self, target: Any, word: str, arguments: Any, shape: Shape) -> Any:
        answer = await getattr(target, word)(*arguments)
        if word == "apop" and answer is not None and shape.kind in ("dict", "list"):
            child = shape.child("")
            return child.text(child.taken(answer))
        if word == "apop" and answer is not None:
            return (answer.value, answer.priority)
        return answer

    # -- whole documents

    async def save(self, one: Instance, step: Step) -> None:
        """The user saves."""
        if self.blocks:
            await self._save_in_block(one)
            return
        await one.model.asave()
        self._saved(one)

    def _saved(self, one: Instance) -> None:
        self._save(one)
        # The entries of dicts follow each other as they do there.
        one.local = one.shape.known(one.base)

    def _save(self, one: Instance) -> None:
        if one.base is None:
            whole = copy.deepcopy(one.local)
            self.server, one.base = whole, copy.deepcopy(whole)
            one.settle()
            return
        parts = list(edits(one.shape, one.base, one.local, one.assigned))
        if self.server is None:
            one.base = apply(one.base, parts, one.local)
            self.server = copy.deepcopy(one.base)
        else:
            try:
                self.server = apply(self.server, parts)
                one.base = apply(one.base, parts, one.local)
            except Missing:
                one.move(self.server)
                parts = list(edits(one.shape, one.base, one.local, one.assigned))
                self.server = apply(self.server, parts, one.local)
                one.base = copy.deepcopy(self.server)
        one.settle()

    async def _save_in_block(self, one: Instance) -> None:
        if one.base is None or self.server is None:
            return
        self._enlisted(one)
        self.blocks[-1].saved.append(one)
        parts = one.unsaved()
        await one.model.asave()
        one.frames[-1].recorded.update(part.path[0] for part in parts)
        self._record(one, _edited(parts))

    async def save_part(self, one: Instance, step: Step) -> None:
        """The user saves a nested value and nothing else."""
        places = [
            place
            for place in one.places(elements=False, records=False)
            if place[1].is_model or place[1].kind in ("dict", "set", "list")
        ]
        path, _ = places[step.pick % len(places)]
        if self.blocks or one.base is None:
            return
        parts = [
            part
            for part in edits(one.shape, one.base, one.local, one.assigned)
            if part.path[: len(path)] == path
        ]
        if any(
            path[: len(part.path)] == part.path and path != part.path
            for part in edits(one.shape, one.base, one.local, one.assigned)
        ):
            # What it is in is not saved yet.
            return
        if self.server is None:
            with pytest.raises(KeyNotFound):
                await one.reach(path).asave()
            return
        await one.reach(path).asave()
        try:
            self.server = apply(self.server, parts)
        except Missing:
            one.move(self.server)
            parts = [
                part
                for part in edits(one.shape, one.base, one.local, one.assigned)
                if part.path[: len(path)] == path
            ]
            self.server = apply(self.server, parts, one.local)
        one.base = apply(one.base, parts, one.local)
        one.settle(path)
        one.local = merged(one.shape, one.base, one.local, one.base, one.assigned)

    async def load(self, one: Instance, step: Step) -> None:
        """The user takes what the server has, or only what nobody changed here."""
        if self.blocks:
            return
        if step.verb % 3 == 0:
            if self.server is None:
                with pytest.raises(KeyNotFound):
                    await one.model.aload()
                return
            await one.model.aload()
            one.base, one.local = copy.deepcopy(self.server), one.shape.known(self.server)
            one.settle()
            return
        entering = one.model.apipeline if step.verb % 3 == 1 else one.model.alock
        if self.server is None:
            with pytest.raises(KeyNotFound):
                async with entering():
                    pass
            return
        async with entering():
            pass
        self._reloaded(one)

    def _reloaded(self, one: Instance) -> None:
        if one.base is None:
            one.base, one.local = copy.deepcopy(self.server), one.shape.known(self.server)
            one.settle()
        else:
            one.move(self.server)

    async def meddle(self, one: Instance, step: Step) -> None:
        """A client that has no model changes something."""
        if self.server is None:
            return
        places = Instance(None, WIDE, None, WIDE.known(self.server)).places(elements=False, records=True)
        path, shape = places[step.pick % len(places)]
        if shape.kind == "queue":
            return
        try:
            at(self.server, path[:-1])
        except Missing:
            return
        holder = WIDE_AT(path[:-1])
        if holder.kind == "dict" and step.verb % 4 == 0:
            at(self.server, path[:-1]).pop(path[-1], None)
            await self.host.call("MODEL.UNSET", KEY, _path(path))
            return
        value = made(shape, step.seed)
        at(self.server, path[:-1])[path[-1]] = value
        await self.host.call("MODEL.SET", KEY, _path(path), json.dumps(shape.written(value)))

    async def vanish(self, one: Instance, step: Step) -> None:
        """The document goes, or another one comes."""
        if any(block.saved for block in self.blocks):
            # A block makes the document again that it saves, out of what one instance knows of it.
            return
        what = step.verb % 4
        if what == 0 and isinstance(self.host, EmbeddedHost):
            await self.host.pass_time(TTL + 1)
            self.server = None
        elif what <= 1:
            await self.host.call("MODEL.DEL", KEY)
            self.server = None
        elif what == 2:
            self.server = made(WIDE, step.seed) | {"point": {"x": 1, "y": 1}}
            await self.host.call("MODEL.CREATE", KEY, json.dumps(WIDE.written(self.server)))
        elif not self.blocks:
            await one.model.adelete()
            self.server, one.base = None, None

    # -- blocks

    async def block(self, one: Instance, step: Step) -> None:
        """A block of steps that is applied or not."""
        if len(self.blocks) == 3 or any(each.base is None for each in self.instances):
            return
        ends = ("well", "well", "well", "badly", "cancelled")[step.verb % 5]
        joins = bool(self.blocks) and step.seed % 4 == 3
        of_model = step.pick % 2 == 0
        event(f"block: {len(self.blocks) + 1} deep, ends {ends}, joins {joins}")
        entering = one.model.apipeline if of_model else rapyer.apipeline
        error = {"badly": Boom, "cancelled": asyncio.CancelledError}.get(ends)
        block = self.blocks[-1] if joins else Block()
        if not joins:
            self.blocks.append(block)
        entered, applied = False, cast("bool | None", None)
        try:
            async with entering(use_existing_pipe=joins):
                entered = True
                if of_model and one not in block.taking_part:
                    shown = one.frames
                    self._reloaded(one)
                    assert one.frames is shown
                    self._enlisted(one)
                await self.check()
                for inner in step.body:
                    await self.step(inner)
                if error is not None:
                    raise error
            applied = True
        except (Boom, asyncio.CancelledError):
            applied = None
        except RapyerError:
            applied = False
        if joins:
            assert applied is not False or self.server is None
            return
        self.blocks.pop()
        if applied is None:
            self._restore(block)
        elif entered:
            assert self._commit(block) is applied
        else:
            assert self.server is None

    def _restore(self, block: Block) -> None:
        for one in block.taking_part:
            frame = one.frames.pop()
            one.local = merged(one.shape, frame.ground, frame.local, one.ground, frame.assigned)
            one.moved, one.assigned = frame.moved, frame.assigned

    def _commit(self, block: Block) -> bool:
        """Whether the server takes what was recorded."""
        for one in block.taking_part:
            frame = one.frames[-1]
            before = [_key(part) for part in edits(one.shape, frame.ground, frame.local, frame.assigned)]
            parts = [part for part in one.unsaved() if _key(part) not in before]
            for part in parts:
                block.operations.append(_expectation(copy.deepcopy(frame.fork), part))
                operation = _edited([part])
                block.operations.append(operation)
                frame.operations.append(operation)
                operation(frame.fork, False)
        server = self.server
        try:
            if block.operations:
                if self.server is None and block.saved:
                    for one in block.taking_part:
                        if one in block.saved:
                            self.server = copy.deepcopy(one.frames[-1].ground)
                            break
                self.on_server(*block.operations)
        except (Refused, Missing, KeyNotFound):
            self.server = server
            self._restore(block)
            return False
        for one in block.taking_part:
            frame = one.frames.pop()
            shown = frame.fork
            frame.replay(one.base)
            base = frame.fork
            for name in frame.touched:
                base[name] = copy.deepcopy(cast("Any", self.server)[name])
            one.base = base
            ground = base
            for each in one.frames:
                each.replay(ground)
                ground = each.fork
            one.local = merged(one.shape, shown, one.local, ground, one.assigned)
            for name in frame.touched:
                one.settle((name,))
        return True

    async def overlap(self, one: Instance, step: Step) -> None:
        """Another task opens a block of its own with an instance that takes part in one here."""
        if not one.frames:
            return

        async def other() -> None:
            async with rapyer.apipeline():
                one.model.n = 7

        with pytest.raises(ConcurrentTransactionError):
            await self._elsewhere(other)

    async def child(self, one: Instance, step: Step) -> None:
        """A task that was started in the block operates on what takes part in it."""
        if not self.blocks or one not in self.blocks[-1].taking_part:
            return
        with pytest.raises(ConcurrentTransactionError):
            await asyncio.get_running_loop().create_task(one.model.n.aincrease())

    # -- what has to be

    async def check(self) -> None:
        held = await self.host.call("MODEL.GET_RO", KEY)
        assert (held is None) is (self.server is None)
        if isinstance(held, bytes):
            agree("the server holds", json.loads(held), WIDE, self.server)
        for number, one in enumerate(self.instances):
            shown = one.shape.written(one.shape.taken(one.model))
            agree(f"{number} shows", shown, one.shape, one.local)
            base = state_of(one.model).base
            assert (base is None) is (one.base is None)
            if base is not None:
                agree(f"{number} believes", json.loads(base.text()), WIDE, one.base)
                if not one.frames:
                    paths = {edit.steps for edit in unsaved(one.model)}
                    mine = {part.path for part in one.unsaved()}
                    assert paths == mine, f"{number} has not saved: {paths ^ mine}"


def agree(what: str, found: Any, shape: Shape, expected: Any) -> None:
    """Fails telling the fields that differ."""
    found, expected = shape.stored(found), shape.stored(shape.written(expected))
    texts = [
        (name, *(json.dumps(document.get(name), sort_keys=True) for document in (found, expected)))
        for name in found.keys() | expected.keys()
    ]
    wrong = {name: (one, other) for name, one, other in texts if one != other}
    assert not wrong, f"{what} something else than expected: {wrong}"


def _key(part: Edit) -> Any:
    return part.verb, part.path, repr(part.value)


def _edited(parts: list[Edit]) -> Operation:
    return lambda document, strict: document.update(apply(document, parts))


def _expectation(fork: Any, part: Edit) -> Operation:
    def operation(document: Any, strict: bool) -> None:
        try:
            seen = at(fork, part.path)
        except Missing:
            return
        if strict and not WIDE_AT(part.path).same(at(document, part.path), seen):
            raise Refused

    return operation


def _expected(path: Path, seen: Any) -> Operation:
    """The condition that what a block took is what is there."""

    def operation(document: Any, strict: bool) -> None:
        held = at(document, path)
        same = held == seen if WIDE_AT(path[:-1]).kind == "queue" else WIDE_AT(path).same(held, seen)
        if strict and not same:
            raise Refused

    return operation


def _queue(held: list[Any], word: str, value: Any, priority: int) -> Any:
    if word == "apop":
        if not held:
            return None
        priority, value = held.pop(0)
        return (value, priority)
    known = any(pair[1] == value for pair in held)
    held[:] = [pair for pair in held if pair[1] != value]
    if word == "apush":
        held.append((float(priority), value))
        held.sort(key=lambda pair: pair[0])
        return not known
    return known


def _list(wide: Shape, shape: Shape, held: list[Any], word: str, value: Any) -> Any:
    if word == "aappend":
        held.append(copy.deepcopy(value))
        return len(held)
    if word == "apop":
        return shape.text(shape.known(held.pop())) if held else None
    found = next((number for number, item in enumerate(held) if wide.text(item) == wide.text(value)), None)
    if found is not None:
        del held[found]
    return found is not None


def WIDE_AT(path: Path) -> Shape:  # noqa: N802 - a constant's child
    shape = WIDE
    for step in path:
        shape = shape.child(step)
    return shape


def _path(path: Path) -> str:
    return "$" + "".join(f"[{json.dumps(step)}]" for step in path)


who = st.integers(0, 2)
number = st.integers(0, 40)


def steps(body: Any) -> Any:
    plain = st.builds(
        Step,
        st.sampled_from(
            ["edit", "edit", "edit", "operate", "operate", "stranger", "save", "save_part", "load", "meddle",
             "meddle", "overlap", "child", "vanish"]
        ),
        who, number, number, number,
    )  # fmt: skip
    return plain if body is None else plain | st.builds(
        Step, st.just("block"), who, number, number, number, st.lists(body, max_size=6).map(tuple)
    )  # fmt: skip


programs = st.lists(steps(steps(steps(steps(None)))), min_size=1, max_size=14)


@pytest.fixture
def lifetimes() -> Any:
    Wide.Meta = Narrow.Meta = RedisConfig(ttl=TTL)
    yield
    Wide.Meta = Narrow.Meta = RedisConfig()


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        # The same programs in each run: other ones are searched for by hand, with more time.
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture
async def in_process() -> AsyncIterator[Host]:
    host = EmbeddedHost()
    await init_rapyer(redis=host.url)
    yield host
    await teardown_rapyer()


@examples(150)
@given(program=programs, old=st.booleans())
async def test_what_is_shown_believed_and_stored_agree(
    in_process: Host, lifetimes: None, program: list[Step], old: bool
) -> None:
    await prepared(in_process, program, old)


@examples(15)
@given(program=programs, old=st.booleans())
async def test_they_agree_on_every_host(
    on_host: Host, lifetimes: None, program: list[Step], old: bool
) -> None:
    await prepared(on_host, program, old)


async def prepared(host: Host, program: list[Step], old: bool) -> None:
    await host.call("MODEL.DEL", KEY)
    kind, shape = (Narrow, NARROW) if old else (Wide, WIDE)
    first = kind()
    first.pk = "1"
    await first.asave()
    models: list[Any] = [await Wide.aget("1"), await Narrow.aget("1"), await Wide.aget("1")]
    machine = Machine(host, copy.deepcopy(shape.default), models)
    await machine.check()
    for step in program:
        await machine.step(step)
    for one in machine.instances:
        await machine.save(one, Step("save"))
        await machine.check()
