"""The wheel as a user builds it: by pip, from what git holds of this checkout and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from _servers import ROOT

# Kept from run to run, so that cargo compiles only what changed.
BUILT = ROOT / "target" / "wheel"


@pytest.fixture(scope="session")
def source() -> Path:
    """A clean clone's files, with changes that are not committed yet."""
    clone = BUILT / "source"
    shutil.rmtree(clone, ignore_errors=True)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0"):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            # With its time of change, by which cargo sees what it has compiled already.
            shutil.copy2(ROOT / name, clone / name)
    for command in ("init", "add ."):
        subprocess.run(["git", *command.split()], cwd=clone, check=True, capture_output=True)
    return clone


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    environment = os.environ | {"CARGO_TARGET_DIR": str(BUILT)}
    # The build brings its own: this machine's libclang must not be needed.
    environment.pop("LIBCLANG_PATH", None)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(directory), str(source)]
    subprocess.run(command, env=environment, check=True)
    (wheel,) = directory.iterdir()
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment that has the wheel and what it depends on."""
    environment = tmp_path_factory.mktemp("venv")
    venv.create(environment, with_pip=True)
    programs = environment / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", wheel], check=True)
    return programs
