"""Keys are found on every host without being named."""

from __future__ import annotations

import pytest

from _hosts import Host
from rapyer import AtomicRedisModel
from rapyer._connection import scan


class Leaf(AtomicRedisModel):
    text: str = ""


class LeafLike(AtomicRedisModel):
    text: str = ""


@pytest.mark.parametrize("count", [1, 7, 1000])
async def test_a_scan_meets_every_key_that_matches_once(on_host: Host, count: int) -> None:
    leaves = await Leaf.ainsert(*(Leaf() for _ in range(50)))
    await LeafLike.ainsert(*(LeafLike() for _ in range(5)))
    found = [key async for key in scan(Leaf.Meta.route("Leaf:"), "Leaf:*", count)]
    assert sorted(found) == sorted(leaf.key.encode() for leaf in leaves)


async def test_a_scan_of_nothing_ends(on_host: Host) -> None:
    assert [key async for key in scan(Leaf.Meta.route("Leaf:"), "Leaf:*")] == []
