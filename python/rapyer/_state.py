"""What a model knows of its document, and how its value follows.

The local value is the base with the unsaved edits. The base is an engine document, what the server was last
known to hold: only an answer of the server moves it. Unsaved edits are what the user did and has not saved;
they are not kept but found, by comparing. An operation runs on the base as it ran on the server, and what it
changed there is taken over into the value here.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast, runtime_checkable

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import from_json, to_json

import rapyer._commands as commands
from rapyer._binding import ByKey, Root, Segment, merged, path_text
from rapyer._codec import Codec
from rapyer._elements import index_of, keys_of, named
from rapyer._native import CommandError, Document, elements
from rapyer.errors import CorruptedModelError
from rapyer.fields import RapyerKey

if TYPE_CHECKING:
    from rapyer._connection import Route
    from rapyer._native import Change
    from rapyer._transport import Reply
    from rapyer._words import Command, Default

__all__ = [
    "Edit",
    "Moved",
    "Spliced",
    "State",
    "apply",
    "check",
    "codec_at",
    "defaults",
    "edit_words",
    "edits",
    "edits_over",
    "follow",
    "held_at",
    "is_versioned",
    "is_within",
    "keep_order",
    "learn",
    "load",
    "members_of",
    "over",
    "rebase",
    "rebased",
    "see",
    "settled",
    "show",
    "state_of",
    "take_over",
    "told",
]

_log: Final = logging.getLogger("rapyer")

_Steps = tuple[Segment, ...]


class Moved(Protocol):
    """What depends on the base of a model."""

    document: Document | None
    is_guess: bool
    recorded: set[str]
    """The fields that the document holds the local changes of."""

    def move(self) -> None:
        """Follows the base, which is another one now."""
        ...


class State:
    """One model's identity, and what the server is known to hold of it."""

    __slots__ = ("_base", "_text", "forks", "key", "pk", "version")

    def __init__(
        self, pk: Any, key: RapyerKey | None = None, text: bytes | None = None, version: bytes | None = None
    ) -> None:
        self.pk = pk
        self.key = key
        """The key that the base is what is under."""
        self.version = version
        """The version that the base is at, where the server was asked for it; one that is left behind where
        others wrote what this model has not seen the whole of."""
        self._text = text
        self._base: Document | None = None
        self.forks: list[Moved] = []
        """What it is in the blocks that it takes part in, the innermost last."""

    @property
    def base(self) -> Document | None:
        """What the server was last known to hold; None before a load or a save, and after a deletion."""
        if self._text is not None:
            # A load has no time for what may not be needed.
            self._base, self._text = Document(self._text), None
        return self._base

    def know(self, key: RapyerKey, base: Document | bytes | None, version: bytes | None = None) -> None:
        """The server holds this now, at this version."""
        self.key = key
        self.version = version
        self._text, self._base = (base, None) if isinstance(base, bytes) else (None, base)

    def advance(self, version: bytes | None) -> None:
        """A write of one's own led to this version: what is known follows where it was the only one."""
        if self.version is None or version is None:
            return
        created, _, counter = self.version.partition(b"-")
        if version == b"%b-%d" % (created, int(counter) + 1):
            self.version = version

    @property
    def ground(self) -> Document | None:
        """What the value is, but for unsaved edits: the document of the innermost block, else the base."""
        return self.forks[-1].document if self.forks else self.base

    def move(self, key: RapyerKey, base: Document, version: bytes | None) -> None:
        """The server holds this now, and the blocks' documents follow, those around others first."""
        self.know(key, base, version)
        for fork in self.forks:
            fork.move()

    def copy(self) -> "State":
        """For a copy of the model, whose base moves by itself.

        In a block it is what the block has made of it: what is recorded there is not unsaved in the copy.
        """
        if self.forks and not self.forks[-1].is_guess:
            copy, ground = State(self.pk, self.key), self.ground
        else:
            copy, ground = State(self.pk, self.key, self._text, self.version), self._base
        copy._base = None if ground is None else ground.fork()
        return copy


def state_of(root: Root, key: RapyerKey | None = None) -> State:
    """The state of a model, whose key may be given. What it knows of another key than its own is nothing."""
    state: State = root._rapyer_state()
    if state.key is not None and state.key != (key or root.key):
        state.know(key or root.key, None)
    return state


def is_versioned(route: "Route", state: State) -> bool:
    """Whether what is sent for a model asks for the version of its document."""
    return route.optimistic or state.version is not None


def told(reply: "Reply", versioned: bool) -> tuple[Any, bytes | None]:
    """A command's own reply, and the version where it was asked for."""
    return cast("tuple[Any, bytes | None]", reply) if versioned else (reply, None)


def load(root: Root, codec: Codec, text: bytes, steps: _Steps = ()) -> Any:
    """The value of a text from the server, of a place or of all. Raises `CorruptedModelError`."""
    try:
        return codec.load(text)
    except ValidationError as error:
        name = type(root).__name__
        raise CorruptedModelError(
            f"{path_text(steps)} of {root.key!r} is not what {name} says: {error}"
            if steps
            else f"what is stored under {root.key!r} is no {name}: {error}"
        ) from error


# -- unsaved edits


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
    place = _at(root, codec, steps[:-1])
    if place is None:
        return False
    name = cast("str", steps[-1])
    if isinstance(place.holder, BaseModel) and name in place.holder.__pydantic_fields_set__:
        return False
    return place.codec.member(name).default() == text


def check(root: Root, parts: Iterable[Edit]) -> None:
    """Raises `CantSerializeRedisValueError` where what a save sends would come back as another value."""
    codec = root.__rapyer_codec__
    if codec.is_safe and codec.required <= root.__dict__.keys():
        return
    names = {str(part.steps[0]) if part.steps else None for part in parts}
    codec.check_fields(root, None if None in names else cast("set[str]", names))


def _has_default(codec: Codec, steps: _Steps) -> bool:
    """Whether a place is that of a declared field, which has a value where nothing is stored."""
    return codec_at(codec, steps[:-1]).declares(cast("str", steps[-1]))


def codec_at(codec: Codec, steps: _Steps) -> Codec:
    """What writes and reads the value at a place."""
    for step in steps:
        codec = codec.member(step) if isinstance(step, str) else codec.item
    return codec


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


def settled(root: Root, base: Document, parts: Iterable[Edit]) -> None:
    """Edits led to this document on the server: elements and entries here are where they are there."""
    keep_order(root, base, parts)
    for part in parts:
        if part.words[0] != "SET" or part.words[2][:1] != b"[":
            continue
        place = _at(root, root.__rapyer_codec__, part.steps)
        if place is not None and getattr(place.holder, "_rapyer_moved", False):
            held = base.get(path_text(part.steps)) or b"null"
            place.holder._rapyer_moved = not place.codec.same(held, place.codec.dump(place.holder))


def keep_order(root: Root, document: Document, parts: Iterable[Edit]) -> None:
    """Has the entries of dicts that were edited follow each other here as in the document."""
    # What is around a field is a model, whose members have the order of its class.
    edited = [part for part in parts if len(part.steps) > 1 and part.words[0] == "SET"]
    for steps in dict.fromkeys(part.steps[:-1] for part in edited) if edited else ():
        place = _at(root, root.__rapyer_codec__, steps)
        if place is None or not isinstance(place.holder, dict) or not place.codec.keeps_order:
            continue
        names = [place.codec.key_of(name) for name in from_json(document.get(path_text(steps)) or b"{}")]
        held = dict(dict.items(place.holder))
        ordered = {name: held[name] for name in names if name in held} | held
        if list(ordered) != list(held):
            dict.clear(place.holder)
            dict.update(place.holder, ordered)


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


# -- the value here follows


def rebase(root: Root, base: bytes, version: bytes | None = None) -> None:
    """The server holds another document: the value becomes that with the unsaved edits."""
    if state_of(root).base is None:
        root._rapyer_follow(load(root, root.__rapyer_codec__, base))
        state_of(root).know(root.key, base, version)
    else:
        _move_base(root, Document(base), version)


def see(root: Root, steps: _Steps, text: bytes) -> None:
    """The server holds this at a place: the value there becomes that with the unsaved edits."""
    base = state_of(root).base
    if base is not None:
        document = base.fork()
        document.apply(commands.set_("", path_text(steps), text))
        _move_base(root, document, state_of(root).version)


def _move_base(root: Root, document: Document, version: bytes | None) -> None:
    state, text = state_of(root), root.__rapyer_codec__.text(root)
    shown = state.ground
    parts = [] if shown is None else edits(root, shown, text)
    state.move(root.key, document, version)
    show(root, rebased(state.ground or document, parts, text), text)


def show(root: Root, document: Document, text: bytes) -> None:
    """Makes the value what a document holds; its text is known."""
    changes: list[Change] = []
    codec = root.__rapyer_codec__
    whole: set[_Steps] = set()
    for steps, wanted, held in document.diff(text):
        place = _replaceable(root, codec, steps)
        if place != steps:
            if place not in whole and (around := document.get(path_text(place))) is not None:
                changes.append(cast("Change", ("put", place, around)))
            whole.add(place)
        elif wanted is None:
            changes.append(("unset", steps))
        elif held is None or wanted[:1] != b"{" or held[:1] != b"{" or codec_at(codec, steps).keeps_order:
            changes.append(("put", steps, wanted))
    if any(change[0] == "unset" and _has_default(codec, change[1]) for change in changes):
        # A field that is not stored has its default, which only loading the whole gives.
        root._rapyer_follow(load(root, codec, document.text()))
        return
    take_over(root, changes)
    keep_order(root, document, [Edit(change[1], ("SET",)) for change in changes if change[0] == "put"])


def learn(root: Root, steps: _Steps, text: bytes, value: Any) -> None:
    """The server holds this at a place; so does the value here, whatever was unsaved of it."""
    state = state_of(root)
    if state.base is not None:
        # What is around it may have come to be after this model was loaded.
        with suppress(CommandError):
            state.base.apply(commands.set_("", path_text(steps), text))
    _take_over(root, state, [cast("Change", ("put", steps, text))], {text: value})


def follow(
    root: Root, state: State, words: "Command", known: "Mapping[bytes, Any] | None", segments: _Steps
) -> None:
    """Runs on the base what the server ran, and takes over what that changed.

    `known` are values of texts, for whoever has them already; `segments` lead to where it was done.
    """
    base = state.base
    if base is None:
        # Nothing is known: the operation is done to the value as it is.
        base = Document(root.__rapyer_codec__.text(root))
    try:
        _, changes = base.apply(words)
    except CommandError as error:
        # Others have changed what this model has not seen since. What it knows stays, until it loads.
        _log.debug("%s was applied to %r, not to what is known of it here: %s", words[0], root.key, error)
        return
    _take_over(root, state, named(changes, segments) if ByKey in map(type, segments) else changes, known)


def _take_over(
    root: Root, state: State, changes: "Iterable[Change]", known: "Mapping[bytes, Any] | None"
) -> None:
    """Takes over changes of the base: through the blocks, where they have recorded something of a field."""
    if not state.forks:
        take_over(root, changes, known)
        return
    recorded = {name for fork in state.forks for name in fork.recorded}
    if not recorded:
        for fork in state.forks:
            fork.move()
        take_over(root, changes, known)
        return
    shown = {name: _text_at(state.ground, name) for name in recorded}
    for fork in state.forks:
        fork.move()
    take_over(root, [change for change in changes if change[1] and change[1][0] not in recorded], known)
    news: list[Change] = []
    for name, before in shown.items():
        after = _text_at(state.ground, name)
        if after != before:
            news.append(("unset", (name,)) if after is None else ("put", (name,), after))
    take_over(root, news)


def _text_at(document: Document | None, name: str) -> bytes | None:
    return None if document is None else document.get(path_text((name,)))


def take_over(root: Root, changes: "Iterable[Change]", known: "Mapping[bytes, Any] | None" = None) -> None:
    """Makes the same changes to the value here. What is not there, because of an unsaved edit, is left alone.

    `known` are values of texts, for whoever has them already.
    """
    for change in changes:
        codec = root.__rapyer_codec__
        if change[0] == "put":
            _, steps, text = change
            if not steps:
                root._rapyer_follow(load(root, codec, text))
            elif (place := _at(root, codec, steps[:-1])) is not None:
                _put(root, place, steps[-1], text, known)
        elif change[0] == "unset":
            steps = change[1]
            if (place := _at(root, codec, steps[:-1])) is not None:
                _unset(place, cast("str", steps[-1]))
        elif (place := _at(root, codec, change[1])) is not None:
            _splice(root, place, change, known)


class _Place(NamedTuple):
    """A value here and what reads and writes it."""

    holder: Any
    codec: Codec


def _at(root: Root, codec: Codec, steps: _Steps) -> _Place | None:
    """What is here at a place of the document; None where that is something else."""
    holder: Any = root
    for step in steps:
        if not isinstance(step, str):
            at = _index(holder, codec, step) if isinstance(holder, list) else None
            if at is None:
                return None
            holder, codec = list.__getitem__(holder, at), codec.item
        elif isinstance(holder, BaseModel):
            name, codec = step, codec.member(step)
            fields = members_of(holder, name)
            if name not in fields:
                return None
            holder = fields[name]
        elif isinstance(holder, dict):
            key = codec.key_of(step)
            if not dict.__contains__(holder, key):
                return None
            holder, codec = dict.__getitem__(holder, key), codec.member(step)
        else:
            return None
    return _Place(holder, codec)


def _index(holder: list[Any], codec: Codec, step: int | ByKey) -> int | None:
    if isinstance(step, ByKey):
        return index_of(codec.item, list.__iter__(holder), step)
    return step if 0 <= step < len(holder) else None


def _replaceable(root: Root, codec: Codec, steps: _Steps) -> _Steps:
    """The steps to a value, or to what around it is only replaced as a whole: a dataclass, a root model."""
    for depth in range(1, len(steps)):
        place = _at(root, codec, steps[:depth])
        if place is not None and (
            isinstance(place.holder, RootModel) or not isinstance(place.holder, (BaseModel, dict, list))
        ):
            return steps[:depth]
    return steps


def held_at(root: Root, steps: _Steps) -> Any:
    """The value here at a place of the document; None where there is none."""
    place = _at(root, root.__rapyer_codec__, steps)
    return None if place is None else place.holder


def _value(root: Root, codec: Codec, text: bytes, known: "Mapping[bytes, Any] | None") -> Any:
    if known is not None and text in known:
        return known[text]
    return load(root, codec, text)


def _put(root: Root, place: _Place, step: Segment, text: bytes, known: "Mapping[bytes, Any] | None") -> None:
    holder, codec = place
    if not isinstance(step, str):
        if isinstance(holder, list) and (at := _index(holder, codec, step)) is not None:
            value = _value(root, codec.item, text, known)
            list.__setitem__(holder, at, merged(list.__getitem__(holder, at), value))
    elif isinstance(holder, BaseModel):
        if codec.loads(step):
            fields = members_of(holder, step)
            fields[step] = merged(fields.get(step), _value(root, codec.member(step), text, known))
            holder.__pydantic_fields_set__.add(step)
    elif isinstance(holder, dict):
        key = codec.key_of(step)
        value = _value(root, codec.member(step), text, known)
        dict.__setitem__(holder, key, merged(dict.get(holder, key), value))


def _unset(place: _Place, name: str) -> None:
    holder, codec = place
    if isinstance(holder, BaseModel):
        if name not in codec.excluded:
            members_of(holder, name).pop(name, None)
    elif isinstance(holder, dict):
        dict.pop(holder, codec.key_of(name), None)


def members_of(model: Any, name: str) -> dict[str, Any]:
    """Where pydantic keeps the value of a member: with the fields, or with what is not declared."""
    extra: dict[str, Any] | None = model.__pydantic_extra__
    fields: dict[str, Any] = model.__dict__
    return fields if extra is None or name in type(model).model_fields else extra


def _splice(root: Root, place: _Place, change: "Change", known: "Mapping[bytes, Any] | None") -> None:
    """Has elements come into a list, a set or a queue, or leave it."""
    kind, _, at, texts = cast("tuple[str, _Steps, int | None, list[bytes]]", change)
    holder, codec = place.holder, place.codec.item
    if kind == "insert":
        values = [_value(root, codec, text, known) for text in texts]
        if isinstance(holder, list):
            # In a list that was changed here too, the index is another one's, but the end is the end.
            at = len(holder) if at is None else at
            list.__setitem__(holder, slice(at, at), values)
        elif isinstance(holder, set):
            set.update(holder, values)
        elif isinstance(holder, Spliced):
            holder._rapyer_insert(at, values)
        return
    at = cast("int", at)
    if isinstance(holder, list):
        if not getattr(holder, "_rapyer_moved", False):
            list.__delitem__(holder, slice(at, at + len(texts)))
            return
        # Its elements are in other places here: those go that are equal.
        mine = Document(b"[" + b",".join(map(codec.text, list.__iter__(holder))) + b"]")
        for text in texts:
            for gone in mine.apply(commands.remove("", "$", text, as_=codec.equality))[1]:
                list.__delitem__(holder, cast("int", cast("Any", gone)[2]))
    elif isinstance(holder, set):
        for text in texts:
            # What is no value of this type is not in this set.
            with suppress(ValidationError):
                set.discard(holder, codec.load(text))
    elif isinstance(holder, Spliced):
        holder._rapyer_cut(at, len(texts))


@runtime_checkable
class Spliced(Protocol):
    """A value of ours that is stored as an array."""

    def _rapyer_insert(self, at: int | None, values: list[Any]) -> None: ...
    def _rapyer_cut(self, at: int, count: int) -> None: ...
