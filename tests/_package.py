"""The package set up on a host, and nothing of it left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from _hosts import Host
from rapyer import AtomicRedisModel, RedisConfig, init_rapyer, teardown_rapyer
from rapyer._edits import Edit, edits
from rapyer._state import state_of

__all__ = ["moves_deadline", "on_host", "unsaved"]


@pytest.fixture
async def on_host(host: Host) -> AsyncIterator[Host]:
    """Each kind of host in turn, with all models stored there."""
    await init_rapyer(redis=host.url)
    yield host
    await teardown_rapyer()
    AtomicRedisModel.Meta = RedisConfig()


def unsaved(model: AtomicRedisModel) -> list[Edit]:
    """What saving a model would send."""
    base = state_of(model).base
    assert base is not None
    return edits(model, base, type(model).__rapyer_codec__.text(model))


async def moves_deadline(host: Host, key: str, act: Callable[[], Awaitable[object]]) -> bool:
    """Whether an operation moves the deadline of the document under a key."""
    before = await host.deadline(key)
    await host.pass_time(0.005)
    await act()
    after = await host.deadline(key)
    assert after >= before > 0
    return after > before
