"""The pictures that need no download as --data names them: `embedded[:switch=value,...]`, or `digits`."""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import ClaimsError, unknown
from harness.fixtures.switches import PLAIN, SIZES, SWITCH_NAMES, Switches

WORD = "embedded"
DIGITS = "digits"
TRUTHS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False, "1": True, "0": False}
KINDS = {name: type(getattr(PLAIN, name)) for name in SWITCH_NAMES} | {"size": int}
NO_OTHER_CLASSES = (
    "--claims-target classes: the classes of the embedded pictures are all there are and stand for no others; allowed: "
    "your own pictures of many classes, with --data"
)


@dataclass(frozen=True)
class EmbeddedWorld:
    """Which embedded pictures: the switches of the generator and the side in pixels."""

    switches: Switches = PLAIN
    size: int = SIZES[0]


def is_embedded(data: str | None) -> bool:
    """Tell whether --data means the embedded pictures; a file or folder of that very name goes first."""
    return data is None or (data.partition(":")[0] == WORD and not Path(data).exists())


def is_digits(data: str | None) -> bool:
    """Tell whether --data means scikit-learn's digits; a file or folder of that very name goes first."""
    return data == DIGITS and not Path(DIGITS).exists()


def has_training_pictures(data: str | None) -> bool:
    """Tell whether --data brings pictures to train on by itself."""
    return is_embedded(data) or is_digits(data)


def read_world(data: str | None, where: str = "--data") -> EmbeddedWorld:
    """Read `embedded:switch=value,...`; objects are `2` or `1-3`, a switch that is on or off may stand alone.

    Raises:
        ClaimsError: a switch is unknown, given twice, or has an impossible value.
    """
    values: dict[str, object] = {}
    for part in filter(None, (data or "").partition(":")[2].split(",")):
        name, given, text = (piece.strip() for piece in part.partition("="))
        if name not in KINDS:
            raise unknown("switch", name, KINDS, f"{where} {data!r}")
        if name in values:
            raise ClaimsError(f"switch {name!r} appears twice in {where} {data!r}; allowed: once")
        values[name] = _value(name, text if given else "yes", f"{name}={text}" if given else name, f"{where} {data!r}")
    size = values.pop("size", SIZES[0])
    if size not in SIZES:
        raise ClaimsError(f"size={size!r} in {where} {data!r}; allowed: {', '.join(map(str, SIZES))}")
    try:
        return EmbeddedWorld(Switches(**values), size)  # type: ignore[arg-type]  # each value has its field's type
    except ValueError as error:
        raise ClaimsError(f"{where} {data!r}: {error}") from error


def _value(name: str, text: str, shown: str, where: str) -> object:
    kind, allowed = KINDS[name], "a number"
    try:
        if kind is bool:
            allowed = ", ".join(TRUTHS)
            return TRUTHS[text.lower()]
        if kind is tuple:
            allowed = "a whole number such as 2, or a range such as 1-3"
            least, _, most = text.partition("-")
            return int(least), int(most or least)
        return kind(text)
    except (KeyError, ValueError) as error:
        raise ClaimsError(f"{shown!r} in {where}; allowed: {allowed}") from error
