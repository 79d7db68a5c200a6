"""The functions of the package: what models do, for keys and models of any class."""

from typing import Any, TypeVar

from rapyer._keys import key_of
from rapyer._lock import LEASE, Duration, Lock
from rapyer._many import delete_all
from rapyer._registry import all_models, model_of
from rapyer._transaction import Block, current
from rapyer.base import AtomicRedisModel
from rapyer.errors import (
    KeyNotFound,
    MissingParameterError,
    RapyerModelDoesntExistError,
    UnsupportedArgumentTypeError,
)
from rapyer.result import Found, GetOrCreateResult, RapyerDeleteResult

__all__ = [
    "adelete_many",
    "aexists",
    "afind",
    "afind_one",
    "aget",
    "aget_or_create",
    "ainsert",
    "alock_from_key",
    "apipeline",
    "find_redis_models",
]

_M = TypeVar("_M", bound=AtomicRedisModel)


def find_redis_models() -> list[type[AtomicRedisModel]]:
    """Every model that is defined."""
    return list(all_models())


def _model_of(key: object) -> type[AtomicRedisModel]:
    if not isinstance(key, str):
        raise UnsupportedArgumentTypeError(f"a key is text, 'Model:pk', not {key!r}")
    model = model_of(key)
    if model is None:
        raise RapyerModelDoesntExistError(
            f"{key!r} is no key of a model that is defined: one starts with the model's name and a colon",
            key.partition(":")[0],
        )
    return model


async def aget(key: str) -> AtomicRedisModel:
    """The model under a key. Raises `KeyNotFound`, also where no model has such keys."""
    try:
        model = _model_of(key)
    except RapyerModelDoesntExistError as error:
        raise KeyNotFound(str(error)) from error
    return await model.aget(key)


async def afind_one(key: str) -> AtomicRedisModel | None:
    """The model under a key, or None."""
    try:
        return await aget(key)
    except KeyNotFound:
        return None


async def afind(*keys: str, skip_missing: bool = False) -> Found[AtomicRedisModel]:
    """The models under some keys of any classes, in their order."""
    by_model: dict[type[AtomicRedisModel], list[str]] = {}
    for key in keys:
        by_model.setdefault(_model_of(key), []).append(key)
    found: dict[str, AtomicRedisModel] = {}
    for model, own in by_model.items():
        for loaded in await model.afind(*own, skip_missing=skip_missing):
            found.setdefault(loaded.key, loaded)
    return Found(found[key] for key in keys if key in found)


async def aexists(key: str | AtomicRedisModel) -> bool:
    """Whether there is a document under a key, or of a model. Refreshes nothing."""
    if isinstance(key, AtomicRedisModel):
        return await type(key).aexists(key)
    try:
        return await _model_of(key).aexists(key)
    except RapyerModelDoesntExistError:
        return False


async def ainsert(*models: _M) -> tuple[_M, ...]:
    """Stores models of any classes as new documents, in place of what their keys held: all or none."""
    return await AtomicRedisModel.ainsert.__func__(AtomicRedisModel, *models)  # type: ignore[attr-defined,no-any-return]


async def aget_or_create(model: _M) -> GetOrCreateResult[_M]:
    """What is stored under a model's key; where that is nothing, the model is stored, in the same step."""
    return await type(model).aget_or_create(model)


async def adelete_many(*models: AtomicRedisModel | str) -> RapyerDeleteResult:
    """Removes the documents of models, or under whole keys, of any classes; how many there were of each."""
    if not models:
        raise MissingParameterError("adelete_many needs a model or a key: it never deletes everything")
    by_model: dict[type[AtomicRedisModel], list[str]] = {}
    for model in models:
        kind = type(model) if isinstance(model, AtomicRedisModel) else _model_of(model)
        by_model.setdefault(kind, []).append(key_of(kind, model))
    deleted = {kind: await delete_all(kind, keys) for kind, keys in by_model.items()}
    return RapyerDeleteResult(sum(deleted.values()), current() is None, deleted)


def apipeline(ignore_redis_error: bool = False, use_existing_pipe: bool = False) -> Block[None]:
    """A block whose changes to models are sent at its end, and applied all together or not at all.

    When the block fails or the server refuses what it recorded, models are what they were before they first
    changed in it. `use_existing_pipe` joins the transaction that the block is in; otherwise it is one of its
    own. With `ignore_redis_error` a refusal is no error.
    """
    return Block(ignore_redis_error=ignore_redis_error, use_existing_pipe=use_existing_pipe)


def alock_from_key(
    key: str,
    action: str = "default",
    save_at_end: bool = False,
    *,
    lease: Duration = LEASE,
    timeout: Duration | None = None,
) -> Lock[Any]:
    """The lock of the document under a key; the block gets its model, or None without one."""
    return _model_of(key).alock_from_key(key, action, save_at_end, lease=lease, timeout=timeout)
