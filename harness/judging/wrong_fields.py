"""What is wrong with the fields of a record that somebody wrote, in a line or two."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from harness.errors import brief

SHOWN = 2  # fields that a message names
LONGEST_PLACE = 80  # characters of the name of a field


def wrong_fields(errors: Sequence[Mapping[str, Any]], allowed: Collection[str], count: int) -> str:
    """Name the first of `count` wrong fields, with value and what is wrong; the nearest match for an unknown one.

    `errors` are those of pydantic. Of a field that is missing there is no value to show.
    """
    lines = []
    for error in errors[:SHOWN]:
        place, what = ".".join(map(str, error["loc"]))[:LONGEST_PLACE], error["msg"]
        if error["type"] == "extra_forbidden":
            near = get_close_matches(str(error["loc"][-1])[:LONGEST_PLACE], sorted(allowed), n=1)
            what = "no such field" + (f"; did you mean {near[0]!r}?" if near else "")
        got = "" if error["type"] == "missing" else f" (got {brief(error.get('input'))})"
        lines.append(f"{place}: {what}{got}")
    return "\n  ".join(lines) + (f"; and {count - SHOWN} more" if count > SHOWN else "")
