"""A model's lifetime policy, as the server is told it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

import rapyer._commands as commands
from rapyer._words import Command
from rapyer.actions import ActionGroup
from rapyer.errors import UnsupportedArgumentTypeError, UnsupportedArgumentValueError

__all__ = ["Policy", "Ttl", "milliseconds"]

Ttl: TypeAlias = int | timedelta
"""A span of time: whole seconds, or a timedelta of whole milliseconds."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_LONGEST: Final = 3_155_760_000_000


def milliseconds(ttl: object, name: str) -> int:
    """A span of time as the server counts it, or an error that names the argument."""
    if isinstance(ttl, bool) or not isinstance(ttl, (int, timedelta)):
        raise UnsupportedArgumentTypeError(
            f"{name} must be whole seconds (an int) or a timedelta, not {ttl!r}"
        )
    if isinstance(ttl, timedelta):
        span, rest = divmod(ttl, _MILLISECOND)
        if rest:
            raise UnsupportedArgumentValueError(f"{name} must be whole milliseconds, not {ttl!r}")
    else:
        span = ttl * 1000
    if not 1 <= span <= _LONGEST:
        raise UnsupportedArgumentValueError(f"{name} must be more than 0 and at most 100 years, not {ttl!r}")
    return span


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one key prefix: the command that sets it."""

    prefix: str
    command: Command

    @classmethod
    def of(
        cls,
        prefix: str,
        ttl: Ttl | None,
        refresh_ttl: bool | ActionGroup,
        absolute_ttl: Ttl | None,
        read_touch_pct: int,
    ) -> "Policy":
        """What a model's settings mean on the server."""
        cap = None if absolute_ttl is None else milliseconds(absolute_ttl, "absolute_ttl")
        if ttl is None:
            # A cap alone is a fixed lifetime: nothing there to refresh.
            return cls(prefix, commands.policy_set(prefix, ttl="NONE" if cap is None else cap))
        window = milliseconds(ttl, "ttl")
        if cap is not None and cap < window:
            raise UnsupportedArgumentValueError(
                f"absolute_ttl for {prefix!r} is {absolute_ttl!r}, shorter than its ttl {ttl!r}: "
                "give a cap that is at least as long"
            )
        command = commands.policy_set(
            prefix,
            ttl=window,
            refresh=_groups(refresh_ttl),
            absolute=cap,
            read_touch_pct=None if read_touch_pct == 100 else read_touch_pct,
        )
        return cls(prefix, command)

    def __str__(self) -> str:
        return " ".join(str(word) for word in self.command)


def _groups(refresh_ttl: bool | ActionGroup) -> str:
    if isinstance(refresh_ttl, bool):
        return "ALL" if refresh_ttl else "NONE"
    return ",".join(refresh_ttl.names()) or "NONE"
