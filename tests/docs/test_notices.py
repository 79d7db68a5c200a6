"""The notices name every crate that is linked in, with its licence."""

from __future__ import annotations

import subprocess
import sys

from _servers import ROOT


def test_the_notices_are_those_of_the_crates_that_are_linked_in() -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "notices.py", "--check"], check=True)
