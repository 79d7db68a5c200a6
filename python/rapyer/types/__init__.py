"""The types of fields with atomic methods. A plain annotation has the same methods at run time."""

from rapyer.types.dictionary import RedisDict
from rapyer.types.lists import RedisList
from rapyer.types.priority_queue import PriorityQueueItem, RedisPriorityQueue
from rapyer.types.reference import ForeignKey, Reference
from rapyer.types.scalars import (
    RedisBytes,
    RedisDatetime,
    RedisDatetimeTimestamp,
    RedisFloat,
    RedisInt,
    RedisStr,
)
from rapyer.types.sets import RedisSet

__all__ = [
    "ForeignKey",
    "PriorityQueueItem",
    "RedisBytes",
    "RedisDatetime",
    "RedisDatetimeTimestamp",
    "RedisDict",
    "RedisFloat",
    "RedisInt",
    "RedisList",
    "RedisPriorityQueue",
    "RedisSet",
    "RedisStr",
    "Reference",
]
