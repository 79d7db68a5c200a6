"""The images as a team would run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

from _containers import PASSWORD, Store, running
from _servers import ROOT

pytestmark = pytest.mark.shipping

POLICY = ("MODEL.POLICY", "SET", "Session:", "TTL", 1_800_000, "REFRESH", "ALL")


@pytest.fixture
def volume(store: Store) -> Iterator[str]:
    """A volume of its own, for one test."""
    volume = store.container.get_docker_client().client.volumes.create()
    yield volume.name
    volume.remove()


def setting(store: Store, name: str) -> str:
    with store.client(decode_responses=True) as client:
        return str(client.config_get(name)[name])


def test_a_container_becomes_healthy(store: Store) -> None:
    HealthcheckWaitStrategy().with_startup_timeout(30).wait_until_ready(store.container)


def test_a_container_that_answers_nothing_is_not_healthy(store: Store) -> None:
    with store.client() as client:
        client.client_pause(2_000)
        check = store.container.exec(["timeout", "1", "healthy"])

    assert check.exit_code != 0


def test_the_server_does_not_run_as_root(store: Store) -> None:
    assert store.run("stat", "--format", "%u", "/proc/1") == "999\n"
    assert store.run("id", "--user") == "999\n"


def test_the_image_carries_the_licences_of_what_is_linked_in(store: Store) -> None:
    for name in ("LICENSE", "THIRD-PARTY-NOTICES"):
        own = (ROOT / name).read_text(encoding="utf-8")
        assert store.run("cat", f"/usr/share/doc/rapyer-native/{name}") == own


def test_the_module_does_not_tell_where_it_was_built(store: Store) -> None:
    module = store.container.exec(["cat", "/usr/lib/rapyer/librapyer.so"]).output
    assert [place for place in (b"/source", b"/usr/local/", b"registry/src") if place in module] == []


def test_the_password_is_asked_for_and_works(store: Store) -> None:
    for wrong in (None, "wrong"):
        with store.client(password=wrong) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    with store.client() as client:
        assert client.ping()


def test_the_password_is_not_in_the_process_list(store: Store) -> None:
    arguments = store.container.get_wrapped_container().top()["Processes"]

    assert "quoted" not in str(arguments)
    assert "quoted" not in store.run("cat", "/proc/1/cmdline")


def test_limits_are_set_by_the_environment(store: Store) -> None:
    assert setting(store, "maxmemory") == str(64 * 1024 * 1024)
    assert setting(store, "maxmemory-policy") == "volatile-ttl"
    assert setting(store, "appendonly") == "yes"


def test_without_a_password_only_the_container_itself_may_connect(image: str) -> None:
    with running(image, password=None) as store:
        with store.client() as client, pytest.raises(redis.RedisError, match="protected mode"):
            client.ping()
        assert store.run(f"{store.kind}-cli", "ping") == "PONG\n"
        assert b"RAPYER_PASSWORD" in store.container.get_logs()[1]


def test_the_password_may_be_in_a_file(image: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n", encoding="utf-8")
    # As a secret is mounted: readable by the container's user.
    tmp_path.chmod(0o755)
    with running(
        image, password=None, password_file="/run/secret/password", volumes={str(tmp_path): "/run/secret"}
    ) as store:
        with store.client() as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with store.client(password=PASSWORD) as client:
            assert client.ping()
        store.run("healthy")


def test_arguments_are_options_of_the_server_and_win(image: str) -> None:
    with running(image, "--appendonly", "no", "--maxclients", "77", appendonly="yes") as store:
        assert setting(store, "appendonly") == "no"
        assert setting(store, "maxclients") == "77"


def test_documents_deadlines_and_policies_outlive_a_container_that_is_killed(image: str, volume: str) -> None:
    always = ("--appendfsync", "always")
    with running(image, *always, volumes={volume: "/data"}) as store, store.client() as client:
        client.execute_command(*POLICY)
        client.execute_command("MODEL.CREATE", "Session:1", '{"user":"ada"}')
        deadline = client.pexpiretime("Session:1")
        store.container.get_wrapped_container().kill()

    with running(image, volumes={volume: "/data"}) as store, store.client() as client:
        assert client.execute_command("MODEL.GET_RO", "Session:1") == b'{"user":"ada"}'
        assert client.pexpiretime("Session:1") == deadline > 0
        assert client.execute_command("MODEL.POLICY", "MATCH", "Session:1") == b"Session:"


def test_a_container_stops_when_it_is_asked_to(image: str) -> None:
    with running(image) as store:
        container = store.container.get_wrapped_container()
        container.stop(timeout=60)

        assert container.wait()["StatusCode"] == 0
        assert b"bye bye" in container.logs()


@pytest.mark.parametrize("value", ["lots", "1mb\nprotected-mode no"])
def test_a_setting_that_is_none_stops_the_container_and_is_named(image: str, value: str) -> None:
    with DockerContainer(image).with_env("RAPYER_MAXMEMORY", value) as container:
        assert container.wait() != 0
        assert b"maxmemory" in b"".join(container.get_logs())
