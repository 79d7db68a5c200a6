"""Writes THIRD-PARTY-NOTICES from the crates that are linked in; `--check` says whether it is up to date."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTICES = ROOT / "THIRD-PARTY-NOTICES"
SHIPPED = ("rapyer-module", "rapyer-native")
PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")

HEAD = """\
Third-party notices

Written by `make notices`; a test keeps it up to date. rapyer-native's own licence is in LICENSE. Its server
module and its Python extension contain the software below, each under the licence that follows it.
"""
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")

# It is linked in without being a crate of the lock file.
STANDARD_LIBRARY = """\
The Rust standard library
MIT OR Apache-2.0; its tables of Unicode under the terms that stand below regex-syntax

Copyright (c) The Rust Project Developers
Copyright (c) 2014 Alex Crichton (backtrace)
Copyright (c) 2016 Amanieu d'Antras (hashbrown)
Copyright (c) 2019 The Crossbeam Project Developers (std::sync::mpmc)

"""
RULE = "=" * 80

Package = dict[str, Any]


def linked() -> list[Package]:
    """The crates of others in what is shipped, proc macros and build scripts left out."""
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    for platform in PLATFORMS:
        command += ["--filter-platform", platform]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    packages: dict[str, Package] = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found: dict[str, Package] = {}
    waiting = [key for key, package in packages.items() if package["name"] in SHIPPED]
    while waiting:
        key = waiting.pop()
        package = packages[key]
        if key in found or any("proc-macro" in target["kind"] for target in package["targets"]):
            continue
        found[key] = package
        waiting += (
            dependency["pkg"]
            for dependency in nodes[key]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
    foreign = (package for package in found.values() if package["source"] is not None)
    return sorted(foreign, key=lambda package: (package["name"], package["version"]))


def licences(package: Package, others: list[Package]) -> str:
    """The texts that the crate brings, or a crate of the same repository; of MIT and another, MIT's."""
    texts = list(_files(package))
    for other in others:
        if not texts and other["repository"] == package["repository"]:
            texts = list(_files(other))
    if not texts:
        raise SystemExit(f"{package['name']} {package['version']} brings no text of its licence: find it")
    has_mit = any("MIT" in path.name for path in texts)
    wanted = [path for path in texts if not (has_mit and _is_alternative(path))]
    return "\n\n".join(path.read_text(encoding="utf-8").strip("\n") for path in wanted)


def _files(package: Package) -> Iterator[Path]:
    folder = Path(package["manifest_path"]).parent
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and path.name.upper().startswith(LICENCE_FILES)
            and path.suffix in ("", ".md", ".txt")
        ):
            yield path


def _is_alternative(path: Path) -> bool:
    """Whether it is the text of a licence that a user of MIT does not need; notices are none."""
    name = path.stem.upper()
    return name in ("LICENSE-APACHE", "LICENSE-ZLIB", "LICENSE-0BSD", "UNLICENSE", "COPYING")


def text() -> str:
    packages = linked()
    # Many crates bring the very same text: it stands once, below all of their names.
    named: dict[str, list[str]] = {}
    for package in packages:
        name = f"{package['name']} {package['version']}\n{package['repository']}, {package['license']}"
        named.setdefault(licences(package, packages), []).append(name)
    (terms,) = (text for text, names in named.items() if any(name.startswith("backtrace ") for name in names))
    grant = terms[terms.index("Permission is hereby granted") :]
    parts = [HEAD, STANDARD_LIBRARY + grant]
    parts += ["\n".join(names) + "\n\n" + licence for licence, names in named.items()]
    return f"\n\n{RULE}\n\n".join(part.strip("\n") for part in parts) + "\n"


def main() -> int:
    if "--check" not in sys.argv[1:]:
        NOTICES.write_text(text(), encoding="utf-8")
        return 0
    if NOTICES.exists() and NOTICES.read_text(encoding="utf-8") == text():
        return 0
    print(f"{NOTICES.name} is not what the linked crates say: run `make notices`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
