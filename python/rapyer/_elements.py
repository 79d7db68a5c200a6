"""Which element of a list is which: by its `Key` field, else by what is beside what is operated on.

An index says where an element was when this model last saw the list. A key says which one it is, wherever
others have moved it meanwhile. Where there is none, the element's other members have to be what they were.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from pydantic_core import from_json

import rapyer._commands as commands
from rapyer._binding import ByKey, Held, Segment, path_text
from rapyer._codec import Codec
from rapyer._native import Document, elements
from rapyer._words import Command
from rapyer.errors import DetachedValueError

if TYPE_CHECKING:
    from rapyer._native import Change

__all__ = [
    "conditions",
    "expected",
    "index_of",
    "key_of",
    "keys_of",
    "members_beside",
    "named",
    "told_apart",
]

Key: TypeAlias = str | int
_Steps: TypeAlias = tuple[Segment, ...]

# What a path can name an element by: a number with a fraction has several texts.
_KEYS: Final = (str, int)


def keys_of(codec: Codec, array: bytes) -> list[Key] | None:
    """The keys of an array's elements; None where these do not tell them apart."""
    name = codec.key_field
    if name is None:
        return None
    keys: list[Any] = [
        element.get(name) if isinstance(element, dict) else None for element in from_json(array)
    ]
    return keys if told_apart(keys) else None


def told_apart(keys: Sequence[Any]) -> bool:
    """Whether these are keys, no two of them the same."""
    return all(type(key) in _KEYS for key in keys) and len(set(keys)) == len(keys)


def key_of(codec: Codec, element: Any) -> Any:
    """The key of an element here, as it is stored; None without one."""
    name = codec.key_field
    value = None if name is None else getattr(element, "__dict__", {}).get(name)
    if value is None or type(value) in _KEYS:
        return value
    return from_json(codec.member(str(name)).dump(value))


def index_of(codec: Codec, items: Iterable[Any], step: ByKey) -> int | None:
    """Where the element of a key is among those here; None where it is not."""
    return next((at for at, item in enumerate(items) if key_of(codec, item) == step.key), None)


def named(changes: "Iterable[Change]", segments: _Steps) -> "Iterator[Change]":
    """The changes that an operation made below a place, with the keys by which that names elements.

    The engine tells the indexes that these have in the document; here they may have others.
    """
    depth = next((at for at, step in enumerate(segments, 1) if isinstance(step, ByKey)), None)
    for change in changes:
        steps = change[1]
        if depth is not None and len(steps) >= depth:
            within = min(len(steps), len(segments))
            yield cast("Change", (change[0], (*segments[:within], *steps[within:]), *change[2:]))
        else:
            yield change


def conditions(document: Document, segments: _Steps) -> dict[str, dict[str, bytes]]:
    """What a server has to hold for steps to lead to the elements that they lead to in a document.

    That is texts by their paths, for each element by its path: of the members beside those on the way, so
    that two operations on one member are both done; of the whole element where these do not tell it.
    """
    return {
        path_text(segments[:at]): _told_by(document, segments[:at], segments[at:])
        for at, step in enumerate(segments, 1)
        if type(step) is Held
    }


def _told_by(document: Document, element: _Steps, below: _Steps) -> dict[str, bytes]:
    path = path_text(element)
    text = document.get(path)
    if text is None:
        raise DetachedValueError(f"{path} is here only, and in no document yet: save the model first")
    beside = members_beside(Document(text), below)
    array = document.get(path_text(element[:-1])) or b"[]"
    twins = (Document(other) for at, other in enumerate(elements(array)) if at != element[-1])
    if not beside or any(
        all(twin.get(path_text(steps)) == held for steps, held in beside.items()) for twin in twins
    ):
        return {path: text}
    return {path_text((*element, *steps)): held for steps, held in beside.items()}


def expected(key: str, document: Document, segments: _Steps) -> list[Command]:
    """The same as commands, for a batch that is refused where others have put other elements there."""
    return [
        commands.expect(key, path, text)
        for texts in conditions(document, segments).values()
        for path, text in texts.items()
    ]


def members_beside(element: Document, below: _Steps) -> dict[_Steps, bytes]:
    """The members of an element that are not on the way of these steps, with their texts."""
    found: dict[_Steps, bytes] = {}
    place: _Steps = ()
    for step in below:
        held = element.get(path_text(place)) or b"null"
        if not isinstance(step, str) or held[:1] != b"{":
            break
        inner = [(*place, name) for name in from_json(held) if name != step]
        found |= {steps: element.get(path_text(steps)) or b"null" for steps in inner}
        place = (*place, step)
    return found
