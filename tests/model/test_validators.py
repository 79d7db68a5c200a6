"""What validators of a model and of its fields are held to, whoever changes the document meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from _hosts import Host
from _package import unsaved
from rapyer import AtomicRedisModel, apipeline
from rapyer.errors import StaleModelError


class Limits(BaseModel):
    lo: int = 0
    hi: int = 10

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.lo > self.hi:
            raise ValueError("lo is above hi")
        return self


class Range(AtomicRedisModel):
    model_config = ConfigDict(extra="allow")

    lo: int = 0
    hi: int = 10
    width: int = 10
    limits: Limits = Limits()
    nested: Range | None = None

    @field_validator("hi")
    @classmethod
    def not_13(cls, value: int) -> int:
        if value == 13:
            raise ValueError("13 is bad luck")
        return value

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.lo > self.hi:
            raise ValueError("lo is above hi")
        vars(self)["width"] = self.hi - self.lo
        return self


_TOGETHER = [
    {"lo": 20, "hi": 30},
    {"hi": 30, "lo": 20},
    {"lo": -30, "hi": -20},
    {"hi": -20, "lo": -30},
    {"lo": 20, "hi": 50},
]


def values_of(values: dict[str, int]) -> tuple[int, int, int]:
    return values["lo"], values["hi"], values["hi"] - values["lo"]


@pytest.mark.parametrize("values", _TOGETHER)
async def test_aupdate_validates_all_values_together(on_host: Host, values: dict[str, int]) -> None:
    ranged: Any = await Range().asave()
    await ranged.aupdate(**values, note="x")
    seen: Any
    for seen in (ranged, await Range.aget(ranged.key)):
        assert (seen.lo, seen.hi, seen.width, seen.note) == (*values_of(values), "x")

    await ranged.limits.aupdate(**values)
    assert (await Range.aget(ranged.key)).limits == ranged.limits == Limits(**values)


@pytest.mark.parametrize("values", _TOGETHER)
async def test_update_here_and_in_a_block_validates_all_values_together(
    on_host: Host, values: dict[str, int]
) -> None:
    ranged: Any = await Range().asave()
    ranged.update(**values)
    assert (ranged.lo, ranged.hi) == (values["lo"], values["hi"])
    await ranged.asave()
    assert (await Range.aget(ranged.key)).lo == values["lo"]

    other: Any = await Range().asave()
    async with other.apipeline():
        await other.aupdate(**values)
        other.limits.update(**values)
    assert (await Range.aget(other.key)) == other == Range.model_validate({**values, "limits": values})


@pytest.mark.parametrize(
    "values", [{"lo": 20}, {"lo": 5, "hi": 4}, {"hi": 13, "lo": 1}, {"lo": "a", "hi": 3}]
)
async def test_an_update_that_is_not_valid_changes_nothing(on_host: Host, values: dict[str, Any]) -> None:
    ranged: Any = await Range().asave()
    with pytest.raises(ValidationError):
        ranged.update(**values)
    with pytest.raises(ValidationError):
        await ranged.aupdate(**values)
    with pytest.raises(ValidationError):
        async with ranged.apipeline():
            await ranged.aupdate(**values)
    assert ranged == Range() == await Range.aget(ranged.key)


def even(value: int) -> int:
    if value % 2:
        raise ValueError("odd")
    return value


class Part(BaseModel):
    lo: int = 0
    hi: int = 10
    tags: list[str] = []

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.lo > self.hi:
            raise ValueError("lo is above hi")
        return self


class Machine(AtomicRedisModel):
    name: str = ""
    pair: Annotated[int, AfterValidator(even)] = 0
    short: Annotated[list[int], AfterValidator(lambda values: _at_most(values, 3))] = []
    prices: Annotated[dict[str, int], AfterValidator(lambda prices: _at_most(prices, 2))] = {}
    part: Part = Part()
    free: int = 0


def _at_most(values: Any, most: int) -> Any:
    if len(values) > most:
        raise ValueError("too many")
    return values


class Strict(AtomicRedisModel):
    lo: int = 0
    hi: int = 10
    tags: list[str] = []
    note: str = ""

    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.lo > self.hi:
            raise ValueError("lo is above hi")
        if len(self.tags) > 3:
            raise ValueError("too many tags")
        return self


REFUSED: list[tuple[type[AtomicRedisModel], Callable[[Any], Awaitable[object]]]] = [
    (Machine, lambda model: model.pair.aincrease(1)),
    (Machine, lambda model: model.short.aextend([1, 2, 3, 4])),
    (Machine, lambda model: model.prices.aupdate({"a": 1, "b": 2, "c": 3})),
    (Machine, lambda model: model.part.lo.aincrease(11)),
    (Machine, lambda model: model.part.hi.aincrease(-11)),
    (Strict, lambda model: model.lo.aincrease(11)),
    (Strict, lambda model: model.tags.aextend(list("abcd"))),
]


@pytest.mark.parametrize(("kind", "act"), REFUSED)
async def test_what_validators_would_refuse_to_load_is_never_written(
    on_host: Host, kind: type[AtomicRedisModel], act: Callable[[Any], Awaitable[object]]
) -> None:
    model: Any = await kind().asave()
    before = await on_host.state(model.key)
    with pytest.raises(ValidationError):
        await act(model)
    with pytest.raises(ValidationError):
        async with model.apipeline():
            await act(model)
    assert await on_host.state(model.key) == before
    assert model == kind()
    assert unsaved(model) == []


async def test_changes_in_place_are_validated_when_they_are_saved(on_host: Host) -> None:
    machine: Any = await Machine().asave()
    machine.short.extend([1, 2, 3, 4])
    with pytest.raises(ValidationError):
        await machine.asave()
    with pytest.raises(ValidationError):
        async with machine.apipeline():
            machine.prices |= {"a": 1, "b": 2}
            machine.prices["c"] = 3
    assert (machine.short, machine.prices) == ([1, 2, 3, 4], {})
    machine.short.pop()
    await machine.asave()
    assert (await Machine.aget(machine.key)).short == [1, 2, 3]
    strict: Any = Strict(tags=["a", "b"])
    strict.tags.extend(["c", "d"])
    with pytest.raises(ValidationError):
        await strict.asave()
    assert await on_host.call("EXISTS", strict.key) == 0


async def test_an_operation_is_validated_on_what_others_made(on_host: Host) -> None:
    machine, strict = await Machine().asave(), await Strict().asave()
    mine: list[Any] = [await Machine.aget(machine.key), await Strict.aget(strict.key)]
    await on_host.call("MODEL.SET", machine.key, "$.part.hi", "100")
    await on_host.call("MODEL.SET", machine.key, "$.free", "7")
    await on_host.call("MODEL.SET", strict.key, "$.hi", "100")
    await on_host.call("MODEL.SET", strict.key, "$.note", '"theirs"')
    assert await mine[0].part.lo.aincrease(50) == 50
    assert await mine[1].lo.aincrease(50) == 50
    assert (mine[0].part.hi, mine[1].hi, mine[1].note) == (100, 100, "theirs")

    # And the other way: right for what was seen, and not any more.
    await on_host.call("MODEL.SET", machine.key, "$.part.hi", "51")
    await on_host.call("MODEL.SET", strict.key, "$.hi", "51")
    for model in (mine[0].part, mine[1]):
        with pytest.raises(ValidationError):
            await model.lo.aincrease(5)
        assert (model.lo, model.hi) == (50, 51)
        assert await model.lo.aincrease(1) == 51


async def test_a_save_is_validated_on_what_others_made(on_host: Host) -> None:
    for mine, theirs in (
        (await Strict().asave(), "$.lo"),
        (await Machine().asave(), "$.part.lo"),
    ):
        held: Any = mine if isinstance(mine, Strict) else mine.part
        held.hi = 4
        await on_host.call("MODEL.SET", mine.key, theirs, "6")
        with pytest.raises(ValidationError):
            await mine.asave()
        assert (held.lo, held.hi) == (6, 4)
        held.hi = 8
        await mine.asave()
        found: Any = await type(mine).aget(mine.key)
        assert found == mine


async def test_saves_of_what_validators_compare_meet_each_other(on_host: Host) -> None:
    first = await Strict(hi=1000).asave()

    async def write(number: int) -> None:
        mine: Any = await Strict.aget(first.key)
        await mine.lo.aincrease()
        mine.note = f"n{number}"
        await mine.asave()

    await asyncio.gather(*map(write, range(6)))
    assert (await Strict.aget(first.key)).lo == 6


async def test_a_block_is_refused_where_validators_saw_something_else(on_host: Host) -> None:
    strict: Any = await Strict().asave()
    machine: Any = await Machine().asave()
    with pytest.raises(StaleModelError):
        async with apipeline():
            strict.lo += 5
            await on_host.call("MODEL.SET", strict.key, "$.note", '"theirs"')
    with pytest.raises(StaleModelError):
        async with apipeline():
            machine.part.lo += 5
            await on_host.call("MODEL.SET", machine.key, "$.part.hi", "4")
    assert (strict.lo, machine.part.lo) == (0, 0)
    await machine.aload()
    async with apipeline():
        machine.part.lo += 2
        machine.pair += 2
        await on_host.call("MODEL.SET", machine.key, "$.free", "1")
        # Together they are valid, one by one they would not be.
        await machine.part.lo.aincrease(20)
        await machine.part.hi.aincrease(20)
    found = await Machine.aget(machine.key)
    assert (found.part.lo, found.part.hi, found.pair, found.free) == (22, 24, 2, 1)


async def test_a_block_makes_a_document_again_that_validators_have_seen(on_host: Host) -> None:
    strict: Any = await Strict(lo=3).asave()
    await on_host.call("MODEL.DEL", strict.key)
    async with apipeline():
        strict.hi = 20
        await strict.asave()
    assert (await Strict.aget(strict.key)).lo == 3
    strict.hi = 21
    await on_host.call("MODEL.DEL", strict.key)
    await strict.asave()
    assert (await Strict.aget(strict.key)) == strict


async def test_fields_without_validators_are_operated_on_as_ever(on_host: Host) -> None:
    machine: Any = await Machine().asave()
    await on_host.call("MODEL.SET", machine.key, "$.part.hi", "5")
    assert await machine.free.aincrease() == 1
    machine.name = "n"
    await machine.asave()
    assert machine.part.hi == 10
