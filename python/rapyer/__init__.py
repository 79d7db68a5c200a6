"""Pydantic models in Redis: atomic operations on their fields, and a lifetime the server looks after."""

from rapyer._functions import (
    adelete_many,
    aexists,
    afind,
    afind_one,
    aget,
    aget_or_create,
    ainsert,
    alock_from_key,
    apipeline,
    find_redis_models,
)
from rapyer._setup import init_rapyer, teardown_rapyer
from rapyer.actions import ActionGroup
from rapyer.base import AtomicRedisModel
from rapyer.config import RedisConfig
from rapyer.fields import Key, RapyerKey
from rapyer.result import DeleteResult, GetOrCreateResult, GetOrCreateStatus, RapyerDeleteResult

__all__ = [
    "ActionGroup",
    "AtomicRedisModel",
    "DeleteResult",
    "GetOrCreateResult",
    "GetOrCreateStatus",
    "Key",
    "RapyerDeleteResult",
    "RapyerKey",
    "RedisConfig",
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
    "init_rapyer",
    "teardown_rapyer",
]
