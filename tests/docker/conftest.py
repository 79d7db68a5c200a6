"""The images of this checkout and, for tests written for every host, containers of them as hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

import _containers
from _containers import DockerMissing, Store, running
from _hosts import ServerHost
from _package import on_host
from _servers import KINDS

__all__ = ["on_host"]


@pytest.fixture(scope="session")
def build() -> Callable[..., str]:
    """A function that builds one of the Dockerfile's targets and gives the image's name."""
    try:
        _containers.require_docker()
    except DockerMissing as missing:
        pytest.skip(str(missing))
    return _containers.build


@pytest.fixture(params=KINDS, scope="session")
def image(request: pytest.FixtureRequest, build: Callable[..., str]) -> str:
    """The image of each kind of server in turn."""
    return build(request.param)


@pytest.fixture(scope="session")
def store(image: str) -> Iterator[Store]:
    """One container of each image for all tests that leave it as it is."""
    with running(image, maxmemory="64mb", maxmemory_policy="volatile-ttl") as store:
        yield store


@pytest.fixture
async def host(store: Store) -> AsyncIterator[ServerHost]:
    host = ServerHost(store)
    assert store.password is not None
    await host.call("AUTH", store.password)
    await host.reset()
    yield host
    host.close()
