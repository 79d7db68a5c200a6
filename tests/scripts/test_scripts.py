"""What the scripts ask of a machine that is not like the one they were written on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from _servers import ROOT

SCRIPTED = ("Makefile", ".ci/run", ".cargo/*", "*.toml", "scripts/*", "docker/**/*", "build_backend/*")


def test_nothing_that_builds_or_fetches_names_a_registrys_host() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {url}"
        for pattern in SCRIPTED
        for path in ROOT.glob(pattern)
        if path.is_file() and path.suffix != ".pyc"
        for url in re.findall(r"(?:https?|ftp)://[^\s\"')]+", path.read_text(encoding="utf-8"))
        if not re.match(r"https?://(localhost|127\.0\.0\.1)\b", url)
    ]
    assert named == []


def test_servers_are_fetched_from_no_mirror_that_apt_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "servers", tmp_path / "scripts")
    programs = tmp_path / "bin"
    programs.mkdir()
    asked = tmp_path / "asked"
    # An apt that has never been updated: it lists no index, and says what else it was asked for.
    apt = programs / "apt-get"
    apt.write_text(f'#!/bin/sh\n[ "$1" = indextargets ] || echo "$@" >> {asked}\n', encoding="utf-8")
    apt.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "DEBIAN_MIRROR"}
    run = subprocess.run(
        [script],
        env=environment | {"PATH": f"{programs}:{environment['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert run.stderr == (
        "scripts/servers: apt knows no mirror of Debian here: run apt-get update once, "
        "or set DEBIAN_MIRROR to a mirror's URL\n"
    )
    assert not asked.exists()
