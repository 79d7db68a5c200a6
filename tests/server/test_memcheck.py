"""Under valgrind no command touches memory that is not its own, whatever a subscriber does on the way.

On the distribution's redis-server alone: others come with allocators or loaders that valgrind cannot replace.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from _calls import DOCUMENT, TABLE, call, keys_of
from _meddling import ACTIONS, GENTLE, IN_NEW, KEY, OTHER, STATES, Meddled, Words, faults, meddle
from _servers import Server, ServerMissing
from _wire import wait_for

NOISE = Path(__file__).parent / "meddler" / "valgrind.supp"
# One of each kind: what moves a document, frees it, replaces it, sets a table of policies, nests a batch.
MEDDLING = (
    "appends to it",
    "replaces it by a document",
    "runs a batch on it",
    "deletes it",
    "writes a string by a handle",
    "renames it",
    "flushes everything",
    "sets the policy",
    "removes the policy",
    "reads it and others",
)
MEMCHECK = (
    *("--tool=memcheck", "--leak-check=no", "--num-callers=40", "--error-limit=no", "--quiet"),
    # The server's allocator is a library of its own, which memcheck has to stand in for.
    *("--soname-synonyms=somalloc=libjemalloc.so.2", f"--suppressions={NOISE}"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memcheck") / "report"


@pytest.fixture(scope="module")
def server(meddler: Path, report: Path, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Server]:
    valgrind, program = shutil.which("valgrind"), shutil.which("redis-server")
    if valgrind is None or program is None:
        left_out(ServerMissing("this needs redis-server, valgrind and libc6-dbg: install them with apt-get"))
    arguments = ["--loadmodule", str(meddler), "--enable-debug-command", "yes", "--appendonly", "yes"]
    under = [valgrind, *MEMCHECK, f"--log-file={report}"]
    server = Server.start("redis", [*arguments, "--appendfsync", "no"], under=lambda _: under)
    yield server
    server.stop()


@pytest.fixture
def meddled(server: Server) -> Iterator[Meddled]:
    meddled = Meddled(server)
    yield meddled
    meddled.close()


@pytest.fixture(autouse=True)
def clean(server: Server, report: Path) -> Iterator[None]:
    before = len(report.read_text())
    yield
    found = report.read_text()[before:]
    assert "Invalid" not in found, found[:6000]
    assert not re.search(r"uninitialised|overlap", found), found[:6000]
    assert "INTERNAL" not in server.log()


def everything(meddled: Meddled, event: str, action: Words) -> None:
    for name in TABLE:
        for state in STATES:
            words = call(name, [KEY, OTHER][: keys_of(name)])
            replies, seen = meddle(meddled, state, words, event, action)
            assert faults(replies, seen) == []


def test_every_command_by_itself(meddled: Meddled) -> None:
    everything(meddled, "no event", ["DELETE"])


@pytest.mark.parametrize("action", MEDDLING)
def test_every_command_with_a_subscriber_that_does_this(meddled: Meddled, action: str) -> None:
    everything(meddled, "*" if action in {*GENTLE, *IN_NEW} else "!new", ACTIONS[action])


def test_large_documents_batches_and_what_the_server_does_with_them(meddled: Meddled) -> None:
    large = "[" + ",".join(f'{{"n":{n},"text":"{"x" * (n % 50)}"}}' for n in range(2000)) + "]"
    calls: list[Words] = [
        ["FLUSHALL"],
        ["MODEL.POLICY", "SET", "Doc:", "TTL", "60000", "REFRESH", "ALL"],
        ["MODEL.CREATE", KEY, large],
        *(["MODEL.APPEND", KEY, "$", str(n)] for n in range(50)),
        ["MODEL.POP", KEY, "$", "0"],
        ["MODEL.INSERT", KEY, "$", "1000", "1", "2"],
        ["MODEL.REMOVE", KEY, "$", "7"],
        ["MODEL.CONTAINS", KEY, "$", "9"],
        ["MODEL.SET", KEY, "$[500].text", '"y"'],
        ["MODEL.CUT", KEY, "$", "10", "600"],
        ["MODEL.GET", KEY, "$[0]", "$[-1]", "$[99999]"],
        ["MODEL.COPY", KEY, OTHER],
        ["MODEL.EXEC", "2", KEY, OTHER, "3", "MODEL.POP", KEY, "$", "2", "MODEL.DEL", OTHER],
        ["MODEL.EXEC", "2", KEY, OTHER, "3", "MODEL.POP", KEY, "$", "3", "MODEL.POP", OTHER, "$"],
        ["COPY", KEY, OTHER, "REPLACE"],
        ["MODEL.SETOP", "2", KEY, OTHER, "$", "$", "INTER"],
        ["DEBUG", "DIGEST-VALUE", KEY, OTHER],
        ["MEMORY", "USAGE", KEY],
        ["DEBUG", "RELOAD"],
        ["DEBUG", "LOADAOF"],
        ["UNLINK", KEY, OTHER],
        ["MODEL.CREATE", KEY, DOCUMENT],
        ["BGREWRITEAOF"],
    ]
    for words in calls:
        meddled(words)
    wait_for(lambda: b"aof_rewrite_in_progress:0" in meddled(["INFO", "persistence"])[0])
    assert meddled(["MODEL.GET", KEY]) == [DOCUMENT.encode()]
