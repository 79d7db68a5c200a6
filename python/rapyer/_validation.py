"""What validators are held to, whoever changes the document meanwhile.

A field's validators see the field, a model's the whole of it. They run here, on what an operation or a save
is going to make of that; and the server is asked to make it only where that is still what was seen.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

import rapyer._commands as commands
from rapyer._binding import Root, Segment, path_text
from rapyer._codec import Codec
from rapyer._connection import Route, execute
from rapyer._local import codec_at
from rapyer._native import Document
from rapyer._state import State, rebase, told
from rapyer._words import Command
from rapyer.errors import KeyNotFound

if TYPE_CHECKING:
    from rapyer._edits import Edit
    from rapyer.fields import RapyerKey

__all__ = [
    "Checked",
    "checked_by_command",
    "checked_by_parts",
    "expected",
    "puts",
    "renew",
    "validate",
]

# The command that puts a whole value at a place.
_PUTS: Final = commands.set_("", "", b"")[0]

_Steps: TypeAlias = tuple[Segment, ...]


def _checked_by(codec: Codec, steps: _Steps) -> _Steps | None:
    """The outermost place with validators that an operation at a place changes; None without one."""
    if not codec.has_validators:
        return None
    for depth, step in enumerate(steps):
        if codec.validates:
            return steps[:depth]
        codec = codec.member(step) if isinstance(step, str) else codec.item
    return steps if codec.validates else None


def puts(words: Command) -> bool:
    """Whether a command puts a whole value at its place, whatever was there."""
    return words[0] == _PUTS


class Checked(NamedTuple):
    """Places with validators that are going to be changed."""

    made: set[_Steps]
    """Those whose validators are to see what is made there."""
    seen: set[_Steps]
    """Those of which what is not changed has to stay what they see."""


def checked_by_command(codec: Codec, steps: _Steps, words: Command) -> Checked:
    """The places that a command on a place changes something in."""
    made = _checked_by(codec, steps)
    # Of what is put as a whole, nothing that was there stays.
    seen = _checked_by(codec, steps[:-1]) if puts(words) else made
    return Checked(_some(made), _some(seen))


def checked_by_parts(codec: Codec, parts: "Iterable[Edit]") -> Checked:
    """The places that parts of a save change something in."""
    checked = Checked(set(), set())
    for part in parts if codec.has_validators else ():
        steps, is_whole = part.steps, part.words[0] in ("SET", "UNSET")
        made = _checked_by(codec, steps)
        if made is None and codec_at(codec, steps).has_validators:
            made = steps
        checked.made.update(_some(made))
        checked.seen.update(_some(_checked_by(codec, steps[:-1] if is_whole else steps)))
    return checked


def _some(place: _Steps | None) -> set[_Steps]:
    return set() if place is None else {place}


def validate(root: Root, document: Document, places: Collection[_Steps]) -> None:
    """Raises pydantic's `ValidationError` where validators refuse what a document holds at some places."""
    for place in places:
        text = document.get(path_text(place))
        if text is not None:
            codec_at(root.__rapyer_codec__, place).load(text)


def expected(key: str, state: State, places: Collection[_Steps]) -> list[Command]:
    """What insists on the values that validators have seen: their texts, or the version of the document."""
    base = cast("Document", state.base)
    texts = {place: base.get(path_text(place)) for place in places}
    if () not in texts and None not in texts.values():
        return [commands.expect(key, path_text(place), text) for place, text in texts.items()]
    if not texts:
        return []
    if state.version is not None:
        return [commands.expect(key, "$", ifversion=state.version)]
    return [commands.expect(key, "$", base.text())]


async def renew(root: Root, key: "RapyerKey", route: Route) -> None:
    """Takes over what others made of the document, and its version; unsaved changes stay."""
    reply = await execute(route, commands.get_ro(key, withversion=True))
    text, version = told(reply, True)
    if text is None:
        raise KeyNotFound(f"there is no {type(root).__name__} under {key!r}")
    rebase(root, text, version)
