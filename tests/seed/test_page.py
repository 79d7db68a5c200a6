"""The page a user of rapyer starts from: its code runs as written, and what it says comes true."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from _hosts import Host
from _package import moves_deadline
from _seed import DEFINE, GROUPS, INIT, PAGE, PER_MODEL, SET_TTL, TOKEN, USER_SESSION
from rapyer import ActionGroup, AtomicRedisModel, init_rapyer
from rapyer.errors import InvalidRefreshTtlError, NestedModelError


class Page:
    """The page's code on one host, with what the page takes for granted around it."""

    def __init__(self, host: Host) -> None:
        class Cache(AtomicRedisModel):
            value: str = ""

        self.host = host
        client = host.url if host.name == "embedded" else Redis.from_url(host.url)
        self.names: dict[str, Any] = {
            "AtomicRedisModel": AtomicRedisModel,
            "redis_client": client,
            "session_id": "s-1",
            "Cache": Cache,
        }

    async def run(self, block: str) -> None:
        code = compile(block, str(PAGE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, self.names)  # the page's own code
        if inspect.isawaitable(result):
            await result
        # The page's server is at localhost; the rest of it is what is asked for.
        await init_rapyer(redis=self.host.url)

    async def end(self) -> None:
        client = self.names["redis_client"]
        if isinstance(client, Redis):
            await client.aclose()


@pytest.fixture
async def page(on_host: Host) -> Any:
    page = Page(on_host)
    yield page
    await page.end()


async def _stored_session(page: Page, **fields: Any) -> Any:
    session = page.names["Session"](user_id="ada", **fields)
    session.pk = "abc123"
    return await session.asave()


async def _stored_user_session(page: Page) -> None:
    policy = ("UserSession:", "TTL", 1_800_000, "REFRESH", "ALL")
    await page.host.call("MODEL.POLICY", "SET", *policy)
    document = '{"user_id":"ada","last_page":"/","cart_items":[]}'
    await page.host.call("MODEL.CREATE", "UserSession:s-1", document)


async def test_every_block_of_the_page_runs_as_written_in_its_order(page: Page) -> None:
    await _stored_user_session(page)
    for block in (DEFINE, INIT, PER_MODEL, GROUPS, USER_SESSION, TOKEN):
        await page.run(block)
    await _stored_session(page)
    await page.run(SET_TTL)

    assert page.names["session"].user_id == "ada"
    assert 7_190_000 < await page.host.pttl("Session:abc123") <= 7_200_000


async def test_a_ttl_set_after_the_class_holds_from_the_creating_command_on(page: Page) -> None:
    await page.run(DEFINE)
    session = await page.names["Session"](user_id="ada").asave()

    assert 1_790_000 < await page.host.pttl(session.key) <= 1_800_000


async def test_a_session_is_deleted_once_its_ttl_has_passed(page: Page) -> None:
    await page.run(DEFINE)
    page.names["Session"].Meta.ttl = 1
    session = await page.names["Session"](user_id="ada").asave()
    await page.host.pass_time(1.05)

    assert await page.names["Session"].afind_one(session.key) is None


async def test_by_default_reading_saving_and_every_atomic_operation_reset_the_ttl(page: Page) -> None:
    await page.run(DEFINE)
    model = page.names["Session"]
    session = await model(user_id="ada").asave()

    for act in (
        lambda: model.aget(session.key),
        lambda: model.afind(session.key),
        lambda: model.afind_one(session.key),
        session.asave,
        lambda: session.aupdate(user_id="bob"),
        lambda: session.data.aset_item("a", 1),
        lambda: session.data.apop("a"),
    ):
        assert await moves_deadline(page.host, session.key, act)


async def test_init_sets_ttl_and_refresh_for_all_models_and_the_last_call_holds(page: Page) -> None:
    await page.run(INIT)

    class Anything(AtomicRedisModel):
        name: str = ""

    thing = await Anything().asave()
    assert 3_590_000 < await page.host.pttl(thing.key) <= 3_600_000
    assert not await moves_deadline(page.host, thing.key, lambda: Anything.aget(thing.key))

    await init_rapyer(refresh_ttl=True)
    assert await moves_deadline(page.host, thing.key, lambda: Anything.aget(thing.key))


async def test_without_refresh_the_initial_ttl_is_set_and_never_moves(page: Page) -> None:
    await page.run(PER_MODEL)
    model = page.names["Session"]
    saved = await model(user_id="ada").asave()
    (inserted,) = await model.ainsert(model(user_id="bob"))

    for session in (saved, inserted):
        assert 1_790_000 < await page.host.pttl(session.key) <= 1_800_000
        for act in (
            lambda session=session: model.aget(session.key),
            session.asave,
            lambda session=session: session.data.aset_item("a", 1),
        ):
            assert not await moves_deadline(page.host, session.key, act)


async def test_the_class_can_be_defined_a_second_time_with_another_meta(page: Page) -> None:
    await page.run(DEFINE)
    first = page.names["Session"]
    await page.run(PER_MODEL)

    assert page.names["Session"] is not first
    assert page.names["Session"].Meta.refresh_ttl is False
    assert first.Meta.refresh_ttl is True


async def test_action_groups_are_set_as_the_page_combines_them(page: Page) -> None:
    await page.run(PER_MODEL)
    await page.run(GROUPS)

    assert page.names["Cache"].Meta.refresh_ttl == ActionGroup.READ | ActionGroup.FETCH
    assert page.names["Session"].Meta.refresh_ttl == ActionGroup.all(for_ttl=True)
    assert ActionGroup.DELETE not in ActionGroup.all(for_ttl=True)
    assert ActionGroup.all() == ActionGroup.all(for_ttl=True) | ActionGroup.DELETE


OPERATIONS: dict[str, ActionGroup] = {
    "aget": ActionGroup.READ | ActionGroup.FETCH,
    "afind": ActionGroup.READ | ActionGroup.FETCH,
    "field aload": ActionGroup.READ,
    "asave": ActionGroup.CREATE | ActionGroup.UPDATE,
    "aupdate": ActionGroup.UPDATE,
    "aset_item": ActionGroup.UPDATE,
    "aappend": ActionGroup.UPDATE | ActionGroup.APPEND,
    "apop": ActionGroup.READ | ActionGroup.UPDATE | ActionGroup.ERASE,
    "aincrease": ActionGroup.UPDATE | ActionGroup.ARITHMETIC,
}


class Basket(AtomicRedisModel):
    owner: str = "ada"
    items: list[str] = []
    notes: dict[str, str] = {}
    total: int = 0


@pytest.mark.parametrize("group", [group for group in ActionGroup if group is not ActionGroup.DELETE])
async def test_an_operation_refreshes_by_each_of_its_groups_and_by_no_other(
    on_host: Host, group: ActionGroup
) -> None:
    Basket.Meta.ttl = 1000
    Basket.Meta.refresh_ttl = group
    basket: Any = await Basket(items=["a", "b"]).asave()
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "aget": lambda: Basket.aget(basket.key),
        "afind": lambda: Basket.afind(basket.key),
        "field aload": lambda: basket.total.aload(),
        "asave": basket.asave,
        "aupdate": lambda: basket.aupdate(owner="bob"),
        "aset_item": lambda: basket.notes.aset_item("a", "b"),
        "aappend": lambda: basket.items.aappend("c"),
        "apop": lambda: basket.items.apop(),
        "aincrease": lambda: basket.total.aincrease(),
    }

    moved = {name for name, act in acts.items() if await moves_deadline(on_host, basket.key, act)}

    assert moved == {name for name, groups in OPERATIONS.items() if group in groups}


def test_delete_is_not_refreshable() -> None:
    for groups in (ActionGroup.DELETE, ActionGroup.all(), ActionGroup.READ | ActionGroup.DELETE):
        with pytest.raises(InvalidRefreshTtlError, match="DELETE"):
            Basket.Meta.refresh_ttl = groups


async def test_what_afind_finds_for_one_id_is_used_as_the_model(page: Page) -> None:
    await _stored_user_session(page)
    await page.host.pass_time(0.005)
    before = await page.host.deadline("UserSession:s-1")
    await page.run(USER_SESSION)

    assert await page.host.deadline("UserSession:s-1") > before
    assert (await page.names["UserSession"].aget("s-1")).last_page == "/checkout"


async def test_a_password_reset_token_expires_one_hour_after_its_creation(
    page: Page,
) -> None:
    await page.run(TOKEN)
    model = page.names["PasswordResetToken"]
    token = await model(user_id="ada", token="t").asave()

    assert 3_590_000 < await page.host.pttl(token.key) <= 3_600_000
    assert not await moves_deadline(page.host, token.key, lambda: model.aget(token.key))
    assert not await moves_deadline(page.host, token.key, token.asave)


async def test_aset_ttl_is_refused_on_a_nested_model(page: Page) -> None:
    class Cart(AtomicRedisModel):
        items: list[str] = []

    class Visit(AtomicRedisModel):
        cart: Cart = Cart()

    visit = await Visit().asave()
    with pytest.raises(NestedModelError, match="aset_ttl is for whole documents"):
        await visit.cart.aset_ttl(7200)
    assert await page.host.pttl(visit.key) == -1


async def test_aset_ttl_stays_with_the_document_when_it_is_refreshed(page: Page) -> None:
    await page.run(DEFINE)
    await _stored_session(page)
    await page.run(SET_TTL)
    assert await moves_deadline(page.host, "Session:abc123", page.names["session"].asave)

    assert 7_190_000 < await page.host.pttl("Session:abc123") <= 7_200_000
