"""One document's lifetime: asked for, and changed."""

from typing import cast

from rapyer._binding import Root
from rapyer._connection import execute
from rapyer._keys import refuse_nested
from rapyer._transaction import taking_part
from rapyer._words import Command
from rapyer.errors import KeyNotFound

__all__ = ["ask_lifetime", "change_lifetime"]


async def ask_lifetime(model: Root, method: str, command: str) -> int | None:
    """What `PTTL` or `PEXPIRETIME` answers, in milliseconds; None where the document does not expire."""
    refuse_nested(model, method)
    answer = cast("int", await execute(model._rapyer_route(), (command, model.key)))
    if answer == -2:
        raise KeyNotFound(f"there is no {type(model).__name__} under {model.key!r}")
    return None if answer == -1 else answer


async def change_lifetime(model: Root, method: str, words: Command) -> bool:
    """Whether a command moved the document's deadline; in a block, True."""
    refuse_nested(model, method)
    if (transaction := taking_part(model)) is not None:
        transaction.enlist(model)
        transaction.add(model._rapyer_route(), words)
        return True
    return bool(await execute(model._rapyer_route(), words))
