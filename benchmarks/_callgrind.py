"""Callgrind around a running server: instructions, allocations, and the functions that cost most."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _servers import Server

ALLOCATOR = re.compile(r"(malloc|calloc|realloc|aligned_alloc|posix_memalign|memalign)(@.*)?$")
"""Every allocation of the server and of its modules ends in one of these."""

BY_MODULE = re.compile(r"RM_(Try)?(Alloc|Calloc|Realloc)$")


class ValgrindMissing(RuntimeError):
    """valgrind is not on this machine; the text says how to get it."""


def require() -> None:
    if not all(shutil.which(program) for program in ("valgrind", "vgdb")):
        raise ValgrindMissing("counting instructions takes valgrind: apt-get install valgrind")


def version() -> str:
    return subprocess.run(
        ["valgrind", "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()


_WITHOUT_CHANCE = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static FILE *instead(const char *name, const char *path, const char *mode) {
    FILE *(*open)(const char *, const char *) = dlsym(RTLD_NEXT, name);
    return open(strcmp(path, "/dev/urandom") ? path : "/dev/zero", mode);
}
FILE *fopen(const char *path, const char *mode) { return instead("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return instead("fopen64", path, mode); }
"""


def _without_chance(directory: Path) -> Path:
    """A library that gives the server's hash tables the same seed every time.

    Which names meet in the table of commands depends on it, and finding the right one then takes a hundred
    instructions more.
    """
    library = directory / "without-chance.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", library, "-ldl"],
        input=_WITHOUT_CHANCE,
        text=True,
        check=True,
    )
    return library


@dataclass
class Profile:
    """The counts of one dump."""

    instructions: int = 0
    allocations: int = 0
    by_module: int = 0
    """Those of the allocations that a module asked for itself."""
    own: Counter[str] = field(default_factory=Counter)
    """Instructions by function, without those of the functions it calls."""
    inclusive: Counter[str] = field(default_factory=Counter)
    """The same with those of the functions it calls; a recursive function counts each level."""


class CountedServer:
    """A server that runs under callgrind, without the work that servers do on a timer."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        require()
        self.server = Server.start(
            "redis",
            ("--hz", "1", "--enable-debug-command", "yes", "--repl-timeout", "3600", *arguments),
            under=lambda directory: (
                "env",
                f"LD_PRELOAD={_without_chance(directory)}",
                # Memory goes back to the system after a time; so never.
                "MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1",
                "valgrind",
                "--tool=callgrind",
                "--dump-line=no",
                f"--callgrind-out-file={directory / 'callgrind'}",
            ),
        )

    def stop(self) -> None:
        self.server.stop()

    def count(self, work: Callable[[], None]) -> Profile:
        """What the server executes while `work` runs; nobody else may talk to the server meanwhile."""
        self._tell("zero")
        work()
        self._tell("dump")
        (dump,) = self.server.dir.glob("callgrind.*")
        try:
            return parse(dump)
        finally:
            dump.unlink()

    def _tell(self, command: str) -> None:
        # A server that waits for clients is interrupted at once, and goes on waiting afterwards.
        subprocess.run(
            ["vgdb", f"--pid={self.server.pid}", "--max-invoke-ms=1", command],
            check=True,
            capture_output=True,
        )


_NAMED = re.compile(r"(fn|cfn)=\((\d+)\)(?: (.*))?")


def parse(dump: Path) -> Profile:
    """Reads one dump in callgrind's format, positions without line numbers."""
    profile = Profile()
    names: dict[str, str] = {}
    function = callee = ""
    with dump.open(errors="replace") as lines:
        for line in lines:
            if match := _NAMED.match(line):
                kind, number, name = match.groups()
                if name is not None:
                    names[number] = name.strip()
                if kind == "fn":
                    function = names[number]
                else:
                    callee = names[number]
            elif line.startswith("calls="):
                calls = int(line[len("calls=") :].split()[0])
                profile.allocations += calls if ALLOCATOR.match(callee) else 0
                profile.by_module += calls if BY_MODULE.match(callee) else 0
                profile.inclusive[function] += _cost(next(lines))
            elif line[:1].isdigit() or line[:1] in "+-*":
                profile.own[function] += _cost(line)
                profile.inclusive[function] += _cost(line)
            elif line.startswith(("summary:", "totals:")):
                profile.instructions = int(line.split()[1])
    return profile


def _cost(line: str) -> int:
    _, cost = line.split()
    return int(cost)
