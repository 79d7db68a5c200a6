"""The demo's story comes to its end, in this process and on a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from _servers import KINDS, Kind, Server

STORY = Path(__file__).resolve().parents[2] / "examples" / "session_store.py"


def run(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, STORY, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    ).stdout


def test_the_session_story_in_this_process() -> None:
    assert "she signs in again" in run()


@pytest.mark.parametrize("kind", KINDS)
def test_the_session_story_on_a_server(kind: Kind, server_of: Callable[[Kind], Server]) -> None:
    assert "she signs in again" in run("--server", RAPYER_URL=server_of(kind).url)
