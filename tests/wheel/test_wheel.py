"""What a user gets from `pip install`: the package, the extension and the server module."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from _servers import MODULE, ROOT, Server, find
from rapyer import _native

pytestmark = pytest.mark.shipping

ROUND_TRIP = """
import asyncio
from rapyer import AtomicRedisModel, init_rapyer, teardown_rapyer
from rapyer.types import RedisInt

class Session(AtomicRedisModel):
    user: str
    visits: RedisInt = RedisInt(0)

Session.Meta.ttl = 1800

async def main():
    await init_rapyer()
    session = await Session(user="ada").asave()
    await session.visits.aincrease()
    session = await Session.aget(session.pk)
    print(session.user, session.visits, round(await session.attl()))
    await teardown_rapyer()

asyncio.run(main())
"""


def output(*command: str | Path, **environment: str) -> str:
    return subprocess.run(
        command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def test_one_wheel_serves_every_python_from_3_10_on(wheel: Path) -> None:
    assert re.search(r"-cp310-abi3-manylinux_2_\d+_", wheel.name)


def test_the_tag_names_the_oldest_glibc_that_both_libraries_run_on(wheel: Path) -> None:
    shown = output(sys.executable, "-m", "auditwheel", "show", wheel)
    consistent = re.search(r'following platform tag:\s+"([^"]+)"', shown)

    assert consistent is not None, shown
    assert consistent[1] in wheel.stem.split("-")[-1].split(".")


def test_the_wheel_carries_the_extension_and_the_module_once(wheel: Path) -> None:
    libraries = [name for name in ZipFile(wheel).namelist() if name.endswith(".so")]

    assert sorted(libraries) == ["rapyer/_module/librapyer.so", "rapyer/_native.abi3.so"]


def test_the_wheel_carries_its_own_licence_and_those_of_what_is_linked_in(wheel: Path, source: Path) -> None:
    with ZipFile(wheel) as packed:
        (folder,) = {name.split("/")[0] for name in packed.namelist() if ".dist-info/" in name}
        for name in ("LICENSE", "THIRD-PARTY-NOTICES"):
            assert packed.read(f"{folder}/licenses/{name}") == (source / name).read_bytes()
        metadata = packed.read(f"{folder}/METADATA").decode()
    assert "License-File: THIRD-PARTY-NOTICES" in metadata


def test_nothing_in_the_wheel_tells_where_it_was_built(wheel: Path, source: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    telling = {*build_paths(), str(source), str(source.parent)}
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert [place for place in telling if place.encode() in content] == [], path.name


def test_the_libraries_built_here_do_not_tell_where() -> None:
    for library in (MODULE, Path(_native.__file__)):
        content = library.read_bytes()
        assert [place for place in build_paths() if place.encode() in content] == [], library


def build_paths() -> set[str]:
    """Where this machine keeps sources, and what the folders of registries are called on any."""
    home = Path.home()
    cargo = os.environ.get("CARGO_HOME", str(home / ".cargo"))
    rustup = os.environ.get("RUSTUP_HOME", str(home / ".rustup"))
    sysroot = output("rustc", "--print", "sysroot").strip()
    return {cargo, rustup, sysroot, str(ROOT), f"{home}/", "registry/src", "index.crates.io"}


def test_building_leaves_nothing_in_the_source(wheel: Path, source: Path) -> None:
    untracked = ["git", "-C", str(source), "ls-files", "--others"]

    assert output(*untracked) == ""


def test_the_package_runs_without_a_server(installed: Path) -> None:
    assert output(installed / "python", "-c", ROUND_TRIP, RAPYER_URL="embedded://") == "ada 1 1800\n"


def test_a_server_loads_the_module_that_the_command_line_names(installed: Path) -> None:
    if find("redis") is None:
        pytest.skip("redis-server is not installed: run `make servers`, or put it on PATH")
    module = output(installed / "rapyer", "module-path").rstrip("\n")
    server = Server.start("redis", ["--loadmodule", module], module=False)
    try:
        assert output(installed / "python", "-c", ROUND_TRIP, RAPYER_URL=server.url) == "ada 1 1800\n"
    finally:
        server.stop()


def test_the_command_line_is_a_module_as_well(installed: Path) -> None:
    as_module = output(installed / "python", "-m", "rapyer", "module-path")

    assert as_module == output(installed / "rapyer", "module-path")


def test_the_source_distribution_holds_everything_the_build_needs(source: Path, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    build = f"import backend; backend.build_sdist({str(tmp_path)!r})"
    subprocess.run(
        [sys.executable, "-c", build],
        cwd=source,
        env=os.environ | {"PYTHONPATH": "build_backend", "PATH": f"{programs}:{os.environ['PATH']}"},
        check=True,
    )
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path)
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    subprocess.run(
        [sys.executable, "-c", "import backend"],
        cwd=unpacked,
        env=os.environ | {"PYTHONPATH": "build_backend"},
        check=True,
    )
    metadata = json.loads(
        output(
            "cargo",
            "metadata",
            "--locked",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
            unpacked / "Cargo.toml",
        )
    )

    assert {package["name"] for package in metadata["packages"]} >= {"rapyer-module", "rapyer-native"}
    assert (unpacked / "build_backend" / "backend.py").is_file()
    assert (unpacked / "THIRD-PARTY-NOTICES").is_file()
    assert os.access(unpacked / ".cargo" / "rustc", os.X_OK)
