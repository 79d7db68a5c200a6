"""Builds the distribution: the server module by cargo, everything else by maturin.

maturin builds one library a wheel, the Python extension. The wheel also carries the server module, so this
backend builds that first, lays it where `[tool.maturin] include` picks it up, and hands over.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import maturin
from maturin import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, Any]

IN_WHEEL = Path("python", "rapyer", "_module", "librapyer.so")

# Source distributions do not say which files are programs, and cargo starts this one.
Path(".cargo", "rustc").chmod(0o755)


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    """What maturin asks for and, unless the machine names its own, the libclang that bindgen reads C with."""
    required = maturin.get_requires_for_build_wheel(config_settings)
    return required if "LIBCLANG_PATH" in os.environ else [*required, "libclang"]


def build_wheel(
    wheel_directory: str, config_settings: Settings | None = None, metadata_directory: str | None = None
) -> str:
    settings = dict(config_settings or {})
    if not maturin.get_maturin_pep517_args(settings):
        # Without a value: the tag of the oldest glibc the extension runs on. maturin's own choice for
        # builds by pip is plain "linux", which any glibc accepts and not every one can load.
        settings["maturin.build-args"] = "--compatibility"
    with server_module():
        return maturin.build_wheel(wheel_directory, settings, metadata_directory)


@contextmanager
def server_module() -> Iterator[None]:
    """Lays the module into the package for the time of the build: left there, it would go stale."""
    built = cargo_build()
    IN_WHEEL.parent.mkdir(exist_ok=True)
    try:
        shutil.copy2(built, IN_WHEEL)
        yield
    finally:
        shutil.rmtree(IN_WHEEL.parent)


def cargo_build() -> Path:
    """The freshly built module, wherever cargo's configuration puts it."""
    command = ["cargo", "build", "--release", "--locked", "--package", "rapyer-module"]
    report = "--message-format=json-render-diagnostics"
    try:
        cargo = subprocess.run([*command, report], stdout=subprocess.PIPE, env=environment(), check=True)
    except FileNotFoundError as missing:
        raise SystemExit(f"rapyer-native needs {missing.filename}: install it and build again") from missing
    except subprocess.CalledProcessError as failed:
        raise SystemExit(f"{' '.join(command)} failed; its reason is above") from failed
    for line in cargo.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "rapyer":
            return Path(message["filenames"][0])
    raise SystemExit(f"{' '.join(command)} built no library called rapyer")


def environment() -> dict[str, str]:
    """Where bindgen finds libclang and, as PyPI's libclang brings none, the compiler's own headers."""
    if "LIBCLANG_PATH" in os.environ:
        return dict(os.environ)
    import clang  # present exactly when get_requires_for_build_wheel asked for it

    headers = subprocess.run(
        ["gcc", "-print-file-name=include"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    return (
        {"BINDGEN_EXTRA_CLANG_ARGS": f"-I{headers}"}
        | os.environ
        | {"LIBCLANG_PATH": str(Path(clang.__path__[0], "native"))}
    )
