"""What validators of a model and of its fields are held to, whoever changes the document meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from typing_extensions import Self

from _hosts import Host
from rapyer import AtomicRedisModel


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
