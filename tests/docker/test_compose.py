"""The example that compose starts: a store, and an application that has the wheel."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from _containers import PASSWORD
from _servers import KINDS, ROOT

pytestmark = pytest.mark.shipping


def compose() -> list[str]:
    """The command, in either of its two forms."""
    plugin = ["docker", "compose"]
    if subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0:
        return plugin
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither `docker compose` nor docker-compose is installed")


@pytest.fixture(params=KINDS)
def application(request: pytest.FixtureRequest, build: Callable[..., str]) -> Iterator[str]:
    """The URL of the application, started with a store of each kind in turn."""
    build("app")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "RAPYER_PASSWORD": PASSWORD,
        "RAPYER_SERVER": request.param,
        "APP_PORT": str(port),
        "COMPOSE_PROJECT_NAME": f"rapyer-test-{request.param}",
    }

    def run(*arguments: str) -> None:
        command = [*compose(), "--file", str(ROOT / "docker" / "compose.yaml"), *arguments]
        subprocess.run(command, env=environment, check=True)

    try:
        run("up", "--detach", "--build")
        yield f"http://127.0.0.1:{port}"
    finally:
        run("down", "--volumes", "--rmi", "local")


def visit(url: str) -> str:
    """The page; the application may still be starting."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
        time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")


def test_compose_starts_an_application_that_counts_visits_in_the_store(application: str) -> None:
    assert visit(f"{application}/ada") == "ada: visit 1, kept for 1800 s\n"
    assert visit(f"{application}/ada") == "ada: visit 2, kept for 1800 s\n"
    assert visit(f"{application}/bob") == "bob: visit 1, kept for 1800 s\n"
