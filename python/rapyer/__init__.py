"""Pydantic models in Redis: atomic operations on their fields, and a lifetime the server looks after."""

from rapyer._setup import init_rapyer, teardown_rapyer
from rapyer.actions import ActionGroup
from rapyer.base import AtomicRedisModel
from rapyer.config import RedisConfig
from rapyer.fields import Key, RapyerKey

__all__ = [
    "ActionGroup",
    "AtomicRedisModel",
    "Key",
    "RapyerKey",
    "RedisConfig",
    "init_rapyer",
    "teardown_rapyer",
]
