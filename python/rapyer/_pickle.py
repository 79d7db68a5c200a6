"""Values that JSON does not have, stored as pickles where a model says so."""

import base64
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic_core import CoreSchema, core_schema

__all__ = ["pickled"]


def pickled(checked: CoreSchema, allowed: Callable[[], bool] = lambda: True) -> CoreSchema:
    """The schema of what `checked` validates, in JSON a pickle as base64; an error where none is allowed."""
    return core_schema.json_or_python_schema(
        json_schema=core_schema.chain_schema(
            [
                core_schema.no_info_after_validator_function(
                    partial(_loaded, allowed), core_schema.str_schema()
                ),
                core_schema.no_info_wrap_validator_function(_checked, checked),
            ]
        ),
        python_schema=checked,
        serialization=core_schema.plain_serializer_function_ser_schema(
            partial(_dumped, allowed), return_schema=core_schema.str_schema(), when_used="json"
        ),
    )


def _dumped(allowed: Callable[[], bool], value: Any) -> str:
    _check(allowed, f"{type(value).__name__} has no JSON of its own")
    try:
        return base64.b64encode(pickle.dumps(value)).decode()
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(f"{value!r} cannot be pickled: {error}") from error


def _loaded(allowed: Callable[[], bool], text: str) -> Any:
    _check(allowed, "this would be loaded from a pickle")
    try:
        return pickle.loads(base64.b64decode(text, validate=True))
    except Exception as error:
        # Loading a pickle may raise anything.
        raise ValueError(f"not a pickle of this program's: {error}") from error


def _checked(value: Any, validate: core_schema.ValidatorFunctionWrapHandler) -> Any:
    # What was pickled was valid. Validated as JSON is, a text that looks like a UUID would become one.
    validate(value)
    return value


def _check(allowed: Callable[[], bool], problem: str) -> None:
    if not allowed():
        raise ValueError(
            f"{problem}: annotate the field as Annotated[..., Pickle()], or set Meta.pickle_fallback = True "
            "for all such fields of the model"
        )
