"""What checkers say of the page's code."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from _seed import DEFINE, GROUPS, INIT, PER_MODEL, SET_TTL, TOKEN, USER_SESSION

AROUND = """
from redis.asyncio import Redis

from rapyer import AtomicRedisModel, init_rapyer

redis_client: Redis = Redis()
session_id: str = "s-1"


class Cache(AtomicRedisModel):
    value: str = ""
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a module; its blocks are functions, for they await."""
    blocks = [
        f"async def block_{number}() -> None:\n{textwrap.indent(block, '    ')}"
        for number, block in enumerate((INIT, PER_MODEL, GROUPS, USER_SESSION, TOKEN, SET_TTL))
    ]
    path = tmp_path_factory.mktemp("page") / "page.py"
    path.write_text("\n\n".join([AROUND, DEFINE, *blocks]) + "\n")
    return path


def errors(*command: str | Path) -> list[str]:
    """The lines of a checker's report that are errors."""
    words = [sys.executable, "-m", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done
    return [line for line in done.stdout.splitlines() if re.search(r"\berror:", line) or " - error" in line]


def test_mypy_finds_nothing_but_bare_containers(page: Path) -> None:
    found = errors("mypy", "--strict", page)
    assert len(found) == 3
    assert all(
        re.search(r'Missing type (arguments|parameters) for generic type "(dict|list)"', line)
        for line in found
    )


def test_pyright_finds_nothing(page: Path) -> None:
    assert errors("basedpyright", "--level", "error", page) == []


def test_checkers_find_what_is_wrong(page: Path) -> None:
    path = page.with_name("wrong.py")
    path.write_text(page.read_text() + '\n\nSession()\nSession(user_id=1)\nSession.Meta.ttl = "1800"\n')
    assert len(errors("mypy", "--strict", path)) == 3 + 3
    assert len(errors("basedpyright", "--level", "error", path)) == 3
