"""What operations on models return."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from typing_extensions import NamedTuple

from rapyer.errors import FoundError

__all__ = ["DeleteResult", "Found", "GetOrCreateResult", "GetOrCreateStatus", "RapyerDeleteResult"]

_M = TypeVar("_M", bound=BaseModel)


class GetOrCreateStatus(str, Enum):
    """Whether `aget_or_create` stored the model it was given, or found one."""

    CREATED = "created"
    FOUND = "found"


class GetOrCreateResult(NamedTuple, Generic[_M]):
    """The model that is stored now, and whether it was there before: `model, status = await ...`."""

    value: _M
    status: GetOrCreateStatus


@dataclass(frozen=True)
class DeleteResult:
    """How many documents there were to delete."""

    models_deleted: int
    was_committed: bool = True
    """False in a transaction: its end deletes, and the number is that of the keys."""

    @property
    def keys_deleted(self) -> int:
        """The same: a model is one key."""
        return self.models_deleted

    @property
    def count(self) -> int:
        """Deprecated: `models_deleted`."""
        warnings.warn("count is deprecated: use models_deleted", DeprecationWarning, stacklevel=2)
        return self.models_deleted


@dataclass(frozen=True)
class RapyerDeleteResult(DeleteResult):
    """How many documents there were to delete, of all models and of each."""

    by_model: Mapping[type[Any], int] = field(default_factory=dict)


class Found(list[_M]):
    """The models that were found, in the order of their keys.

    Holding exactly one it can be used as that model as well: its fields and methods are the model's.
    """

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__") and list.__len__(self) and hasattr(list, name):
            _refuse_ambiguous(self, name)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse_ambiguous(self, name)
        return getattr(_only(self, name), name)

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse_ambiguous(self, name)
        setattr(_only(self, name), name, value)


def _only(found: "Found[_M]", name: str) -> _M:
    if len(found) != 1:
        remedy = "take the one you mean, found[0].{0}" if found else "look whether it holds any first"
        raise FoundError(
            f"{name!r} was asked of a result of {len(found)} models; only one that holds exactly one has it: "
            + remedy.format(name)
        )
    return found[0]


def _refuse_ambiguous(found: "Found[_M]", name: str) -> None:
    if hasattr(list, name) and any(name in type(model).model_fields for model in found):
        raise FoundError(
            f"{name!r} is a field of the models found and a method of lists: take a model, found[0].{name}"
        )
