"""What the server is known to hold of one document, so that a save sends only what changed here."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast

from pydantic_core import from_json, to_json

from rapyer._binding import Segment
from rapyer._codec import Codec
from rapyer._native import changed_members

__all__ = ["Stored", "drop_equal", "set_edits"]

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

    def member(self, name: str) -> Any:
        """The value of a member, as JSON has it; None where there is none."""
        document = from_json(self.text())
        return document.get(name) if isinstance(document, dict) else None

    def changes(self, text: bytes) -> list[bytes]:
        """The members, as JSON strings, in which a document differs from this."""
        return changed_members(self.text(), text)

    def both(self, name: str, text: bytes) -> tuple[Any, Any] | None:
        """The values of a member here and in another text; None unless both have it."""
        here, there = from_json(self.text()), from_json(text)
        return (here[name], there[name]) if name in here and name in there else None

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


def set_edits(
    codec: Codec, path: _Path, before: Any, after: Any
) -> list[tuple[str, _Path, list[bytes]]] | None:
    """What was added to sets and removed from them: commands, places, items. None where more has changed.

    The values are what JSON has for those of the codec: of a set, or of a model with sets at any depth. Saved
    like this, a change of a set undoes nothing that others did to it.
    """
    if codec.holds_set and isinstance(before, list) and isinstance(after, list):
        old, new = (dict.fromkeys(map(to_json, items)) for items in (before, after))
        edits = {
            "MODEL.DISCARD": [item for item in old if item not in new],
            "MODEL.ADD": [item for item in new if item not in old],
        }
        return [(command, path, items) for command, items in edits.items() if items]
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        inner = [
            set_edits(codec.field(name), (*path, name), value, after[name]) for name, value in before.items()
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
