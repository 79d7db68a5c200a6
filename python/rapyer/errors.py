"""Everything rapyer raises. Each class derives from `RapyerError`."""

from collections.abc import Sequence
from typing import Final

__all__ = [
    "AmbiguousPathError",
    "BadArgumentError",
    "BadDeleteActionError",
    "BadFilterError",
    "BadJsonError",
    "BadPathError",
    "CantSerializeRedisValueError",
    "ClusterDownError",
    "CommandError",
    "ConcurrentTransactionError",
    "ConstraintError",
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
    "PermissionDeniedError",
    "PersistentNoScriptError",
    "PolicyMissingError",
    "PrimaryDownError",
    "RapyerConnectionError",
    "RapyerError",
    "RapyerModelDoesntExistError",
    "RapyerSerializationError",
    "ReadOnlyReplicaError",
    "ReservedNameError",
    "ScriptsNotInitializedError",
    "ServerBusyError",
    "ServerFaultError",
    "ServerLoadingError",
    "ServerMemoryError",
    "SlotMovingError",
    "SnapshotFailedError",
    "StaleModelError",
    "TooFewReplicasError",
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

    It may be repeated without fear of doing it twice. Subclasses tell what the server is busy with.
    """


class ServerLoadingError(NotAppliedError):
    """The server reads its files into memory, as it does after a start (`LOADING`)."""


class ServerBusyError(NotAppliedError):
    """A script or a function has been running for so long that the server refuses commands (`BUSY`)."""


class PrimaryDownError(NotAppliedError):
    """A replica has lost its primary, and is set up to refuse stale reads (`MASTERDOWN`)."""


class TooFewReplicasError(NotAppliedError):
    """The primary has fewer replicas in reach than `min-replicas-to-write` asks for (`NOREPLICAS`)."""


class ClusterDownError(NotAppliedError):
    """The cluster serves nothing: a slot has no node, or most primaries are out of reach (`CLUSTERDOWN`)."""


class SlotMovingError(NotAppliedError):
    """The keys' slot is on its way from one node to another, and neither has all the keys (`TRYAGAIN`)."""


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


class ConcurrentTransactionError(RapyerError, RuntimeError):
    """A model that takes part in one task's block is used by another task as well."""


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
    """A path that is not a singular JSON path, nor one with a filter by a member's value."""


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


class AmbiguousPathError(StaleModelError):
    """Several elements have the key that an operation is to find its one element by."""


class ConstraintError(CommandError, ValueError):
    """A change would have broken a bound; the text names path, bound and the value that was refused."""


class BadArgumentError(CommandError):
    """An argument that a command does not take."""


class WrongKeyTypeError(CommandError):
    """The key holds something that is not one of rapyer's documents."""


class ReadOnlyReplicaError(CommandError):
    """A replica was asked to write (`READONLY`): it takes writes from its primary only."""


class ServerMemoryError(CommandError):
    """The server has reached `maxmemory` and may not evict anything (`OOM`)."""


class SnapshotFailedError(CommandError):
    """The server takes no writes because it could not save its last snapshot (`MISCONF`)."""


class PermissionDeniedError(CommandError):
    """The user of the connection may not run the command, or not on the key (`NOPERM`)."""


class ServerFaultError(CommandError):
    """A bug in the engine, caught by the server."""


# The name it had before 1.3.
UnsupportArgumentTypeError = UnsupportedArgumentTypeError

_BY_PREFIX: dict[str, type[CommandError]] = {
    "NOKEY": KeyNotFound,
    "NOPATH": PathNotFoundError,
    "AMBIGUOUS": AmbiguousPathError,
    "BADPATH": BadPathError,
    "BADJSON": BadJsonError,
    "BADTYPE": WrongValueTypeError,
    "OUTOFRANGE": OutOfRangeError,
    "LIMIT": DocumentLimitError,
    "NOPOLICY": PolicyMissingError,
    "STALE": StaleModelError,
    "CONSTRAINT": ConstraintError,
    "BADARG": BadArgumentError,
    "WRONGTYPE": WrongKeyTypeError,
    "INTERNAL": ServerFaultError,
}

_OF_THE_SERVER: Final[dict[str, tuple[type[RapyerError], str]]] = {
    "LOADING": (ServerLoadingError, "repeat it once the server has read its files"),
    "BUSY": (ServerBusyError, "repeat it, or end the script with SCRIPT KILL or FUNCTION KILL"),
    "MASTERDOWN": (PrimaryDownError, "repeat it once the replica has its primary again"),
    "NOREPLICAS": (TooFewReplicasError, "repeat it once enough replicas follow the primary"),
    "CLUSTERDOWN": (ClusterDownError, "repeat it once the cluster serves all slots"),
    "TRYAGAIN": (SlotMovingError, "repeat it once the slot has arrived"),
    "UNBLOCKED": (NotAppliedError, "repeat it: the server's role changed while the command waited"),
    "READONLY": (ReadOnlyReplicaError, "connect to the primary, with Sentinel by master_for"),
    "OOM": (ServerMemoryError, "free memory, raise maxmemory, or let it evict with maxmemory-policy"),
    "MISCONF": (SnapshotFailedError, "see the server's log; stop-writes-on-bgsave-error no accepts the risk"),
    "NOPERM": (PermissionDeniedError, "grant it with ACL SETUSER, docs/production.md says what is needed"),
}
"""The server's own refusals: nothing was applied, and those that map to NotAppliedError are transient."""


def is_transient(prefix: str) -> bool:
    """Whether commands are refused with this prefix because of a state that ends by itself."""
    return prefix in _OF_THE_SERVER and issubclass(_OF_THE_SERVER[prefix][0], NotAppliedError)


def is_server_state(prefix: str) -> bool:
    """Whether commands are refused with this prefix because of the server's state, whoever sends them."""
    return prefix in _OF_THE_SERVER and not issubclass(_OF_THE_SERVER[prefix][0], PermissionDeniedError)


def failure_of_parts(outcomes: Sequence[object], *, changes: bool = True) -> BaseException | None:
    """What a call raises whose parts, each on keys in one slot, came out as these.

    A call that changes something is NotAppliedError only if none of its parts was applied.
    """
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if not isinstance(failure, NotAppliedError):
            return failure
    if changes and 0 < len(failures) < len(outcomes):
        return RapyerConnectionError(
            f"{len(failures)} of {len(outcomes)} parts, each on keys in one slot, were not applied, and the "
            f"others were: {failures[0]}"
        )
    return failures[0] if failures else None


def command_error(reply: str, context: str) -> RapyerError:
    """The exception for an error reply; `context` names the command and its key."""
    prefix, _, text = reply.partition(" ")
    if prefix in _OF_THE_SERVER:
        kind, remedy = _OF_THE_SERVER[prefix]
        return kind(f"{context} was not applied: {reply.rstrip('.')}; {remedy}")
    refusal = _BY_PREFIX.get(prefix)
    return CommandError(f"{context}: {reply}") if refusal is None else refusal(f"{context}: {text}")
