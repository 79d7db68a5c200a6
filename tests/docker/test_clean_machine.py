"""The wheel on a Debian that has nothing of ours: installed, run, and its module loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from _containers import Store, running

pytestmark = pytest.mark.shipping

CHECK = """
import asyncio
from rapyer import AtomicRedisModel, init_rapyer

class Session(AtomicRedisModel):
    user: str

async def main():
    await init_rapyer(redis="URL", ttl=1800)
    session = await Session(user="ada").asave()
    print((await Session.aget(session.pk)).user, round(await session.attl()))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def machine(build: Callable[..., str]) -> Iterator[Store]:
    build("app")
    with running(build("clean", "tests/docker/clean.Dockerfile"), password=None) as machine:
        yield machine


@pytest.mark.parametrize("url", ["embedded://", "redis://localhost"])
def test_models_are_kept_in_process_and_in_a_server(machine: Store, url: str) -> None:
    assert machine.run("python", "-c", CHECK.replace("URL", url)) == "ada 1800\n"


def test_the_module_that_is_loaded_is_the_wheels(machine: Store) -> None:
    with machine.client() as client:
        (module,) = client.module_list()

    assert module[b"path"].decode() == machine.run("rapyer", "module-path").rstrip("\n")
