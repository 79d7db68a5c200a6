"""Models of these tests start each test without settings, and leave no connection behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rapyer import AtomicRedisModel, RedisConfig, teardown_rapyer


@pytest.fixture(autouse=True)
async def no_settings() -> AsyncIterator[None]:
    yield
    await teardown_rapyer()
    AtomicRedisModel.Meta = RedisConfig()
