"""One model inside a block: a fork of its document, and the operations recorded on it.

The fork is the base with the operations of the blocks around and of this one. Where the base moves meanwhile,
because of another task's operation or of an inner block, it is made anew.
"""

import asyncio
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from pydantic import ValidationError

import rapyer._commands as commands
from rapyer._binding import Root, Segment, merged, path_text
from rapyer._codec import Codec
from rapyer._edits import Edit, check, edits, is_within, rebased
from rapyer._local import codec_at, members_of
from rapyer._native import CommandError, Document
from rapyer._state import State, is_versioned, keep_order, load, show, take_over
from rapyer._validation import Checked, checked_by_command, checked_by_parts, expected, validate
from rapyer._words import Command, described
from rapyer.errors import CantSerializeRedisValueError, CorruptedModelError, command_error
from rapyer.fields import RapyerKey

if TYPE_CHECKING:
    from rapyer._connection import Route
    from rapyer._native import Change

__all__ = ["Fork"]

# What cannot change in place: the object a field held before is what it holds again.
_IMMUTABLE: Final = (str, bytes, int, float, complex, NoneType, date, time, timedelta, Decimal, UUID, Enum)


class Fork:
    """A model that takes part in a block, and what it was before."""

    def __init__(
        self,
        root: Root,
        key: RapyerKey,
        state: State,
        task: "asyncio.Task[Any] | None",
        *,
        known: bool,
    ) -> None:
        self.root = root
        self.key = key
        self.route: Route = type(root)._rapyer_route()
        self.task = task
        self._state = state
        self.around = cast("Fork | None", self._state.forks[-1] if self._state.forks else None)
        self._text = root.__rapyer_codec__.text(root)
        """What the model was on entry."""
        self._fields = dict(root.__dict__)
        self._extra = None if root.__pydantic_extra__ is None else dict(root.__pydantic_extra__)
        self._fields_set = set(root.__pydantic_fields_set__)
        ground = self._ground()
        self._entry = None if ground is None else ground.fork()
        self.document = None if ground is None else ground.fork()
        self.known = known or self.document is not None
        """Whether there is a document for its changes to go to."""
        self.is_guess = False
        """Whether the document is what the model is here, because nothing is known of the server's."""
        if self.document is None and known:
            self._guess(self._text)
        self.operations: list[Command] = []
        self.changed: set[str] = set()
        """The fields that operations were recorded for."""
        self.told: dict[str, dict[str, Command]] = {}
        """The elements of lists that the block has operated on, by their paths, and the conditions that tell
        them from others, by the paths of what these ask for. As long as no element moves."""
        self.recorded: set[str] = set()
        """These, and the fields that were saved: the document holds their local changes."""
        self.saved: set[Edit] = set()
        """The changes that were unsaved, and that this block sends."""
        self.is_saved = False
        self.checked = Checked(set(), set())
        """The places with validators that the block has changed something in."""
        self.insists = False
        """Whether the document is to be as it was last seen."""
        self._is_whole = False
        self._entry_edits: list[Edit] | None = None
        self._unsaved: dict[str, list[Edit]] | None = None
        self._has_moved = False
        self._has_left = False
        if self.around is not None:
            # What was not saved on entry there is found before this block changes anything.
            self.around.unsaved_on_entry()
        self._state.forks.append(self)

    def _ground(self) -> Document | None:
        """What the fork is a fork of."""
        return self._state.base if self.around is None else self.around.document

    def become_known(self) -> None:
        """There is a document, or will be, before the block ends."""
        if not self.known:
            self.known = True
            self._guess(self.root.__rapyer_codec__.text(self.root))

    def _guess(self, text: bytes) -> None:
        # Nothing is known of what the server holds: operations are done to what the model is here.
        self.is_guess = True
        self.document = Document(text)

    # -- recording

    def text(self) -> bytes | None:
        """The document here; None once it is deleted."""
        return None if self.document is None else self.document.text()

    def read(self, words: Command) -> Any:
        """What a command that changes nothing answers here."""
        if self.document is None:
            raise command_error("NOKEY there is no such document", described(words))
        try:
            return self.document.apply(words)[0]
        except CommandError as error:
            raise command_error(str(error), described(words)) from None

    def run(self, words: Command, holds: Command | None = None) -> tuple[Any, list[Any]]:
        """Does to the fork what the server is going to do, and records it: the reply and the changes.

        `holds` is a condition for afterwards: where it is not met, nothing was done.
        """
        if self.document is None:
            raise command_error("NOKEY there is no such document", described(words))
        before = self.document if holds is None else self.document.fork()
        try:
            done = self.document.apply(words)
            if holds is not None:
                self.document.apply(holds)
        except CommandError as error:
            self.document = before
            raise command_error(str(error), described(words)) from None
        self.operations += [words] if holds is None else [words, holds]
        return done

    def forget_moved(self, changes: "list[Change]") -> None:
        """Elements of lists moved, so that they are to be told anew."""
        moved = tuple(f"{path_text(change[1])}[" for change in changes if change[0] in ("insert", "cut"))
        self.told = {path: told for path, told in self.told.items() if not path.startswith(moved)}

    def changes_in(self, steps: tuple[Segment, ...], words: Command) -> None:
        """A command on a place is going to be recorded: validators are to see what it makes.

        Raises pydantic's `ValidationError` where those of the place itself refuse that; others see the end.
        """
        codec = self.root.__rapyer_codec__
        self._checks(checked_by_command(codec, steps, words))
        if steps and codec_at(codec, steps).validates and self.document is not None:
            made = self.document.fork()
            with suppress(CommandError):
                made.apply(words)
            validate(self.root, made, (steps,))

    def _checks(self, checked: Checked) -> None:
        self.checked.made.update(checked.made)
        self.checked.seen.update(checked.seen)

    def validate(self) -> None:
        """Raises pydantic's `ValidationError` where the class would refuse to load what the block makes."""
        if self.document is not None:
            validate(self.root, self.document, self.checked.made)

    def unsaved_of(self, name: str) -> list[Edit]:
        """The changes of a field that were unsaved when the first operation on it is recorded."""
        if self._unsaved is None:
            # Of the fields that are not touched yet, this is what they were on entry.
            is_entry = not self.operations and not self._has_moved and self._entry is not None
            self._unsaved = {}
            for part in self.unsaved_on_entry() if is_entry else self.unsaved():
                self._unsaved.setdefault(str(part.steps[0]) if part.steps else "", []).append(part)
        return self._unsaved.get(name, [])

    def unsaved_on_entry(self) -> list[Edit]:
        """The changes that were not saved on entry; first asked for before anything is changed."""
        if self._entry_edits is None:
            self._entry_edits = [] if self._entry is None else edits(self.root, self._entry, self._text)
        return self._entry_edits

    def record_saved(self, parts: list[Edit]) -> None:
        """Edits were recorded: the document holds these changes."""
        self.recorded.update(str(part.steps[0]) for part in parts if part.steps)
        self.saved.update(parts)
        if self.document is not None:
            keep_order(self.root, self.document, parts)

    def saves(self, parts: list[Edit]) -> None:
        """Parts are going to be saved: validators are to see what these make."""
        self._checks(checked_by_parts(self.root.__rapyer_codec__, parts))

    def record_whole(self, part: Edit) -> None:
        """An edit of a value as a whole was recorded: what was unsaved in it is sent with it."""
        self.saved.update(one for one in self.unsaved_on_entry() if is_within(one.steps, part.steps))

    def unsaved(self) -> list[Edit]:
        """The changes that no operation was recorded for."""
        if self.document is None:
            return []
        return edits(self.root, self.document, self.root.__rapyer_codec__.text(self.root))

    def saved_as(self, text: bytes, words: Command) -> None:
        """The whole document is going to be saved by a command."""
        self.document = Document(text)
        self.operations.append(words)
        self.saved.update(self.unsaved_on_entry())
        self.recorded.update(self._fields)
        self.known = True
        self.is_guess = False
        self._is_whole = True
        if self.root.__rapyer_codec__.has_validators:
            self.checked.made.add(())

    def deleted(self) -> None:
        """The document is going to be deleted."""
        self.document = None
        self.is_guess = False
        self.operations = []

    def unrecorded(self) -> list[tuple[Edit, bytes | None]]:
        """What changed in the block inside values that have no operations, and what was there before."""
        parts = self.unsaved() if self._entry is not None else []
        if not parts or self._entry is None or self.document is None:
            return []
        before = set(self.unsaved_on_entry())
        document = self.document
        changed = [part for part in parts if part not in before]
        check(self.root, changed)
        return [(part, document.get(path_text(part.steps))) for part in changed]

    def creation(self) -> Command | None:
        """What makes the document again where it is gone."""
        if self._entry is None:
            return None
        return commands.create(self.key, self._entry.text(), nx=True, expect_policy=True)

    # -- versions

    def asks_version(self) -> bool:
        """Whether the batch is to tell the version of the document."""
        return self.insists or is_versioned(self.route, self._state)

    def expected(self) -> list[Command]:
        """What insists on the document that was last seen, or on what validators have seen of it."""
        if self._state.base is None or self.is_guess or (self._is_whole and not self.insists):
            return []
        return expected(self.key, self._state, ((),) if self.insists else self.checked.seen)

    def advance(self, before: bytes | None, after: bytes | None) -> None:
        """The block led from one version to another: what is known follows, unless others came between."""
        if self.insists or self._is_whole or before in (None, self._state.version):
            self._state.version = after

    # -- the base moves

    def move(self) -> None:
        """Makes the fork anew on the document that it is a fork of."""
        ground = self._ground()
        if ground is None or self.document is None:
            return
        self.unsaved_on_entry()
        self.document = _replayed(ground, self.operations)
        self._unsaved, self._has_moved = None, True

    def forget_saved(self, saved: set[Edit]) -> None:
        """Changes that were unsaved on entry were saved by an inner block: a failure leaves them as they are.

        Those that this block sends itself are unsaved again if it fails.
        """
        if saved:
            saved = saved - self.saved
            self._entry_edits = [part for part in self.unsaved_on_entry() if part not in saved]

    def _pending(self) -> list[Command]:
        """The operations of the blocks around, the outermost first, and of this one."""
        return [*([] if self.around is None else self.around._pending()), *self.operations]

    def refuses(self, others: list[Command]) -> bool:
        """Whether the operations of this block have no place on the base once those of an inner one are done.

        What others did may have taken their place already: that is not the inner block's doing.
        """
        base, pending = self._state.base, self._pending()
        if base is None or not others or _applies(base, [*others, *pending]):
            return False
        return _applies(base, pending)

    # -- the end

    def leave(self) -> None:
        """The model takes no part any more; a block inside, which may be on its way, is in the next one."""
        self._state.forks.remove(self)
        self._has_left = True
        for fork in cast("list[Fork]", self._state.forks):
            if fork.around is self:
                fork.around = self.around
                fork.move()

    def restore(self, *, is_sent: bool) -> None:
        """Makes the model what it was on entry, on what the server is now known to hold.

        Where the batch was sent, the block had ended: what came to other fields since is not its own.
        """
        root, codec = self.root, self.root.__rapyer_codec__
        self.leave()
        text, ground = self._text, self._ground()
        if self._entry is not None and ground is not None:
            # Not what the model was written as: fields that are not stored stay so.
            text = rebased(ground, self.unsaved_on_entry(), self._text).text()
            if is_sent and (later := self._changed_since()):
                text = rebased(Document(text), later, codec.text(root)).text()
        try:
            names = _changed_fields(Document(text), codec.text(root))
        except CantSerializeRedisValueError:
            # What the block put there cannot even be written: every field is made anew.
            names = None
        object.__setattr__(root, "__pydantic_fields_set__", self._fields_set)
        for name in codec.excluded & self._fields.keys():
            root.__dict__[name] = self._fields[name]
        before = Document(self._text)
        now = Document(text)
        loaded: Any = None
        for name in [*self._fields, *(self._extra or {})] if names is None else names:
            held = (self._fields if name in self._fields else self._extra or {}).get(name, _MISSING)
            path = path_text((name,))
            if held is _MISSING and now.get(path) is None:
                members_of(root, name).pop(name, None)
            elif isinstance(held, _IMMUTABLE) and now.get(path) in (None, before.get(path)):
                members_of(root, name)[name] = held
            else:
                try:
                    loaded = loaded or load(root, codec, text)
                except CorruptedModelError:
                    # What was unsaved on entry does not load, here or in another field.
                    members_of(root, name)[name] = _loaded_or_held(codec.member(name), now.get(path), held)
                    continue
                # Another release's members are not loaded.
                if name in members_of(loaded, name):
                    value = members_of(loaded, name)[name]
                    members_of(root, name)[name] = merged(members_of(root, name).get(name), value)

    def _changed_since(self) -> list[Edit]:
        """The unsaved changes made after the block's end, in fields that it did not change."""
        if self._entry is None or self.document is None:
            return []
        own = _changed_fields(self._entry, self.document.text()).keys() | self.recorded
        before = set(self.unsaved_on_entry())
        return [part for part in self.unsaved() if part not in before and str(part.steps[0]) not in own]

    def settle(self, texts: "dict[str, bytes | None]") -> None:
        """The block was applied; `texts` are what the server then held of the fields changed in it."""
        root, state, shown = self.root, self._state, self.document
        if self._has_left:
            self._catch_up(texts)
            return
        self.leave()
        if shown is None:
            state.know(self.key, None)
            return
        ground = state.base
        base = shown if self.around is None or ground is None else _replayed(ground, self.operations)
        news: list[Change] = []
        for name, text in texts.items():
            path = path_text((name,))
            if text is not None and base.get(path) != text:
                base.apply(commands.set_("", path, text))
                news.append(("put", (name,), text))
        if not self.is_guess:
            state.move(self.key, base, state.version)
        self._tell_saved()
        if self.around is None:
            if news:
                take_over(root, news)
        elif self.around.document is not None:
            show(root, self.around.document, shown.text())

    def _tell_saved(self) -> None:
        for fork in cast("list[Fork]", self._state.forks):
            fork.forget_saved(self.saved)

    def _catch_up(self, texts: "dict[str, bytes | None]") -> None:
        """The block was applied after its task had stopped waiting and the model was restored.

        Its operations are then what awaited ones are: the base has them, and the value follows, but for what
        was changed here meanwhile.
        """
        root, state, codec = self.root, self._state, self.root.__rapyer_codec__
        if self.document is None:
            state.know(self.key, None)
            return
        changes: list[Change] = []
        text = codec.text(root)
        if self._is_whole:
            before, made = Document(self._text), self.document
        else:
            before = state.ground or Document(text)
            made = (state.base or before).fork()
            for words in self.operations:
                with suppress(CommandError):
                    changes += made.apply(words)[1]
        for name, held in texts.items():
            if held is not None:
                made.apply(commands.set_("", path_text((name,)), held))
        mine = [part for part in edits(root, before, text) if part not in self.saved]
        places = {part.steps for part in mine}
        joined = [change for change in changes if change[0] in ("insert", "cut") and change[1] in places]
        if joined:
            # What came into a list that was changed here too is beside that.
            take_over(root, joined)
            text = codec.text(root)
            mine = [part for part in edits(root, before, text) if part.steps in places]
        if self._is_whole or state.base is not None:
            state.move(self.key, made, state.version)
        self._tell_saved()
        show(root, rebased(state.ground or made, mine, text), text)


_MISSING: Final = object()


def _changed_fields(document: Document, text: bytes) -> "dict[str, None]":
    return dict.fromkeys(str(steps[0]) for steps, _, _ in document.diff(text) if steps)


def _loaded_or_held(codec: Codec, text: bytes | None, held: Any) -> Any:
    with suppress(ValidationError):
        return held if text is None else merged(held, codec.load(text))
    return held


def _applies(ground: Document, operations: list[Command]) -> bool:
    document = ground.fork()
    try:
        for words in operations:
            document.apply(words)
    except CommandError:
        return False
    return True


def _replayed(ground: Document, operations: list[Command]) -> Document:
    document = ground.fork()
    for words in operations:
        # An operation without a place there is left out here, and refused by the server.
        with suppress(CommandError):
            document.apply(words)
    return document
