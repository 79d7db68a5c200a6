"""Everything rapyer raises. Each class derives from `RapyerError`."""

from collections.abc import Callable

__all__ = [
    "BadArgumentError",
    "BadDeleteActionError",
    "BadJsonError",
    "BadPathError",
    "CantSerializeRedisValueError",
    "CommandError",
    "CorruptedModelError",
    "DetachedValueError",
    "DocumentLimitError",
    "FoundError",
    "InvalidRefreshTtlError",
    "KeyNotFound",
    "MetaFrozenError",
    "MissingParameterError",
    "ModuleNotLoadedError",
    "NestedModelError",
    "NotAppliedError",
    "NotConfiguredError",
    "OutOfRangeError",
    "PathNotFoundError",
    "PolicyMissingError",
    "RapyerConnectionError",
    "RapyerError",
    "ReservedNameError",
    "ServerFaultError",
    "StaleModelError",
    "UnsupportedArgumentTypeError",
    "UnsupportedArgumentValueError",
    "WrongKeyTypeError",
    "WrongValueTypeError",
]


class RapyerError(Exception):
    """The base of all errors of this package."""


class UnsupportedArgumentValueError(RapyerError, ValueError):
    """An argument of the right type with a value that cannot be used."""


class UnsupportedArgumentTypeError(RapyerError, TypeError):
    """An argument of a type that cannot be used."""


class MissingParameterError(RapyerError, TypeError):
    """A call that needs an argument it was not given."""


class InvalidRefreshTtlError(UnsupportedArgumentValueError):
    """`refresh_ttl` holds `ActionGroup.DELETE`: a deleted document has no TTL to refresh."""


class MetaFrozenError(RapyerError):
    """Kept for code that catches it. `Meta` may be set at any time, so nothing raises it."""


class NotConfiguredError(RapyerError):
    """No connection is configured for a model."""


class RapyerConnectionError(RapyerError, ConnectionError):
    """The server cannot be reached, or the connection was lost while commands were under way."""


class NotAppliedError(RapyerConnectionError):
    """The command was certainly not applied: there was no connection, or the server refuses commands for now.

    It may be repeated without fear of doing it twice.
    """


class ModuleNotLoadedError(RapyerError):
    """The server does not know rapyer's commands: its module is not loaded."""


class ReservedNameError(RapyerError, TypeError):
    """A model declares a field under a name that every model needs for itself."""


class CorruptedModelError(RapyerError):
    """A stored document does not validate as the model it was asked for."""


class CantSerializeRedisValueError(RapyerError, ValueError):
    """A value has no JSON form that would load as the same value."""


class DetachedValueError(RapyerError):
    """A value that is no longer, or never was, part of a stored model was asked to write to it."""


class NestedModelError(RapyerError, RuntimeError):
    """An operation of whole documents was asked of a model inside another model."""


class BadDeleteActionError(NestedModelError):
    """A nested model was asked to delete itself; only whole documents are deleted."""


class FoundError(RapyerError, AttributeError):
    """A result of `afind` that does not hold exactly one model was used as if it did."""


class CommandError(RapyerError):
    """A command was refused; subclasses tell the reasons apart."""


class KeyNotFound(CommandError):
    """There is no document under the key."""


class PathNotFoundError(CommandError):
    """The document has nothing at the place an operation is for."""


class BadPathError(CommandError):
    """A path that is not a singular JSON path."""


class BadJsonError(CommandError):
    """A value that is not JSON."""


class WrongValueTypeError(CommandError):
    """The stored value has a type that the operation does not work on."""


class OutOfRangeError(CommandError):
    """A number, an index or a time beyond what is allowed."""


class DocumentLimitError(CommandError):
    """The result would be beyond a limit of documents."""


class PolicyMissingError(CommandError):
    """A document would be created under a prefix that has no lifetime policy."""


class StaleModelError(CommandError):
    """The document has another version than the one a change was meant for."""


class BadArgumentError(CommandError):
    """An argument that a command does not take."""


class WrongKeyTypeError(CommandError):
    """The key holds something that is not one of rapyer's documents."""


class ServerFaultError(CommandError):
    """A bug in the engine, caught by the server."""


_BY_PREFIX: dict[str, Callable[[str], CommandError]] = {
    "NOKEY": KeyNotFound,
    "NOPATH": PathNotFoundError,
    "BADPATH": BadPathError,
    "BADJSON": BadJsonError,
    "BADTYPE": WrongValueTypeError,
    "OUTOFRANGE": OutOfRangeError,
    "LIMIT": DocumentLimitError,
    "NOPOLICY": PolicyMissingError,
    "STALE": StaleModelError,
    "BADARG": BadArgumentError,
    "WRONGTYPE": WrongKeyTypeError,
    "INTERNAL": ServerFaultError,
}


def command_error(reply: str, context: str) -> CommandError:
    """The exception for an error reply; `context` names the command and its key."""
    prefix, _, text = reply.partition(" ")
    kind = _BY_PREFIX.get(prefix)
    return CommandError(f"{context}: {reply}") if kind is None else kind(f"{context}: {text}")
