"""How commands get to an engine. A transport knows words and replies, nothing of models."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from rapyer._policy import Policy
from rapyer.errors import is_transient

__all__ = ["Exchange", "Reply", "ReplyError", "Session", "Transport", "Words"]

Reply: TypeAlias = bytes | int | list["Reply"] | None
"""What a command answers."""

Words: TypeAlias = tuple[bytes, ...]
"""A command."""


class ReplyError(Exception):
    """An error reply; its text starts with the error's prefix."""

    @property
    def prefix(self) -> str:
        return str(self).partition(" ")[0]

    @property
    def is_transient(self) -> bool:
        """Refused because of a state that ends by itself: not applied, safe to repeat."""
        return is_transient(self.prefix)


class Session(Protocol):
    """One connection to one engine: commands are answered in the order they are submitted."""

    @property
    def address(self) -> str:
        """Where it leads, for error messages."""
        ...

    @property
    def policies(self) -> dict[str, Policy]:
        """The policies that were sent over it, by prefix."""
        ...

    async def send(self, *commands: Words) -> Sequence[Awaitable[Reply]]:
        """Hands over commands, one behind the other. Awaiting a result gives its reply or raises."""
        ...


Exchange: TypeAlias = Callable[[Session, Words], Awaitable[Reply]]
"""Sends a command over a session, with whatever goes ahead of it, and gives its reply."""


class Transport(Protocol):
    """A way to an engine, or to the engines that share the keys."""

    address: str
    """Where it leads, for error messages; without credentials."""

    def run(self, words: Words, exchange: Exchange) -> Awaitable[Reply]:
        """Has a command exchanged with the engine that has its keys.

        The exchange is repeated only where it is certain that the command was not applied.
        """
        ...

    def slot(self, key: bytes) -> int:
        """Keys of one slot can be changed as one; those of a single engine are all in the same."""
        ...

    async def primaries(self) -> "Sequence[Transport]":
        """The ways to the single engines that together have all keys."""
        ...
