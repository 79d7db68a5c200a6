"""Servers that a test has for itself, of every kind."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from _servers import EVERY_KIND, FULL_SYNC, Kind, Server, ServerMissing
from _wire import Client, ReplicationStream, wait_for, wait_until_linked

Start = Callable[..., Server]

_FAST_SYNC = ("--repl-diskless-sync", "no", "--repl-diskless-sync-delay", "0", "--repl-timeout", "10")


@pytest.fixture(params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def start(kind: Kind, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Start]:
    """A function that starts a server with these arguments; all end with the test."""
    with contextlib.ExitStack() as running:

        def start(*arguments: str, of: Server | None = None, module: bool = True) -> Server:
            replica = ("--replicaof", "127.0.0.1", str(of.port)) if of else ()
            try:
                server = Server.start(kind, [*_FAST_SYNC, *replica, *arguments], module)
            except ServerMissing as missing:
                left_out(missing)
            running.callback(server.stop)
            if of:
                wait_until_linked(server)
            return server

        yield start


@pytest.fixture
def primary(start: Start) -> Server:
    return start()


@pytest.fixture
def replica(start: Start, primary: Server) -> Server:
    return start(of=primary)


@pytest.fixture
def client(primary: Server) -> Iterator[Client]:
    with Client(primary) as client:
        yield client


@pytest.fixture
def stream(primary: Server) -> Iterator[ReplicationStream]:
    stream = ReplicationStream(primary)
    yield stream
    stream.close()


@pytest.fixture(scope="session")
def meddler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that calls commands as other modules do, and acts inside the server's notifications."""
    source = Path(__file__).parent / "meddler" / "meddler.c"
    module = tmp_path_factory.mktemp("meddler") / "meddler.so"
    flags = ("-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *flags, "-o", str(module), str(source)], check=True)
    return module


@pytest.fixture
def carried(start: Start) -> Callable[[Server, str], Server]:
    """A function that has another server take over all data, in a form in which servers write it."""

    def carried(server: Server, form: str) -> Server:
        if form == FULL_SYNC:
            another = start(of=server)
            with Client(another) as client:
                client("REPLICAOF", "NO", "ONE")
            return another
        append_only = ("--appendonly", "yes") if form.startswith("AOF") else ()
        another = start(*append_only)
        another.kill()
        with Client(server) as client:
            if append_only:
                client("CONFIG", "SET", "aof-use-rdb-preamble", "no" if "without" in form else "yes")
                appends = client("CONFIG", "GET", "appendonly")[1] == b"yes"
                client(*("BGREWRITEAOF",) if appends else ("CONFIG", "SET", "appendonly", "yes"))
                for field in ("aof_rewrite_scheduled", "aof_rewrite_in_progress"):
                    wait_for(lambda field=field: client.info("persistence")[field] == "0")  # type: ignore[misc]
                assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
            else:
                client("SAVE")
        server.kill()
        if append_only:
            shutil.rmtree(another.dir / "appendonlydir")
            shutil.copytree(server.dir / "appendonlydir", another.dir / "appendonlydir")
        else:
            shutil.copy(server.dir / "dump.rdb", another.dir)
        another.restart()
        return another

    return carried
