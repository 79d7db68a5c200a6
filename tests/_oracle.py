"""What documents and models are to hold, in plain Python: shapes, edits between values, and their merge.

Nothing here asks the package. A document is a dict of Python's own values. A `Shape` is made of annotations
and says where values are merged member by member, item by item or as a whole.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import is_typeddict

from rapyer.types import RedisPriorityQueue

__all__ = [
    "Edit",
    "Missing",
    "Path",
    "Shape",
    "apply",
    "at",
    "edits",
    "fill",
    "has_others",
    "holds",
    "merged",
    "over",
]

Path: TypeAlias = tuple[Any, ...]
_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Missing(Exception):
    """There is nothing at a path."""


@dataclass(frozen=True)
class Edit:
    """One part of what a user did: `set` or `unset` a value, `add` an item to a set or `discard` it."""

    verb: str
    path: Path
    value: Any = None


class Shape:
    """How values of a type are written, compared and merged."""

    def __init__(self, kind: Any) -> None:
        origin = get_origin(kind) or kind
        arguments = get_args(kind)
        self.type = kind
        self.members: dict[str, Shape] = {}
        self.entry: Shape | None = None
        if origin in (list, set):
            self.kind = origin.__name__
            self.entry = Shape(arguments[0])
        elif origin is dict:
            self.kind = "dict"
            self.entry = Shape(arguments[1])
        elif origin is RedisPriorityQueue:
            self.kind = "queue"
            self.entry = Shape(arguments[0])
        elif members := _members(kind):
            self.kind = "record"
            self.members = {name: Shape(member) for name, member in members.items()}
        else:
            self.kind = "leaf"

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        own = is_typeddict(self.type) or is_dataclass(self.type) or self.members
        return TypeAdapter(self.type, config=None if own else _BASE64)  # pyright: ignore[reportArgumentType]

    @property
    def is_model(self) -> bool:
        """Whether its members have operations of their own."""
        return isinstance(self.type, type) and issubclass(self.type, BaseModel)

    @cached_property
    def default(self) -> Any:
        """What a record is made without arguments."""
        return self.taken(self.type())

    def child(self, step: Any) -> Shape:
        found = self.members[step] if self.kind == "record" else self.entry
        assert found is not None
        return found

    # -- from the values of models, and to them

    def taken(self, value: Any) -> Any:
        """The plain value of what a model holds."""
        if self.kind == "record":
            held = value if isinstance(value, dict) else vars(value)
            return {name: shape.taken(held[name]) for name, shape in self.members.items()}
        if self.kind == "dict":
            return {key: self.child(key).taken(item) for key, item in dict.items(value)}
        if self.kind == "list":
            return [self.child(None).taken(item) for item in list.__iter__(value)]
        if self.kind == "set":
            return set(value)
        if self.kind == "queue":
            return [(item.priority, item.value) for item in value]
        return copy.deepcopy(value)

    def given(self, value: Any) -> Any:
        """The value for a model of a plain one."""
        if self.kind == "leaf":
            return copy.deepcopy(value)
        return self.adapter.validate_json(json.dumps(self.written(value)))

    def written(self, value: Any) -> Any:
        """The JSON of a plain value, sets in one order."""
        if self.kind == "record":
            return {
                name: self.members[name].written(item) if name in self.members else item
                for name, item in value.items()
            }
        if self.kind == "dict":
            return {key: self.child(key).written(item) for key, item in value.items()}
        if self.kind in ("list", "set"):
            items = [self.child(None).written(item) for item in value]
            return sorted(items, key=json.dumps) if self.kind == "set" else items
        if self.kind == "queue":
            return [[float(priority), item] for priority, item in value]
        return self.adapter.dump_python(value, mode="json")

    def stored(self, value: Any) -> Any:
        """The same of JSON, with the defaults of members that are not stored."""
        if self.kind == "record":
            return {
                name: shape.stored(value[name]) if name in value else shape.written(self.default[name])
                for name, shape in self.members.items()
            } | {name: item for name, item in value.items() if name not in self.members}
        if self.kind == "dict":
            return {key: self.child(key).stored(item) for key, item in value.items()}
        if self.kind in ("list", "set"):
            items = [self.child(None).stored(item) for item in value]
            return sorted(items, key=json.dumps) if self.kind == "set" else items
        if self.kind == "queue":
            return [[float(priority), item] for priority, item in value]
        return float(value) if self.type is float else value

    def text(self, value: Any) -> str:
        """What two values have in common when they are the same one."""
        return json.dumps(self.stored(self.written(value)), sort_keys=True)

    def same(self, one: Any, other: Any) -> bool:
        return self.text(one) == self.text(other)

    def known(self, value: Any) -> Any:
        """What a release with this shape loads of a document."""
        if self.kind == "record":
            return {
                name: shape.known(value[name]) if name in value else copy.deepcopy(self.default[name])
                for name, shape in self.members.items()
            }
        if self.kind == "dict":
            return {key: self.child(key).known(item) for key, item in value.items()}
        if self.kind == "list":
            return [self.child(None).known(item) for item in value]
        return copy.deepcopy(value)


def _members(kind: Any) -> dict[str, Any]:
    if is_typeddict(kind):
        return get_type_hints(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {field.name: hints[field.name] for field in fields(kind)}
    return {}


def at(document: Any, path: Path) -> Any:
    """The value at a path. Raises `Missing`."""
    try:
        for step in path:
            document = document[step]
    except (KeyError, IndexError, TypeError):
        raise Missing(path) from None
    return document


def fill(shape: Shape, document: Any, path: Path) -> None:
    """Gives a field on the way to a path its default where a document lacks it. Raises `Missing`."""
    for step in path:
        if shape.kind == "record" and step not in document:
            if step not in shape.members:
                raise Missing(path)
            document[step] = copy.deepcopy(shape.default[step])
        document = at(document, (step,))
        shape = shape.child(step)


def edits(
    shape: Shape, old: Any, new: Any, assigned: AbstractSet[Path] = frozenset(), path: Path = ()
) -> Iterator[Edit]:
    """The smallest parts that make a release's value of what a document holds.

    Of members that are not stored those are `assigned` that the user gave a value, be it the default.
    """
    if shape.kind in ("record", "dict"):
        moved = _moved(list(old), list(new)) if shape.kind == "dict" else []
        for name in moved:
            yield Edit("unset", (*path, name))
            yield Edit("set", (*path, name), _over(shape.child(name), old[name], new[name]))
        for name, value in new.items():
            child, place = shape.child(name), (*path, name)
            if name in moved:
                continue
            if name in old:
                yield from edits(child, old[name], value, assigned, place)
            elif shape.kind == "dict" or place in assigned or not child.same(value, shape.default[name]):
                yield Edit("set", place, copy.deepcopy(value))
        if shape.kind == "dict":
            yield from (Edit("unset", (*path, name)) for name in old if name not in new)
    elif shape.kind == "set":
        yield from (Edit("discard", path, item) for item in old - new)
        yield from (Edit("add", path, item) for item in new - old)
    elif not shape.same(shape.known(old), new):
        yield Edit("set", path, _over(shape, old, new))


def has_others(shape: Shape, old: Any, new: Any) -> bool:
    """Whether an object has members that a release does not know, where another one is put."""
    if shape.kind not in ("record", "dict") or not isinstance(old, dict):
        return False
    if shape.kind == "record" and not old.keys() <= shape.members.keys():
        return True
    return any(has_others(shape.child(name), old[name], value) for name, value in new.items() if name in old)


def over(shape: Shape, old: Any, new: Any) -> Any:
    """A value in place of another, with the members of that which its release does not know."""
    return _over(shape, old, new)


def _moved(old: list[str], new: list[str]) -> list[str]:
    """The entries that come after such as came later before."""
    both = [name for name in new if name in old]
    ordered = 0
    while ordered < len(both) and [old.index(name) for name in both[: ordered + 1]] == sorted(
        old.index(name) for name in both[: ordered + 1]
    ):
        ordered += 1
    return both[ordered:]


def _over(shape: Shape, old: Any, new: Any) -> Any:
    """A value with the members of the old one that its release does not know."""
    if shape.kind == "list" and isinstance(old, list):
        return _elements_over(shape.child(None), old, new)
    if shape.kind in ("record", "dict") and isinstance(old, dict):
        over = {name: value for name, value in old.items() if shape.kind == "record"}
        return over | {
            name: _over(shape.child(name), old[name], value) if name in old else copy.deepcopy(value)
            for name, value in new.items()
        }
    return copy.deepcopy(new)


def _elements_over(shape: Shape, old: list[Any], new: list[Any]) -> list[Any]:
    # Elements that are the same stay what they are, those between go over what was in their place.
    before, after = ([shape.text(shape.known(item)) for item in items] for items in (old, new))
    start = end = 0
    while start < min(len(old), len(new)) and before[start] == after[start]:
        start += 1
    while end < min(len(old), len(new)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    free = list(range(start, len(old) - end))
    sources: dict[int, int] = {number: number for number in range(start)}
    sources |= {len(new) - 1 - number: len(old) - 1 - number for number in range(end)}
    between = range(start, len(new) - end)
    for number in between:
        found = next((place for place in free if before[place] == after[number]), None)
        if found is not None:
            free.remove(found)
            sources[number] = found
    for number in between:
        if number not in sources and number in free:
            sources[number] = number
    return [
        _over(shape, old[sources[number]], item) if number in sources else copy.deepcopy(item)
        for number, item in enumerate(new)
    ]


def apply(document: Any, parts: list[Edit], mine: Any = None) -> Any:
    """A document with edits made to it.

    What an edit is in may be gone: then that is made what it is in `mine`. Without `mine` raises `Missing`.
    """
    document = copy.deepcopy(document)
    for part in parts:
        path, value, verb = part.path, part.value, part.verb
        if mine is not None and verb != "unset":
            depth = next(
                (depth for depth in range(1, len(path)) if not holds(document, path[:depth])), len(path)
            )
            if depth < len(path):
                path, value, verb = path[:depth], at(mine, path[:depth]), "set"
        _edit(document, path, verb, copy.deepcopy(value))
    return document


def holds(document: Any, path: Path) -> bool:
    """Whether there is something at a path."""
    try:
        at(document, path)
    except Missing:
        return False
    return True


def _edit(document: Any, path: Path, verb: str, value: Any) -> None:
    holder = at(document, path[:-1])
    if verb == "set":
        holder[path[-1]] = value
    elif verb == "unset":
        holder.pop(path[-1], None)
    elif verb == "add":
        holder.setdefault(path[-1], set()).add(value)
    else:
        holder.setdefault(path[-1], set()).discard(value)


def merged(shape: Shape, old: Any, mine: Any, new: Any, assigned: AbstractSet[Path] = frozenset()) -> Any:
    """What a value made of `old` is where another document stands."""
    return shape.known(apply(new, list(edits(shape, old, mine, assigned)), mine))


Change: TypeAlias = Callable[[Any], Any]
