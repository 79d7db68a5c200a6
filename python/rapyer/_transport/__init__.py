"""How commands get to an engine. A transport knows words and replies, nothing of models."""

from collections.abc import Awaitable
from typing import Protocol, TypeAlias

from rapyer._policy import Policy

__all__ = ["Reply", "ReplyError", "Session", "Transport"]

Reply: TypeAlias = bytes | int | list["Reply"] | None
"""What a command answers."""


class ReplyError(Exception):
    """An error reply; its text starts with the error's prefix."""


class Session(Protocol):
    """One connection to one engine: commands are answered in the order they are submitted."""

    policies: dict[str, Policy]
    """The policies that were sent over it, by prefix."""

    async def send(self, *commands: tuple[bytes, ...]) -> list[Awaitable[Reply]]:
        """Hands over commands, one behind the other. Awaiting a result gives its reply or raises."""
        ...


class Transport(Protocol):
    """A way to an engine."""

    address: str
    """Where it leads, for error messages; without credentials."""

    async def session(self) -> Session:
        """The session of the running event loop, connected."""
        ...

    async def close(self) -> None:
        """Ends the sessions that this transport opened."""
        ...
