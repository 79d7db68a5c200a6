"""The generated reference is the command table's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rapyer import _native, errors

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_reference_is_up_to_date() -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "reference.py", "--check"], check=True)


# What servers say, too: the package tells it apart wherever it comes from.
OF_SERVERS = {"ERR", "NOPERM", "OOM"}


def test_every_error_of_the_engine_has_an_exception_and_no_other_has() -> None:
    words = {word for word, _, _ in _native.errors()}
    assert words - OF_SERVERS == set(errors._BY_PREFIX)
    assert words >= OF_SERVERS


def test_the_reference_lists_every_error_with_its_exception() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for word, cause, remedy in _native.errors():
        exception = type(errors.command_error(f"{word} text", "MODEL.GET key")).__name__
        assert exception in errors.__all__
        assert f"| `{word}` | {cause} | {remedy} | `{exception}` |" in page
