"""The settings of all models, and the end of all connections."""

import logging
from typing import TYPE_CHECKING, Any, Literal

from rapyer._policy import Ttl
from rapyer._transport.loops import PerLoop
from rapyer.actions import ActionGroup
from rapyer.base import AtomicRedisModel
from rapyer.config import RedisConfig

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

__all__ = ["init_rapyer", "teardown_rapyer"]


async def init_rapyer(
    redis: "str | Redis | RedisCluster | None" = None,
    ttl: Ttl | None = None,
    refresh_ttl: bool | ActionGroup | None = None,
    *,
    timeout: float | None = None,
    policies: Literal["send", "expect"] | None = None,
    logger: logging.Logger | None = None,
    override_old_idx: bool = True,
    prefer_normal_json_dump: bool | None = None,
) -> None:
    """Sets what holds for every model that does not say otherwise in its `Meta`.

    Only what is given changes, so it may be called again. Nothing is connected until the first command.

    Args:
        redis: a URL (`redis://`, `rediss://`, `unix://`, or `embedded://NAME` for the engine in this
            process), or a client of `redis.asyncio`, which stays yours to close: `Redis`, one from
            `Sentinel(...).master_for(...)`, or `RedisCluster`. A cluster has no URL of its own here: use
            `RedisCluster.from_url(...)`.
        ttl: how long documents live: whole seconds or a timedelta.
        refresh_ttl: which operations start the TTL anew: True, False, or `ActionGroup` flags.
        timeout: how many seconds a server may take to accept a connection, to reply, and to get over a state
            in which it refuses commands. Without it 5 s for each, unless a client's or a URL's options say
            otherwise; a URL's hold in any case.
        policies: `send` puts each model's lifetime policy on the server; `expect` is for users who may not
            set policies, and raises `PolicyMissingError` where one is missing.
        logger: its level and handlers become those of the logger `rapyer`.
        override_old_idx: accepted for code that gives it; there are no indexes.
        prefer_normal_json_dump: accepted for code that gives it; documents are always JSON.
    """
    given: dict[str, Any] = {
        "redis": redis,
        "ttl": ttl,
        "refresh_ttl": refresh_ttl,
        "timeout": timeout,
        "policies": policies,
    }
    AtomicRedisModel.Meta.update(
        RedisConfig(**{name: value for name, value in given.items() if value is not None})
    )
    if logger is not None:
        ours = logging.getLogger("rapyer")
        ours.setLevel(logger.level)
        ours.handlers = list(logger.handlers)


async def teardown_rapyer() -> None:
    """Closes the connections that models opened on this event loop. A client that was given stays open."""
    await PerLoop.close_all()
