"""Images built from this checkout, and containers of them; each ends with the block that started it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from _servers import ROOT, Kind

# All that a configuration file or a URL gives a meaning to.
PASSWORD = """a "quoted" 'word' \\n @:/ #$é"""

_BASES = ("rust:1-bookworm", "debian:bookworm-slim", "debian:trixie-slim")
# A compiler may be silent for longer than a client waits by default.
_PATIENT = {"timeout": 900}


class DockerMissing(RuntimeError):
    """Images cannot be built on this machine; the text says what is missing and how to get it."""


def require_docker() -> None:
    if shutil.which("docker") is None or not _docker("info"):
        raise DockerMissing("there is no Docker, or this user may not use it")
    for base in _BASES:
        if not _at_hand(base):
            raise DockerMissing(
                f"no image {base} and no registry: scripts/base-images, run as root, makes it"
            )
    if not _at_hand(testcontainers_config.ryuk_image):
        # It removes what tests that were killed leave behind, nothing else.
        testcontainers_config.ryuk_disabled = True


def _at_hand(image: str) -> bool:
    return _docker("image", "inspect", image) or _docker("pull", image)


def _docker(*arguments: str) -> bool:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode == 0


def build(target: str, dockerfile: str = "docker/Dockerfile") -> str:
    """Builds a target and gives the image's name. The image stays: it is the next build's cache."""
    tag = f"rapyer-native:{target}"
    DockerImage(
        ROOT,
        tag=tag,
        dockerfile_path=dockerfile,
        clean_up=False,
        docker_client_kw=_PATIENT,
        target=target,
        forcerm=True,
    ).build()
    return tag


@dataclass
class Store:
    """A server in a container, as `_servers.Server` is one on this machine."""

    kind: Kind
    container: DockerContainer
    password: str | None

    @property
    def port(self) -> int:
        return self.container.get_exposed_port(6379)

    @property
    def url(self) -> str:
        user = "" if self.password is None else f":{quote(self.password, safe='')}@"
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """A new client, which the caller closes; with the right password, unless another is given."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, **{"password": self.password, "retry": once} | options)

    def run(self, *command: str) -> str:
        """What a command in the container prints."""
        result = self.container.exec(list(command))
        assert result.exit_code == 0, result.output
        return result.output.decode()


@contextmanager
def running(
    image: str,
    *arguments: str,
    password: str | None = PASSWORD,
    volumes: dict[str, str] | None = None,
    **settings: str,
) -> Iterator[Store]:
    """A container that is ready for commands; settings are the image's RAPYER_* variables."""
    given = settings if password is None else {"password": password} | settings
    container = (
        DockerContainer(image, docker_client_kw=_PATIENT)
        .with_envs(**{f"RAPYER_{name.upper()}": value for name, value in given.items()})
        .with_command(list(arguments))
        .with_exposed_ports(6379)
        .waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    )
    for volume, directory in (volumes or {}).items():
        container.with_volume_mapping(volume, directory, "rw")
    kind: Kind = "valkey" if image.endswith("valkey") else "redis"
    with container:
        yield Store(kind, container, password)
