"""The types of fields with atomic methods. A plain annotation has the same methods at run time."""

from rapyer.types.dictionary import RedisDict
from rapyer.types.lists import RedisList
from rapyer.types.scalars import RedisBytes, RedisDatetime, RedisFloat, RedisInt, RedisStr

__all__ = ["RedisBytes", "RedisDatetime", "RedisDict", "RedisFloat", "RedisInt", "RedisList", "RedisStr"]
