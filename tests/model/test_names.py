"""A user's class may name its attributes and methods as it likes: none of them is one of the package's."""

from __future__ import annotations

import warnings
from typing import Any, cast

import pytest
from pydantic import BaseModel, Field, PrivateAttr, create_model

import rapyer
from _hosts import Host
from rapyer import AtomicRedisModel
from rapyer import _state as state
from rapyer.types import RedisInt, RedisList

# Everything that the package has for a model, or had, by the name that a user would give it.
_PRIVATE = """
    _base _codec _condition _field _forks _from_text _from_text_or_none _full_key _is_stored_field _key
    _key_of _lifetime _load _locate _meta _pk _place _record _record_assignment _recording _refuse_nested
    _reload _rewrite _root _route _save _saved _state _stored _text _update _updated
"""
# Everything that the package has for a model, or had, by the name that a user would give it.
NAMES = sorted(
    {
        *_PRIVATE.split(),
        *(name.replace("_rapyer_", "_") for name in vars(AtomicRedisModel) if name.startswith("_rapyer_")),
        *(f"_{name}" for name in vars(AtomicRedisModel) if not name.startswith("_")),
        *(f"_{name}" for name in vars(state) if not name.startswith("_")),
    }
)


class Inner(BaseModel):
    n: int = 1


def _answer(*_: Any, **__: Any) -> str:
    return "the user's"


def _model(name: str, namespace: dict[str, Any]) -> Any:
    annotations = {"count": RedisInt, "tags": RedisList[str], "inner": Inner}
    fields = {"count": RedisInt(1), "tags": ["a"], "inner": Inner()}
    given = {"__module__": __name__, "__annotations__": annotations, **fields, **namespace}
    return cast("Any", type(AtomicRedisModel))(name, (AtomicRedisModel,), given)


async def _use(model: Any, kind: Any) -> None:
    await model.asave()
    assert await model.count.aincrease() == 2
    await model.tags.aappend("b")
    model.inner.n = 2
    await model.inner.asave()
    await model.aupdate(count=5)
    async with model.apipeline():
        model.count += 1
        model.tags.append("c")
    async with rapyer.apipeline():
        model.inner.n = 3
    async with model.alock(save_at_end=True):
        model.count = 7
    loaded = await kind.aget(model.key)
    assert loaded == model
    assert (loaded.count, list(loaded.tags), loaded.inner.n) == (7, ["a", "b", "c"], 3)
    assert [one.key for one in await kind.afind(kind.count == 7)] == [model.key]
    assert await kind.afind_one(kind.count == 8) is None
    assert (await kind.afind_one(model.key)) == model
    assert await model.attl() is None
    assert await model.atouch() in (True, False)
    await loaded.aload()
    (copy,) = await model.aduplicate_many(1)
    await kind.ainsert(kind(count=1))
    assert (await kind.aget_or_create(copy))[0] == copy
    assert (await kind.adelete_many(copy, model.key)).models_deleted == 2
    assert await kind.adelete_many(kind.count == 1)


async def test_a_model_may_have_private_attributes_of_any_name(on_host: Host) -> None:
    kind = _model("Attributes", {name: PrivateAttr(default=name) for name in NAMES})
    model = kind()
    await _use(model, kind)
    assert all(getattr(model, name) == name for name in NAMES)


async def test_a_model_may_have_private_methods_of_any_name(on_host: Host) -> None:
    kind = _model("Methods", dict.fromkeys(NAMES, _answer))
    model = kind()
    await _use(model, kind)
    assert all(getattr(model, name)() == "the user's" for name in NAMES)


async def test_a_nested_model_may_have_private_attributes_and_methods_of_any_name(on_host: Host) -> None:
    half = len(NAMES) // 2
    given = {
        "__module__": __name__,
        "__annotations__": {"n": int},
        "n": 1,
        **{name: PrivateAttr(default=name) for name in NAMES[:half]},
        **dict.fromkeys(NAMES[half:], _answer),
    }
    nested = cast("Any", type(BaseModel))("Nested", (BaseModel,), given)
    kind: Any = create_model("Holder", __base__=AtomicRedisModel, one=(nested, nested()))
    model = await kind().asave()
    await model.one.aupdate(n=2)
    async with model.apipeline():
        model.one.n += 1
    assert (await kind.aget(model.key)).one.n == 3
    assert getattr(model.one, NAMES[0]) == NAMES[0]
    assert getattr(model.one, NAMES[-1])() == "the user's"


def test_no_private_name_of_a_model_can_be_a_users() -> None:
    ours = {name for name in vars(AtomicRedisModel) if name.startswith("_") and not name.startswith("__")}
    assert {name for name in ours if not name.startswith(("_rapyer_", "_abc_"))} == set()


class Aging(AtomicRedisModel):
    old: int = Field(default=1, deprecated="use new")
    old_list: list[int] = Field(default=[1], deprecated=True)
    old_flag: bool = Field(default=False, deprecated="never used")
    new: int = 1


async def test_a_deprecated_field_warns_when_it_is_read(on_host: Host) -> None:
    with warnings.catch_warnings():
        # The package itself reads nothing that warns.
        warnings.simplefilter("error", DeprecationWarning)
        model = await Aging(old=2).asave()
        model.old = 3
        model.old_list = [1, 2]
        await model.aupdate(new=2)
        async with model.apipeline():
            model.old = 4
            model.old_list = [3]
        loaded = await Aging.aget(model.key)
        assert loaded == model
        assert len(await Aging.afind(Aging.old == 4)) == 1
        await loaded.aload()
    for name, message in (("old", "use new"), ("old_list", "deprecated"), ("old_flag", "never used")):
        with pytest.warns(DeprecationWarning, match=message) as seen:
            getattr(loaded, name)
        assert seen[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="use new"):
        assert await cast("RedisInt", loaded.old).aincrease() == 5
