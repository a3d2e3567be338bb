"""Records in files as objects, checked where they are read: another version may have written them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hswarm.errors import RunError

Ends = Annotated[list[float], Field(min_length=2, max_length=2)]  # of an interval
R = TypeVar("R", bound="Record")


class Record(BaseModel):
    """Plain JSON: no text for a number, no NaN. A field with a default is a part that can be left out; keys without a
    field are kept (`model_extra`), not used."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    _left_out: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts that were not read, since they have another form than this version writes."""
        return self._left_out

    def content(self) -> dict[str, JsonValue]:
        """What the file holds: every key that was set, in the order of the fields."""
        return self.model_dump(exclude_unset=True)


def first_fault(fault: ValidationError) -> str:
    """The first thing that is wrong, "place: what"."""
    error = fault.errors(include_url=False)[0]
    return f"{'.'.join(map(str, error['loc'])) or 'all of it'}: {error['msg']}"


def checked(content: object, form: type[R], where: Path | str) -> R:
    """`content` of the file `where` as an object, less those parts of another form that can be left out (`left_out`).

    RunError if another part is of another form.
    """
    try:
        return form.model_validate(content)
    except ValidationError as fault:
        errors = fault.errors()
    needed = [error for error in errors if not error["loc"] or form.model_fields[str(error["loc"][0])].is_required()]
    if needed or not isinstance(content, dict):
        place = ".".join(map(str, needed[0]["loc"])) or "all of it"
        raise RunError(
            f"{where} has another form than this version writes ({place}: {needed[0]['msg']}); read it with "
            "the version that wrote it, or write it again"
        )
    parts = {str(error["loc"][0]) for error in errors}
    made = form.model_validate({key: value for key, value in content.items() if key not in parts})
    made._left_out = tuple(sorted(parts))
    return made
