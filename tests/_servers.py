"""Real servers for tests, demo and benchmarks: found, started on a free port, always ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

Kind = Literal["redis", "valkey", "redis-8.0", "redis-8.2", "valkey-8.1", "valkey-9"]
KINDS: tuple[Kind, ...] = ("redis", "valkey")
"""What every suite runs on: the oldest releases that are supported."""
EVERY_KIND: tuple[Kind, ...] = get_args(Kind)
"""What the tests of servers run on."""

ROOT = Path(__file__).resolve().parent.parent
MODULE = Path(os.environ.get("RAPYER_MODULE", ROOT / "target" / "release" / "librapyer.so"))

Under = Callable[[Path], Sequence[str]]
"""From a server's own directory to the first words of its command line."""

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


FULL_SYNC = "a full sync"
FORMS = ("RDB", "AOF with preamble", "AOF without preamble", FULL_SYNC)
"""The forms in which a server hands on all that it has."""


class ServerMissing(RuntimeError):
    """A server, or the module for it, is not on this machine; the text says how to get it."""


def find(kind: Kind) -> Path | None:
    """The server's program: on PATH where any release will do, else where `make servers` puts it."""
    product, _, release = kind.partition("-")
    name = f"{product}-server"
    if not release and (found := shutil.which(name)):
        return Path(found)
    fetched = ROOT / ".cache" / "servers" / kind.replace(product, name, 1) / "bin" / name
    return fetched if fetched.exists() else None


class Server:
    """A running server of its own: an own directory, an own port, ended with the process that started it."""

    def __init__(
        self, kind: Kind, program: Path, arguments: Sequence[str], module: bool, under: Under | None
    ) -> None:
        self.kind: Kind = kind
        self.dir = Path(tempfile.mkdtemp(prefix=f"rapyer-{kind}-"))
        self.port = 0
        self.program = program
        # A file that a Sentinel, and CONFIG REWRITE, can write to.
        self._config = self.dir / "server.conf"
        self._config.touch()
        self._arguments = list(arguments)
        self._module = module
        self._under = under(self.dir) if under else ()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    @classmethod
    def start(
        cls,
        kind: Kind = "redis",
        args: Sequence[str] = (),
        module: bool = True,
        under: Under | None = None,
    ) -> Server:
        """Starts a server; `under` gives the words of a program that runs it, such as valgrind."""
        program = find(kind)
        if program is None:
            raise ServerMissing(f"{kind} is not on this machine: run `make servers`")
        if module and not MODULE.exists():
            raise ServerMissing(
                f"the server module is not built: {MODULE} does not exist; run `make module`, "
                "or point RAPYER_MODULE at it"
            )
        server = cls(kind, program, args, module, under)
        server.restart()
        return server

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def client(self, **options: Any) -> redis.Redis:
        """A new synchronous client; the caller closes it."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def alive(self) -> bool:
        """Whether the process runs; one that ended by itself can be started again by `restart`."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        path = self.dir / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def restart(self) -> None:
        """Stops the server where it runs and starts it on the same directory and, after the first time, port.

        Nothing is saved on the way: what survives is what the server's own persistence wrote.
        """
        self._end(signal.SIGTERM)
        # Another process may take the port between looking and binding: then look again.
        for _ in range(5):
            port = self.port or _free_port()
            self._process = self._spawn(port)
            if self._answers(port):
                self.port = port
                return
            self._end(signal.SIGKILL)
            if "Address already in use" not in self.log():
                break
        raise RuntimeError(f"{self.program.name} did not start:\n{self.log()}")

    def stop(self) -> None:
        """Ends the server, which has nothing to take leave of, and removes its directory."""
        atexit.unregister(self.stop)
        self._end(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self) -> None:
        """Ends the server as a crash would; the directory stays for `restart`."""
        self._end(signal.SIGKILL)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        # CONFIG REWRITE writes the module into the file.
        module = self._module and "loadmodule" not in self._config.read_text()
        command = [
            *self._under,
            *_loader(self.program),
            *(str(self.program), str(self._config)),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.dir)),
            *("--logfile", str(self.dir / "server.log"), "--save", "", "--daemonize", "no"),
            *(("--loadmodule", str(MODULE)) if module else ()),
            *self._arguments,
        ]
        return subprocess.Popen(
            command,
            cwd=self.dir,
            # A group of its own, so that a child that saves ends with it.
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _answers(self, port: int) -> bool:
        """Waits until the server that was just spawned, and no other on that port, answers PING."""
        assert self._process is not None
        once = Retry(NoBackoff(), 0)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            attempt = redis.Redis(port=port, socket_timeout=5, retry=once)
            with contextlib.suppress(redis.RedisError), attempt as client:
                # A server that still loads its files answers INFO, and PING only when it is done.
                if client.info("server")["process_id"] == self._process.pid and client.ping():
                    return True
            time.sleep(0.02)
        return False

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, with_signal)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _loader(program: Path) -> list[str]:
    """What a server that came with its own C library is started by."""
    libraries = program.parent.parent / "lib"
    loader = next(libraries.glob("ld-linux*.so.*"), None) if libraries.is_relative_to(ROOT) else None
    return [str(loader), "--library-path", str(libraries)] if loader else []


def _free_port() -> int:
    """Below the ports a system hands out to clients, so that a restarted server finds its own again."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def main() -> int:
    """Runs a command with RAPYER_URL set to a server of its own; where none is installed it says so."""
    kind: Kind | None = next((kind for kind in KINDS if find(kind)), None)
    if kind is None:
        print("No redis-server or valkey-server here, so this part is left out; `make servers` gets both.")
        return 0
    server = Server.start(kind)
    try:
        return subprocess.run(
            sys.argv[1:], env=os.environ | {"RAPYER_URL": server.url}, check=False
        ).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
