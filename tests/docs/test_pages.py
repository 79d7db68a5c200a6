"""Every Python block of the README and the docs runs, and prints what its `# ->` lines say."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from _clusters import Cluster
from _sentinels import Watched
from _servers import KINDS, Kind, Server, ServerMissing, find
from _wire import wait_for
from rapyer import AtomicRedisModel, RedisConfig, teardown_rapyer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = re.compile(r"^ *# -> ?(.*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

with_code = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


Answering = Callable[[str], str]


@pytest.fixture
def answering(
    server_of: Callable[[Kind], Server], left_out: Callable[[ServerMissing], NoReturn]
) -> Iterator[Answering]:
    """A function that has the addresses in a block answered: by servers of its own, in their place."""
    kind = KINDS[0] if find(KINDS[0]) else KINDS[1]
    with ExitStack() as running:

        def server() -> str:
            with server_of(kind).client() as client:
                client.flushall()
            return server_of(kind).url

        def sentinel() -> str:
            watched = Watched(kind, running)
            wait_for(watched.could_fail_over)
            return f'("127.0.0.1", {watched.sentinel.port})'

        def cluster() -> str:
            cluster = Cluster(kind)
            running.callback(cluster.stop)
            return f"redis://127.0.0.1:{cluster.nodes[0].server.port}"

        known: dict[str, str] = {}
        places = {
            "redis://localhost:6379/0": server,
            '("localhost", 26379)': sentinel,
            "redis://localhost:7000": cluster,
        }

        def answering(block: str) -> str:
            for address, start in places.items():
                if address in block:
                    try:
                        known[address] = known.get(address) or start()
                    except ServerMissing as missing:
                        left_out(missing)
                    block = block.replace(address, known[address])
            return block

        yield answering


@pytest.mark.parametrize("page", with_code, ids=by_name)
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path, answering: Answering) -> None:
    text = page.read_text(encoding="utf-8")
    loop = asyncio.new_event_loop()
    names: dict[str, object] = {"__name__": f"page_{page.stem}"}
    try:
        for block in BLOCK.finditer(text):
            source = "\n" * text[: block.start(1)].count("\n") + answering(block[1])
            code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                result = eval(code, names)
                if inspect.isawaitable(result):
                    loop.run_until_complete(result)
            assert printed.getvalue().splitlines() == EXPECTED.findall(block[1]), f"after {block[1]}"
        loop.run_until_complete(teardown_rapyer())
    finally:
        loop.close()
        AtomicRedisModel.Meta = RedisConfig()


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
