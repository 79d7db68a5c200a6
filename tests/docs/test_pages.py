"""Every Python block of the README and the docs runs, and prints what its `# ->` lines say."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

from rapyer import AtomicRedisModel, RedisConfig, teardown_rapyer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = re.compile(r"^ *# -> ?(.*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

with_code = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", with_code, ids=by_name)
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    loop = asyncio.new_event_loop()
    names: dict[str, object] = {"__name__": f"page_{page.stem}"}
    try:
        for block in BLOCK.finditer(text):
            source = "\n" * text[: block.start(1)].count("\n") + block[1]
            code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                result = eval(code, names)
                if inspect.isawaitable(result):
                    loop.run_until_complete(result)
            assert printed.getvalue().splitlines() == EXPECTED.findall(block[1]), f"after {block[1]}"
        loop.run_until_complete(teardown_rapyer())
    finally:
        AtomicRedisModel.Meta = RedisConfig()
        loop.close()


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
