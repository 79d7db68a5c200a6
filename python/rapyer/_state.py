"""What a model knows of its document, and how its value follows.

The local value is the base with the unsaved edits. The base is an engine document, what the server was last
known to hold: only an answer of the server moves it. Unsaved edits are what the user did and has not saved;
they are not kept but found, by comparing. An operation runs on the base as it ran on the server, and what it
changed there is taken over into the value here.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import from_json

import rapyer._commands as commands
from rapyer._binding import ByKey, Root, Segment, merged, path_text
from rapyer._codec import Codec
from rapyer._edits import (
    Edit,
    edits,
    rebased,
)
from rapyer._elements import named
from rapyer._local import Local, codec_at, has_default, index_here, local_at, members_of
from rapyer._native import CommandError, Document
from rapyer.errors import CorruptedModelError
from rapyer.fields import RapyerKey

if TYPE_CHECKING:
    from rapyer._connection import Route
    from rapyer._native import Change
    from rapyer._transport import Reply
    from rapyer._words import Command

__all__ = [
    "Moved",
    "Spliced",
    "State",
    "follow",
    "is_versioned",
    "keep_order",
    "learn",
    "load",
    "rebase",
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


def settled(root: Root, base: Document, parts: Iterable[Edit]) -> None:
    """Edits led to this document on the server: elements and entries here are where they are there."""
    keep_order(root, base, parts)
    for part in parts:
        if part.words[0] != "SET" or part.words[2][:1] != b"[":
            continue
        place = local_at(root, root.__rapyer_codec__, part.steps)
        if place is not None and getattr(place.holder, "_rapyer_moved", False):
            held = base.get(path_text(part.steps)) or b"null"
            place.holder._rapyer_moved = not place.codec.same(held, place.codec.dump(place.holder))


def keep_order(root: Root, document: Document, parts: Iterable[Edit]) -> None:
    """Has the entries of dicts that were edited follow each other here as in the document."""
    # What is around a field is a model, whose members have the order of its class.
    edited = [part for part in parts if len(part.steps) > 1 and part.words[0] == "SET"]
    for steps in dict.fromkeys(part.steps[:-1] for part in edited) if edited else ():
        place = local_at(root, root.__rapyer_codec__, steps)
        if place is None or not isinstance(place.holder, dict) or not place.codec.keeps_order:
            continue
        names = [place.codec.key_of(name) for name in from_json(document.get(path_text(steps)) or b"{}")]
        held = dict(dict.items(place.holder))
        ordered = {name: held[name] for name in names if name in held} | held
        if list(ordered) != list(held):
            dict.clear(place.holder)
            dict.update(place.holder, ordered)


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
    if any(change[0] == "unset" and has_default(codec, change[1]) for change in changes):
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
            elif (place := local_at(root, codec, steps[:-1])) is not None:
                _put(root, place, steps[-1], text, known)
        elif change[0] == "unset":
            steps = change[1]
            if (place := local_at(root, codec, steps[:-1])) is not None:
                _unset(place, cast("str", steps[-1]))
        elif (place := local_at(root, codec, change[1])) is not None:
            _splice(root, place, change, known)


def _replaceable(root: Root, codec: Codec, steps: _Steps) -> _Steps:
    """The steps to a value, or to what around it is only replaced as a whole: a dataclass, a root model."""
    for depth in range(1, len(steps)):
        place = local_at(root, codec, steps[:depth])
        if place is not None and (
            isinstance(place.holder, RootModel) or not isinstance(place.holder, (BaseModel, dict, list))
        ):
            return steps[:depth]
    return steps


def _value(root: Root, codec: Codec, text: bytes, known: "Mapping[bytes, Any] | None") -> Any:
    if known is not None and text in known:
        return known[text]
    return load(root, codec, text)


def _put(root: Root, place: Local, step: Segment, text: bytes, known: "Mapping[bytes, Any] | None") -> None:
    holder, codec = place
    if not isinstance(step, str):
        if isinstance(holder, list) and (at := index_here(holder, codec, step)) is not None:
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


def _unset(place: Local, name: str) -> None:
    holder, codec = place
    if isinstance(holder, BaseModel):
        if name not in codec.excluded:
            members_of(holder, name).pop(name, None)
    elif isinstance(holder, dict):
        dict.pop(holder, codec.key_of(name), None)


def _splice(root: Root, place: Local, change: "Change", known: "Mapping[bytes, Any] | None") -> None:
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
