"""A server whose memory is full: what the package can still do there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from _load import Counter
from _servers import Server
from rapyer import init_rapyer


@pytest.fixture
def full(server: Server) -> Iterator[None]:
    """Ends a server's being full with the test."""
    yield
    with server.client() as admin:
        admin.config_set("maxmemory", 0)


@pytest.mark.usefixtures("full")
async def test_documents_are_deleted_by_condition_on_a_full_server(server: Server) -> None:
    await init_rapyer(redis=server.url)
    for at in range(20):
        await Counter(name=str(at), count=at).asave()
    with server.client() as admin:
        admin.config_set("maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        await Counter(name="new").asave()
    assert (await Counter.adelete_many(Counter.count >= 5)).models_deleted == 15
    assert len(await Counter.afind()) == 5
