"""The way to a server that Sentinels name."""

import asyncio
from copy import copy
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool

__all__ = ["SentinelPool"]


class SentinelPool(SentinelConnectionPool):
    """The same as a pool of the user's, for one event loop.

    The user's asks the Sentinels over connections that belong to the event loop which asked first.
    """

    def __init__(self, pool: SentinelConnectionPool) -> None:
        given: Any = pool
        # A copy, for a Sentinel has settings that only its constructor knows.
        manager = copy(given.sentinel_manager)
        manager.sentinels = [
            Redis(host=settings["host"], port=settings["port"], **manager.sentinel_kwargs)
            for settings in (client.connection_pool.connection_kwargs for client in manager.sentinels)
        ]
        cast("Any", super()).__init__(
            given.service_name,
            manager,
            connection_class=given.connection_class,
            is_master=given.is_master,
            check_connection=given.check_connection,
            **{name: value for name, value in given.connection_kwargs.items() if name != "connection_pool"},
        )

    async def leave_sentinels(self) -> None:
        """Closes the connections to the Sentinels; the next look-up opens them again."""
        clients = cast("Any", self).sentinel_manager.sentinels
        await asyncio.gather(*(client.connection_pool.disconnect() for client in clients))
