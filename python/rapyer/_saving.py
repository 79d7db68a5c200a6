"""How a model is saved: only its edits, where the document is there; the whole, where it is not."""

from typing import Final, cast

from rapyer import _commands as commands
from rapyer._binding import Root
from rapyer._connection import execute
from rapyer._native import CommandError as EngineError
from rapyer._state import edits, rebase, rebased, state_of
from rapyer.errors import KeyNotFound, PathNotFoundError, StaleModelError, WrongValueTypeError
from rapyer.fields import RapyerKey

__all__ = ["save"]

_TRIES: Final = 16


async def save(root: Root, key: RapyerKey, text: bytes, *, only_existing: bool) -> None:
    """Sends what was changed here since the document was loaded or saved.

    Args:
        root: the model.
        key: its key.
        text: what is stored of it.
        only_existing: do not make a document that is gone again.

    Raises:
        KeyNotFound: it is gone, and only an existing one was to be saved.
        StaleModelError: others went on deleting, making and changing it.
    """
    route, state = type(root)._rapyer_route(), state_of(root, key)
    for _ in range(_TRIES):
        if state.base is None:
            words = commands.save(key, text, xx=only_existing, expect_policy=True)
            if await execute(route, words) is None:
                raise _gone(key)
            state.know(key, text)
            return
        parts = edits(root, state.base, text)
        words = commands.edit(key, *(part.words for part in parts))
        try:
            await execute(route, words)
        except KeyNotFound:
            if only_existing:
                raise _gone(key) from None
            whole = rebased(state.base, parts, text).text()
            if await execute(route, commands.create(key, whole, nx=True, expect_policy=True)) is not None:
                state.know(key, whole)
                return
        except (PathNotFoundError, WrongValueTypeError):
            # What an edit is in is not there any more: the edits are made anew on what is.
            stored = cast("bytes | None", await execute(route, commands.get_ro(key)))
            if stored is not None:
                rebase(root, stored)
                text = root.__rapyer_codec__.dump(root)
        else:
            try:
                state.base.apply(words)
            except EngineError:
                state.know(key, rebased(state.base, parts, text))
            return
    raise StaleModelError(f"{key!r} was changed by others each time it was to be saved, {_TRIES} times")


def _gone(key: str) -> KeyNotFound:
    return KeyNotFound(f"there is no document under {key!r}, and only_existing forbids creating it")
