"""Everything rapyer raises. Each class derives from `RapyerError`."""

from collections.abc import Callable
from typing import Final

__all__ = [
    "BadArgumentError",
    "BadDeleteActionError",
    "BadFilterError",
    "BadJsonError",
    "BadPathError",
    "CantSerializeRedisValueError",
    "CommandError",
    "CorruptedModelError",
    "DetachedValueError",
    "DocumentLimitError",
    "DuplicateModelNameError",
    "FindError",
    "FoundError",
    "InvalidRefreshTtlError",
    "KeyNotFound",
    "LockLostError",
    "LockTimeoutError",
    "MetaFrozenError",
    "MissingParameterError",
    "ModuleNotLoadedError",
    "NestedModelError",
    "NotAppliedError",
    "NotConfiguredError",
    "NotResolvedError",
    "OutOfRangeError",
    "PathNotFoundError",
    "PersistentNoScriptError",
    "PolicyMissingError",
    "RapyerConnectionError",
    "RapyerError",
    "RapyerModelDoesntExistError",
    "RapyerSerializationError",
    "ReservedNameError",
    "ScriptsNotInitializedError",
    "ServerFaultError",
    "StaleModelError",
    "UnsupportArgumentTypeError",
    "UnsupportedArgumentTypeError",
    "UnsupportedArgumentValueError",
    "UnsupportedIndexedFieldError",
    "UpdateAtomicModelError",
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


class DuplicateModelNameError(RapyerError):
    """Kept for code that catches it. A class may be defined again, so nothing raises it."""


class ScriptsNotInitializedError(RapyerError):
    """Kept for code that catches it. There are no scripts to load, so nothing raises it."""


class PersistentNoScriptError(RapyerError):
    """Kept for code that catches it. There are no scripts to load, so nothing raises it."""


class UpdateAtomicModelError(RapyerError):
    """Kept for code that catches it. Every field can be updated, so nothing raises it."""


class RapyerSerializationError(RapyerError):
    """Kept for code that catches it. `CantSerializeRedisValueError` says that a value cannot be stored."""


class FindError(RapyerError):
    """Something is wrong with a query."""


class BadFilterError(FindError):
    """A condition cannot be made of what is given, or cannot be asked of a model's values."""


class UnsupportedIndexedFieldError(FindError):
    """Kept for code that catches it: there are no indexes."""


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


class RapyerModelDoesntExistError(RapyerError):
    """No model has the prefix of a key."""

    def __init__(self, message: str, model_name: str) -> None:
        super().__init__(message)
        self.model_name: Final = model_name
        """What stands before the key's colon."""


class CorruptedModelError(RapyerError):
    """A stored document, or a value in it, does not validate as what it was asked for."""

    def __init__(self, message: str, *, raw: bytes | None = None) -> None:
        super().__init__(message)
        self.raw: Final = raw
        """The JSON text of a value that was taken out of a document before it turned out to be this."""


class CantSerializeRedisValueError(RapyerError, ValueError):
    """A value has no JSON form that would load as the same value."""


class DetachedValueError(RapyerError):
    """A value that is no longer, or never was, part of a stored model was asked to write to it."""


class NestedModelError(RapyerError, RuntimeError):
    """An operation of whole documents was asked of a model inside another model."""


class BadDeleteActionError(NestedModelError):
    """A nested model was asked to delete itself; only whole documents are deleted."""


class NotResolvedError(RapyerError):
    """The model that a reference names was asked for before it was fetched."""


class FoundError(RapyerError, AttributeError):
    """A result of `afind` that does not hold exactly one model was used as if it did."""


class LockLostError(RapyerError):
    """A lease ended, or was taken by somebody else, before the block that held the lock did."""


class LockTimeoutError(RapyerError, TimeoutError):
    """A lock was not free within the time its caller would wait."""


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


# The name it had before 1.3.
UnsupportArgumentTypeError = UnsupportedArgumentTypeError

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
