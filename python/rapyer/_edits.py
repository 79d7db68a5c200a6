"""Unsaved edits: what leads from a document to a model's value, and what they make of another one.

They are not kept but found, by comparing the base with the text of the value: the deepest members that
changed, a set's additions and removals, elements by their keys. What a release does not know is not its own
to change.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic import BaseModel
from pydantic_core import from_json, to_json

import rapyer._commands as commands
from rapyer._binding import ByKey, Root, Segment, path_text
from rapyer._codec import Codec
from rapyer._elements import keys_of
from rapyer._local import codec_at, local_at
from rapyer._native import CommandError, Document, elements

if TYPE_CHECKING:
    from rapyer._words import Command, Default

__all__ = [
    "Edit",
    "apply",
    "check",
    "defaults",
    "edit_words",
    "edits",
    "edits_over",
    "is_within",
    "over",
    "rebased",
]

_Steps = tuple[Segment, ...]


class Edit(NamedTuple):
    """One part of a save: the steps to it and the words of `MODEL.EDIT` that make it."""

    steps: _Steps
    words: Any


def edits(root: Root, base: Document, text: bytes) -> list[Edit]:
    """What leads from a document to a model's text: the smallest parts that this release knows of."""
    codec = root.__rapyer_codec__
    failed = _failed(root, codec) if codec.safe_fields else ()
    found: list[Edit] = []
    whole: set[_Steps] = set()
    """What is sent as a whole, with all in it."""
    for steps, before, after in base.diff(text):
        if steps and steps[0] in failed:
            # What is stored there is not valid, and stays as it is until the field is assigned.
            continue
        # Below the fields, what is around one may be sent already.
        if len(steps) > 1 and whole and any(steps[:depth] in whole for depth in range(1, len(steps))):
            continue
        if before is None and _is_untouched_default(root, codec, steps, after):
            # A document of an older release, which others may have given a value there meanwhile.
            continue
        parts = _part(codec, steps, before, after)
        if parts and before is not None and before[:1] == b"[":
            parts = [part for part in parts if not _adds_untouched_default(root, codec, base, part)]
        for part in parts:
            whole.add(part.steps)
            found.append(part)
    return found


def _adds_untouched_default(root: Root, codec: Codec, base: Document, part: Edit) -> bool:
    """The same for an element of a list that is told by its key."""
    word, path, *values = part.words
    if word != "SET" or base.has(path):
        return False
    return _is_untouched_default(root, codec, part.steps, values[0])


def defaults(root: Root, document: Document, steps: _Steps) -> "tuple[Default, ...]":
    """What a document of an older release lacks on the way to a place: the first field, and its default."""
    codec = root.__rapyer_codec__
    for at, step in enumerate(steps, 1):
        is_field = isinstance(step, str) and codec.declares(step)
        codec = codec.member(step) if isinstance(step, str) else codec.item
        path = path_text(steps[:at])
        if is_field and not document.has(path):
            text = codec.default()
            return () if text is None else ((path, text),)
    return ()


def _is_untouched_default(root: Root, codec: Codec, steps: _Steps, text: bytes | None) -> bool:
    """Whether nobody has set this field here: it is what the class says of one that is not stored."""
    place = local_at(root, codec, steps[:-1])
    if place is None:
        return False
    name = cast("str", steps[-1])
    if isinstance(place.holder, BaseModel) and name in place.holder.__pydantic_fields_set__:
        return False
    return bool(place.codec.member(name).default() == text)


def check(root: Root, parts: Iterable[Edit]) -> None:
    """Raises `CantSerializeRedisValueError` where what a save sends would come back as another value."""
    codec = root.__rapyer_codec__
    if codec.is_safe and codec.required <= root.__dict__.keys():
        return
    names = {str(part.steps[0]) if part.steps else None for part in parts}
    codec.check_fields(root, None if None in names else cast("set[str]", names))


def _failed(root: Root, codec: Codec) -> set[str]:
    return {name for name in codec.safe_fields if root.__dict__.get(name) is None}


def _part(codec: Codec, steps: _Steps, before: bytes | None, after: bytes | None) -> list[Edit]:
    whole, kept = codec, True
    for step in steps:
        kept = not isinstance(step, str) or codec.keeps(step)
        codec = codec.member(step) if isinstance(step, str) else codec.item
    path = path_text(steps)
    if after is None:
        # What this release does not know is not its own to remove.
        return [Edit(steps, ("UNSET", path))] if kept else []
    if before is None:
        return [Edit(steps, ("SET", path, after))]
    if before[:1] == after[:1] == b"[" and not codec.holds_set:
        # Ahead of comparing the values of all elements: most of them have the same texts.
        keys = keys_of(codec.item, before)
        if keys is not None and keys == keys_of(codec.item, after):
            return _edits_by_key(whole, steps, keys, before, after)
    if codec.same(before, after):
        # Others write the same value in their way.
        return []
    if before[:1] == after[:1] == b"{":
        return _moves(codec, steps, before, after) if codec.keeps_order else []
    if before[:1] == after[:1] == b"[":
        if codec.holds_set:
            return _set_edits(steps, path, codec.item, before, after)
        after = _over(codec, before, after)
    return [Edit(steps, ("SET", path, after))]


def _moves(codec: Codec, steps: _Steps, before: bytes, after: bytes) -> list[Edit]:
    """What gives the entries of a dict another order: those that come later are removed and set anew."""
    places = {name: at for at, name in enumerate(from_json(before))}
    document, mine, latest = Document(before), Document(after), -1
    found: list[Edit] = []
    for name in from_json(after):
        if (at := places.get(name)) is None:
            continue
        if at > latest and not found:
            latest = at
            continue
        place, inner = (*steps, name), path_text((name,))
        text = _over(codec.member(name), cast("bytes", document.get(inner)), cast("bytes", mine.get(inner)))
        found += [Edit(place, ("UNSET", path_text(place))), Edit(place, ("SET", path_text(place), text))]
    return found


def _set_edits(steps: _Steps, path: str, item: Codec, before: bytes, after: bytes) -> list[Edit]:
    # What was added and removed: it undoes nothing that others did.
    old, new = (dict.fromkeys(map(to_json, from_json(text))) for text in (before, after))
    gone = [item for item in old if item not in new]
    come = [item for item in new if item not in old]
    found = [("DISCARD", gone), ("ADD", come)]
    meaning = () if item.equality is None else ("AS", item.equality)
    return [Edit(steps, (word, path, len(items), *items, *meaning)) for word, items in found if items]


def _edits_by_key(
    codec: Codec, steps: _Steps, keys: list[str | int], before: bytes, after: bytes
) -> list[Edit]:
    """What changed in elements of a list, which are the same ones in the same order."""
    element = codec_at(codec, steps).item
    name = cast("str", element.key_field)
    found: list[Edit] = []
    for key, old, new in zip(keys, elements(before), elements(after), strict=True):
        if old != new and not element.same(old, new):
            for inner, held, wanted in Document(old).diff(new):
                found += _part(codec, (*steps, ByKey(name, key), *inner), held, wanted)
    return found


def over(root: Root, steps: _Steps, before: bytes, after: bytes) -> bytes:
    """The text of a value in place of another: with the members of that which this release does not know."""
    return _over(codec_at(root.__rapyer_codec__, steps), before, after)


def edits_over(root: Root, steps: _Steps, before: bytes, after: bytes) -> list[Edit]:
    """The edits from one object to another, if it has members that this release does not know; else none."""
    codec = codec_at(root.__rapyer_codec__, steps)
    found: list[Edit] = []
    has_others = False
    for inner, old, new in Document(before).diff(after):
        parts = _part(codec, inner, old, new)
        has_others = has_others or (new is None and not parts)
        for part in parts:
            word, _, *rest = part.words
            place = (*steps, *part.steps)
            found.append(Edit(place, (word, path_text(place), *rest)))
    return found if has_others else []


def _over(codec: Codec, before: bytes, after: bytes) -> bytes:
    if codec.same(before, after):
        # In the words that are stored.
        return before
    if before[:1] == after[:1] == b"{":
        document = Document(before)
        if codec.keeps_order:
            return _entries_over(codec, document, after)
        parts = [part for steps, old, new in document.diff(after) for part in _part(codec, steps, old, new)]
        apply(document, parts)
        return document.text()
    if before[:1] == after[:1] == b"[" and not codec.holds_set and not codec.item.has_one_text:
        return b"[" + b",".join(_elements_over(codec.item, elements(before), elements(after))) + b"]"
    return after


def _entries_over(codec: Codec, document: Document, after: bytes) -> bytes:
    mine = Document(after)
    entries: list[bytes] = []
    for name in from_json(after):
        path = path_text((name,))
        held, text = document.get(path), cast("bytes", mine.get(path))
        entries.append(
            to_json(name) + b":" + (text if held is None else _over(codec.member(name), held, text))
        )
    return b"{" + b",".join(entries) + b"}"


def _by_key(codec: Codec, texts: list[bytes]) -> dict[Any, bytes] | None:
    keys = keys_of(codec, b"[" + b",".join(texts) + b"]")
    return None if keys is None else dict(zip(keys, texts, strict=True))


def _elements_over(codec: Codec, old: list[bytes], new: list[bytes]) -> list[bytes]:
    """Elements as they are stored: those of a key, equal ones wherever they went, changed ones by place."""
    if (held := _by_key(codec, old)) is not None and (mine := _by_key(codec, new)) is not None:
        return [_over(codec, held[key], text) if key in held else text for key, text in mine.items()]
    start = end = 0
    shorter = min(len(old), len(new))
    while start < shorter and codec.same(old[start], new[start]):
        start += 1
    while end < shorter - start and codec.same(old[-1 - end], new[-1 - end]):
        end += 1
    middle, changed = old[start : len(old) - end], new[start : len(new) - end]
    places: dict[bytes, list[int]] = {}
    for at in reversed(range(len(middle))):
        places.setdefault(codec.rewritten(middle[at]), []).append(at)
    sources = [found.pop() if (found := places.get(codec.rewritten(text))) else None for text in changed]
    taken = set(sources)
    for at, source in enumerate(sources):
        if source is not None:
            changed[at] = middle[source]
        elif at < len(middle) and at not in taken:
            changed[at] = _over(codec, middle[at], changed[at])
    return [*old[:start], *changed, *old[len(old) - end :]]


def is_within(steps: _Steps, place: _Steps) -> bool:
    """Whether steps lead to a place or into it."""
    return steps[: len(place)] == place


def edit_words(parts: Iterable[Edit]) -> "Command":
    """The command that makes edits, on a document whatever its key is."""
    return commands.edit("", *[part.words for part in parts])


def apply(document: Document, parts: Iterable[Edit]) -> None:
    """Makes edits on a document. Raises `CommandError` where one of them has no place there."""
    document.apply(edit_words(parts))


def rebased(base: Document, parts: list[Edit], text: bytes) -> Document:
    """What a document is with the edits that led to `text`."""
    if not parts:
        return base
    document = base.fork()
    try:
        apply(document, parts)
    except CommandError:
        # Nothing of a refused command is done.
        mine = Document(text)
        for part in parts:
            _apply_or_replace(document, part, mine)
    return document


def _apply_or_replace(document: Document, part: Edit, mine: Document) -> None:
    """Makes an edit. What it is in may be gone or another value: then that is made what it is here.

    An element of a list comes back at its end. Where it cannot be told, the field stands for it.
    """
    steps = part.steps
    try:
        apply(document, [part])
        return
    except CommandError:
        pass
    for depth in range(1, len(steps) + 1):
        place = path_text(steps[:depth])
        with suppress(CommandError):
            value, held = mine.get(place), document.get(place)
            if value is None:
                # What would be removed is gone.
                return
            if held is None and isinstance(steps[depth - 1], ByKey):
                document.apply(commands.append("", path_text(steps[: depth - 1]), value))
                return
            if held is None or held[:1] != value[:1] or depth == len(steps):
                document.apply(commands.set_("", place, value))
                return
    field = path_text(steps[:1])
    value = mine.get(field)
    document.apply(commands.unset("", field) if value is None else commands.set_("", field, value))
