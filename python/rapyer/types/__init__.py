"""The types of fields with atomic methods. A plain annotation has the same methods at run time."""

from rapyer.types.dictionary import RedisDict
from rapyer.types.lists import RedisList
from rapyer.types.reference import ForeignKey, Reference
from rapyer.types.scalars import (
    RedisBytes,
    RedisDatetime,
    RedisDatetimeTimestamp,
    RedisFloat,
    RedisInt,
    RedisStr,
)

__all__ = [
    "ForeignKey",
    "RedisBytes",
    "RedisDatetime",
    "RedisDatetimeTimestamp",
    "RedisDict",
    "RedisFloat",
    "RedisInt",
    "RedisList",
    "RedisStr",
    "Reference",
]
