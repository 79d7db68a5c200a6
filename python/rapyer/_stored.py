"""What the server is known to hold of one document, so that a save sends only what changed here."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, cast

from pydantic_core import from_json, to_json

from rapyer._binding import Segment
from rapyer._codec import Codec
from rapyer._native import changed_members

__all__ = ["Change", "SetEdit", "Stored", "drop_equal", "with_edits"]

_Path = tuple[Segment, ...]
_C = TypeVar("_C", list[Any], dict[str, Any])
_KEPT: Final = 100


class Stored:
    """The text a model was loaded from or saved as, and the operations done on it since.

    An operation changes this and the model alike: what was equal stays equal and is not sent again, and a
    change that was not saved yet stays one.
    """

    __slots__ = ("_edits", "_text", "key")

    def __init__(self, key: str, text: bytes) -> None:
        self.key: Final = key
        self._text = text
        self._edits: list[Callable[[Any], None]] = []

    def text(self) -> bytes:
        """The document as it should be on the server, as far as this process knows."""
        if self._edits:
            document = from_json(self._text)
            for edit in self._edits:
                edit(document)
            self._text = to_json(document)
            self._edits.clear()
        return self._text

    def value(self, path: _Path) -> Any:
        """The value at a place, as JSON has it; None where there is none."""
        return _at(from_json(self.text()), path)

    def changes(self, codec: Codec, text: bytes) -> list["Change"]:
        """The members in which a model's document differs from this."""
        changes = (Change(json.loads(name), *texts) for name, *texts in changed_members(self.text(), text))
        return [change for change in changes if not change.is_in_words_only(codec.field(change.name))]

    def saved_as(self, text: bytes) -> "Stored":
        """What is known once a save of `text` was answered: operations may have been done meanwhile."""
        saved = Stored(self.key, text)
        saved._edits = list(self._edits)
        return saved

    def put(self, path: _Path, value: bytes) -> None:
        """The value at a place is this now."""
        self._edit(partial(_put, path, value))

    def change(self, path: _Path, kind: type[_C], edit: Callable[[_C], object]) -> None:
        """The list or the dict at a place was changed like this."""
        self._edit(partial(_change, path, kind, edit))

    def _edit(self, edit: Callable[[Any], None]) -> None:
        self._edits.append(edit)
        if len(self._edits) > _KEPT:
            self.text()


class Change(NamedTuple):
    """A member in which two documents differ, and its texts there; None where it is not."""

    name: str
    before: bytes | None
    after: bytes | None

    def is_in_words_only(self, codec: Codec) -> bool:
        """Whether both texts stand for one value: what others wrote in their way is no change made here."""
        return self.before is not None and self.after is not None and codec.same(self.before, self.after)

    def set_edits(self, codec: Codec) -> list["SetEdit"] | None:
        """What was added to sets and removed from them; None if more has changed."""
        if self.before is None or self.after is None or not codec.holds_sets:
            return None
        return _set_edits(codec, (self.name,), from_json(self.before), from_json(self.after))


class SetEdit(NamedTuple):
    """What was added to a set, or removed from it."""

    command: str
    path: _Path
    items: list[bytes]


def with_edits(text: bytes, edits: list[SetEdit]) -> bytes:
    """A document in which the same was done to its sets."""
    document = from_json(text)
    for edit in edits:
        held = _at(document, edit.path)
        if isinstance(held, list):
            added = map(from_json, edit.items) if edit.command == "MODEL.ADD" else ()
            held[:] = [*(item for item in held if to_json(item) not in edit.items), *added]
    return to_json(document)


def _set_edits(codec: Codec, path: _Path, before: Any, after: Any) -> list[SetEdit] | None:
    # Of a set, or of a model with sets at any depth: saved like this, it undoes nothing that others did.
    if codec.holds_set and isinstance(before, list) and isinstance(after, list):
        old, new = (dict.fromkeys(map(to_json, items)) for items in (before, after))
        edits = {
            "MODEL.DISCARD": [item for item in old if item not in new],
            "MODEL.ADD": [item for item in new if item not in old],
        }
        return [SetEdit(command, path, items) for command, items in edits.items() if items]
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        inner = [
            _set_edits(codec.field(name), (*path, name), value, after[name]) for name, value in before.items()
        ]
        known = [edits for edits in inner if edits is not None]
        return [edit for edits in known for edit in edits] if len(known) == len(inner) else None
    return [] if to_json(before) == to_json(after) else None


# Where the text has nothing at a place, somebody else put it there since: the member then counts as changed.


def _put(path: _Path, value: bytes, document: Any) -> None:
    holder, key = _at(document, path[:-1]), path[-1]
    if isinstance(holder, dict) or (isinstance(holder, list) and _has(holder, key)):
        holder[cast("Any", key)] = from_json(value)


def _change(path: _Path, kind: type[_C], edit: Callable[[_C], object], document: Any) -> None:
    found = _at(document, path)
    if isinstance(found, kind):
        edit(found)


def drop_equal(items: list[Any], index: int, value: Any) -> None:
    """Takes from a list what the server took: the element at its index, or where it is by now."""
    if _has(items, index) and list.__getitem__(items, index) == value:
        list.__delitem__(items, index)
        return
    for at, item in enumerate(list.__iter__(items)):
        if item == value:
            list.__delitem__(items, at)
            return


def _at(document: Any, path: _Path) -> Any:
    for step in path:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and _has(document, step):
            document = document[cast("int", step)]
        else:
            return None
    return document


def _has(items: list[Any], index: Segment) -> bool:
    return isinstance(index, int) and -len(items) <= index < len(items)
