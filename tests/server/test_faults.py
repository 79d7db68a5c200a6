"""A panic in the module is an error reply and a line in the log; the server and the documents outlive it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from _servers import Server
from _wire import Client, CommandFailed

Start = Callable[..., Server]

_ROOT = Path(__file__).parents[2]

SMALL = json.dumps({"n": 1, "tags": ["a"], "jobs": []})
LARGE = json.dumps({"n": 1, "tags": ["a"], "jobs": [[n, f"job {n}"] for n in range(20_000)]})

READS = [("MODEL.GET", "Doc:1"), ("MODEL.GET", "Doc:1", "$.tags"), ("MODEL.MGET", "Doc:1", "Doc:2")]
WRITES: list[tuple[str, ...]] = [
    ("MODEL.CREATE", "Doc:2", SMALL),
    ("MODEL.SAVE", "Doc:1", '{"n":2}', "ONLY", "1", '"n"'),
    ("MODEL.SET", "Doc:1", "$.n", "5"),
    ("MODEL.APPEND", "Doc:1", "$.tags", '"b"'),
    ("MODEL.INCRBY", "Doc:1", "$.n", "1"),
    ("MODEL.PUSH", "Doc:1", "$.jobs", "-1", '"first"'),
    (
        "MODEL.EXEC",
        "1",
        "Doc:1",
        "4",
        "MODEL.INCRBY",
        "Doc:1",
        "$.n",
        "1",
        "3",
        "MODEL.CLEAR",
        "Doc:1",
        "$.tags",
    ),
    ("MODEL.TTL", "SET", "Doc:1", "PX", "500000"),
    ("MODEL.LOCK", "lock:Doc:1", "token", "PX", "1000"),
    ("MODEL.POLICY", "SET", "Doc:", "TTL", "1000"),
    ("MODEL.DEL", "Doc:1"),
]


@pytest.fixture(scope="module")
def faulty_module() -> Path:
    """The module with faults built in, without optimisation: built in seconds."""
    build = [
        str(_ROOT / "scripts" / "cargo"),
        "build",
        "--quiet",
        "-p",
        "rapyer-module",
        "--features",
        "faults",
    ]
    built = subprocess.run([*build, "--message-format", "json"], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    artifacts = [json.loads(line) for line in built.stdout.splitlines()]
    (path,) = [
        name
        for artifact in artifacts
        if artifact.get("target", {}).get("name") == "rapyer"
        for name in artifact.get("filenames", [])
    ]
    return Path(path)


@pytest.fixture
def faulty(start: Start, faulty_module: Path) -> Server:
    arguments = ("--appendonly", "yes", "--enable-debug-command", "yes")
    return start(*arguments, "--loadmodule", str(faulty_module), module=False)


@contextmanager
def fault(server: Server, point: str) -> Iterator[None]:
    """A block in which work panics: before anything is done, or when only the effects are left."""
    asked = server.dir / "fault"
    asked.write_text(point)
    try:
        yield
    finally:
        asked.unlink()


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
def test_a_panic_in_a_command_is_an_error_reply(faulty: Server, text: str) -> None:
    with Client(faulty) as client:
        client("MODEL.POLICY", "SET", "Doc:", "TTL", "100000")
        for words in [*READS, *WRITES]:
            client("MODEL.CREATE", "Doc:1", text)
            before = client("MODEL.GET_RO", "Doc:1")
            with fault(faulty, "start"), pytest.raises(CommandFailed, match="INTERNAL a fault at the start"):
                client(*words)
            assert client("MODEL.GET_RO", "Doc:1") == before
        assert client("PING") == b"PONG"


@pytest.mark.parametrize("text", [SMALL, LARGE], ids=["small", "large"])
def test_a_panic_after_the_reply_leaves_the_connection_and_the_document_whole(
    faulty: Server, text: str
) -> None:
    with Client(faulty) as client:
        client("MODEL.POLICY", "SET", "Doc:", "TTL", "100000")
        for words in WRITES:
            client("MODEL.CREATE", "Doc:1", text)
            with fault(faulty, "end"):
                client(*words)
                # Nothing but the one reply was sent.
                assert client("PING") == b"PONG"
            assert f"INTERNAL a fault at the end, in {words[0]}" in faulty.log()
            left = client("MODEL.GET_RO", "Doc:1")
            assert left is None or json.loads(left).keys() == json.loads(text).keys()


def test_a_panic_in_a_callback_of_the_data_type_is_a_line_in_the_log(faulty: Server) -> None:
    with Client(faulty) as client:
        for key, text in (("Doc:1", SMALL), ("Doc:2", LARGE), ("Doc:3", SMALL)):
            client("MODEL.CREATE", key, text)
        payload = client("DUMP", "Doc:1")
        with fault(faulty, "start"):
            client("MEMORY", "USAGE", "Doc:1")
            client("DEBUG", "DIGEST-VALUE", "Doc:1")
            client("DUMP", "Doc:1")
            for words in (("COPY", "Doc:1", "Doc:4"), ("RESTORE", "Doc:5", "0", payload)):
                with pytest.raises(CommandFailed):
                    client(*words)
            client("UNLINK", "Doc:2")
            client("DEL", "Doc:3")
            assert client("PING") == b"PONG"
        assert (
            client("MODEL.GET_RO", "Doc:1") == json.dumps(json.loads(SMALL), separators=(",", ":")).encode()
        )
        assert client("COPY", "Doc:1", "Doc:4") == 1
        assert client("RESTORE", "Doc:5", "0", payload) == b"OK"
        assert faulty.log().count("INTERNAL a fault at the start, in a callback of the data type") >= 5
