"""Finding, creating and deleting many models, of one class and of any."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import rapyer
from _hosts import Host
from _package import moves_deadline
from rapyer import (
    ActionGroup,
    AtomicRedisModel,
    DeleteResult,
    GetOrCreateResult,
    GetOrCreateStatus,
    Key,
    RapyerKey,
    RedisConfig,
)
from rapyer.errors import (
    CorruptedModelError,
    KeyNotFound,
    MissingParameterError,
    NestedModelError,
    PolicyMissingError,
    RapyerModelDoesntExistError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)


class Page(AtomicRedisModel):
    title: str = ""


class PageView(AtomicRedisModel):
    count: int = 0


class Member(AtomicRedisModel):
    email: Key[str]
    name: str = ""
    page: Page = Page()


class Renamed(AtomicRedisModel):
    n: int = 0

    @classmethod
    def class_key_initials(cls) -> str:
        return "Page:special"


class Strict(AtomicRedisModel):
    n: int = 0
    Meta = RedisConfig(safe_load_all=True)


async def test_all_models_of_a_class_are_found_without_keys(on_host: Host) -> None:
    assert await Page.afind() == []
    pages = [await Page(title=str(n)).asave() for n in range(250)]
    await PageView().asave()
    await Member(email="Page:1").asave()
    found = await Page.afind()
    assert sorted(page.key for page in found) == sorted(page.key for page in pages)
    assert {page.title for page in found} == {page.title for page in pages}
    keys = await Page.afind_keys()
    assert sorted(keys) == sorted(page.key for page in pages)
    assert all(type(key) is RapyerKey for key in keys)


async def test_at_most_max_results_are_found(on_host: Host) -> None:
    pages = [await Page(title=str(n)).asave() for n in range(20)]
    for most in (0, 1, 7, 20, 99):
        assert len(await Page.afind(max_results=most)) == min(most, 20)
        assert len(set(await Page.afind_keys(most))) == min(most, 20)
    assert await Page.afind(pages[3].key, pages[1].key, max_results=1) == [pages[3]]
    for find in (Page.afind, Page.afind_keys):
        with pytest.raises(UnsupportedArgumentValueError, match="max_results"):
            await find(max_results=-1)


async def test_a_prefix_with_the_characters_of_patterns_finds_its_own(on_host: Host) -> None:
    class Odd(AtomicRedisModel):
        @classmethod
        def class_key_initials(cls) -> str:
            return r"o[d]*?\^"

    odd = await Odd().asave()
    await on_host.call("MODEL.CREATE", "odxx^:1", "{}")
    assert await Odd.afind_keys() == [odd.key]


async def test_documents_that_do_not_validate(on_host: Host, caplog: pytest.LogCaptureFixture) -> None:
    good = await Strict(n=1).asave()
    await on_host.call("MODEL.CREATE", "Strict:bad", '{"n":"x"}')
    await on_host.call("MODEL.CREATE", "Page:bad", '{"title":1}')
    with pytest.raises(CorruptedModelError, match="'Page:bad'"):
        await Page.afind()
    with caplog.at_level(logging.WARNING, "rapyer"):
        assert await Strict.afind() == [good]
        assert await Strict.afind(good.key, "bad") == [good]
    assert "'Strict:bad'" in caplog.text
    with pytest.raises(CorruptedModelError):
        await Strict.aget("bad")


async def test_existence(on_host: Host) -> None:
    page = await Page().asave()
    for key in (page, page.key, page.pk):
        assert await Page.aexists(key) is True
    assert await rapyer.aexists(page) is await rapyer.aexists(page.key) is True
    assert await Page.aexists("none") is await rapyer.aexists("Page:none") is False
    assert await rapyer.aexists("NoModel:1") is False
    Page.Meta.ttl = 1000
    page = await Page().asave()
    assert not await moves_deadline(on_host, page.key, lambda: Page.aexists(page))
    Page.Meta = RedisConfig()


async def test_deleting_by_key(on_host: Host) -> None:
    page = await Page().asave()
    assert await Page.adelete_by_key(page.pk) is True
    assert await Page.adelete_by_key(page.key) is False
    view = await PageView().asave()
    with pytest.raises(KeyNotFound, match="start with 'Page:'"):
        await Page.adelete_by_key(view.key)
    assert await PageView.aexists(view)


async def test_deleting_many(on_host: Host) -> None:
    pages = [await Page().asave() for _ in range(7)]
    Page.Meta.max_delete_per_transaction = 2
    result = await Page.adelete_many(pages[0], pages[1].key, pages[2].pk, "none")
    assert result == DeleteResult(3)
    with pytest.warns(DeprecationWarning, match="models_deleted"):
        assert result.count == 3
    assert len(await Page.afind_keys()) == 4
    wrong: list[tuple[Any, ...]] = [(), (None,), (PageView(),), (1.5, None)]
    for nothing in wrong:
        with pytest.raises(UnsupportedArgumentTypeError):
            await Page.adelete_many(*nothing)
    async with rapyer.apipeline():
        assert await Page.adelete_many(*pages) == DeleteResult(7, was_committed=False)
        assert await Page.aexists(pages[3])
    assert await Page.afind_keys() == []
    Page.Meta = RedisConfig()


async def test_deleting_many_of_any_class(on_host: Host) -> None:
    pages = [await Page().asave() for _ in range(3)]
    view = await PageView().asave()
    result = await rapyer.adelete_many(pages[0], pages[1].key, view, "Page:none")
    assert (result.models_deleted, result.keys_deleted, result.was_committed) == (3, 3, True)
    assert result.by_model == {Page: 2, PageView: 1}
    with pytest.raises(MissingParameterError):
        await rapyer.adelete_many()
    with pytest.raises(RapyerModelDoesntExistError) as error:
        await rapyer.adelete_many(pages[2], "Nothing:1")
    assert error.value.model_name == "Nothing"
    with pytest.raises(UnsupportedArgumentTypeError):
        await rapyer.adelete_many(pages[2], 5)  # type: ignore[arg-type]
    assert await Page.afind_keys() == [pages[2].key]


async def test_models_of_any_class_are_found_by_key(on_host: Host) -> None:
    page, view = await Page(title="p").asave(), await PageView(count=2).asave()
    special = await Renamed(n=3).asave()
    assert await rapyer.aget(page.key) == page
    assert await rapyer.aget(special.key) == special
    assert await rapyer.afind_one(view.key) == view
    assert await rapyer.afind(view.key, page.key, special.key, view.key) == [view, page, special, view]
    assert await rapyer.afind() == []
    assert await rapyer.afind("Page:none", page.key, skip_missing=True) == [page]
    for missing in ("Page:none", "NoModel:1", "no colon"):
        assert await rapyer.afind_one(missing) is None
        with pytest.raises(KeyNotFound):
            await rapyer.aget(missing)
    with pytest.raises(KeyNotFound, match="'Page:none'"):
        await rapyer.afind(page.key, "Page:none")
    with pytest.raises(RapyerModelDoesntExistError):
        await rapyer.afind("NoModel:1")


async def test_every_model_is_listed() -> None:
    models = rapyer.find_redis_models()
    assert {Page, PageView, Member, Renamed, Strict} <= set(models)
    models.clear()
    assert rapyer.find_redis_models()


async def test_several_models_are_inserted_together_or_not_at_all(on_host: Host) -> None:
    page, view = Page(title="p"), PageView()
    assert await rapyer.ainsert(page, view) == (page, view)
    assert await rapyer.afind(page.key, view.key) == [page, view]
    await on_host.call("MODEL.POLICY", "DEL", "Page:")
    Page.Meta.policies = "expect"
    with pytest.raises(PolicyMissingError, match="Page:"):
        await rapyer.ainsert(PageView(count=9), Page(title="refused"))
    Page.Meta = RedisConfig()
    assert [view.count for view in await PageView.afind()] == [0]


async def test_getting_or_creating(on_host: Host) -> None:
    result = await Member.aget_or_create(Member(email="a@b", name="ada"))
    assert isinstance(result, GetOrCreateResult)
    created, status = result
    assert (created.name, status, result.value) == ("ada", GetOrCreateStatus.CREATED, created)
    found, status = await rapyer.aget_or_create(Member(email="a@b", name="other"))
    assert (found.name, found.key, status) == ("ada", "Member:a@b", GetOrCreateStatus.FOUND)
    assert found is not created
    created.name = "changed"
    await created.asave()
    assert (await Member.aget("a@b")).name == "changed"


async def test_of_fifty_that_get_or_create_one_creates(on_host: Host) -> None:
    results = await asyncio.gather(
        *(Member.aget_or_create(Member(email="a", name=str(n))) for n in range(50))
    )
    assert [status for _, status in results].count(GetOrCreateStatus.CREATED) == 1
    assert len({member.name for member, _ in results}) == 1


async def test_getting_or_creating_what_cannot_be(on_host: Host) -> None:
    member = await Member(email="a").asave()
    with pytest.raises(NestedModelError):
        await Page.aget_or_create(member.page)
    with pytest.raises(UnsupportedArgumentTypeError):
        await Page.aget_or_create(member)  # type: ignore[arg-type]
    await on_host.call("MODEL.CREATE", "Member:bad", '{"email":1}')
    with pytest.raises(CorruptedModelError):
        await Member.aget_or_create(Member(email="bad"))


@pytest.mark.parametrize(
    ("groups", "moves"),
    [(ActionGroup.READ, True), (ActionGroup.FETCH, True), (ActionGroup.CREATE, True), (False, False)],
)
async def test_finding_refreshes_by_its_groups(
    on_host: Host, groups: ActionGroup | bool, moves: bool
) -> None:
    Member.Meta = RedisConfig(ttl=100, refresh_ttl=groups)
    member, _ = await Member.aget_or_create(Member(email="a"))
    assert 99 < (await member.attl() or 0) <= 100
    assert await moves_deadline(on_host, member.key, lambda: Member.aget_or_create(member)) is moves
    Member.Meta = RedisConfig()


async def test_duplicates_are_documents_of_their_own(on_host: Host) -> None:
    Page.Meta = RedisConfig(ttl=500)
    page = await Page(title="a").asave()
    await page.aset_ttl(100)
    page.title = "unsaved"
    copy = await page.aduplicate()
    assert (copy.title, (await Page.aget(copy.key)).title) == ("a", "a")
    assert copy.key != page.key
    assert 499 < (await copy.attl() or 0) <= 500
    copies = await page.aduplicate_many(5)
    assert len({one.key for one in copies}) == 5
    assert len(await Page.afind_keys()) == 7
    assert await page.aduplicate_many(0) == []
    copies[0].title = "changed"
    await copies[0].asave()
    assert (await Page.aget(copies[1].key)).title == "a"
    Page.Meta = RedisConfig()


async def test_what_cannot_be_duplicated(on_host: Host) -> None:
    with pytest.raises(KeyNotFound, match="to duplicate"):
        await Page().aduplicate()
    member = await Member(email="a").asave()
    with pytest.raises(UnsupportedArgumentValueError, match="model_copy"):
        await member.aduplicate()
    with pytest.raises(NestedModelError):
        await member.page.aduplicate()
    with pytest.raises(UnsupportedArgumentValueError):
        await (await Page().asave()).aduplicate_many(-1)


async def test_the_moment_of_expiry(on_host: Host) -> None:
    page = await Page().asave()
    assert await page.aexpires_at() is None
    before = datetime.fromtimestamp(await on_host.now_ms() / 1000, timezone.utc)
    await page.aset_ttl(100)
    moment = await page.aexpires_at()
    assert moment is not None
    assert timedelta(seconds=99.9) < moment - before < timedelta(seconds=130)
    assert moment.timestamp() * 1000 == pytest.approx(await on_host.deadline(page.key), abs=0.01)


async def test_a_document_may_be_kept_for_ever(on_host: Host) -> None:
    Page.Meta = RedisConfig(ttl=500)
    page = await Page().asave()
    assert await page.apersist() is True
    assert await page.apersist() is False
    assert await page.attl() is None
    await page.aload()
    assert await page.attl() is None
    await page.aset_ttl(50)
    assert 49 < (await page.attl() or 0) <= 50
    async with rapyer.apipeline():
        await page.apersist()
        assert await page.attl() is not None
    assert await page.attl() is None
    Page.Meta = RedisConfig()


async def test_touching_starts_the_ttl_anew_whatever_refreshes(on_host: Host) -> None:
    Page.Meta = RedisConfig(ttl=500, refresh_ttl=False)
    page = await Page().asave()
    assert not await moves_deadline(on_host, page.key, page.aload)
    assert await moves_deadline(on_host, page.key, page.atouch)
    await page.apersist()
    assert await page.atouch() is False
    Page.Meta = RedisConfig()


async def test_lifetimes_of_what_is_not_there_or_not_a_document(on_host: Host) -> None:
    page = Page()
    member = await Member(email="a").asave()
    for act in (page.apersist, page.atouch, page.aexpires_at, page.attl):
        with pytest.raises(KeyNotFound):
            await act()
    for act in (member.page.apersist, member.page.atouch, member.page.aexpires_at):
        with pytest.raises(NestedModelError):
            await act()
