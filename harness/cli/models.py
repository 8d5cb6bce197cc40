"""`claims models`: the zoo, what each model is, and what its family cannot do."""

import argparse
from typing import TYPE_CHECKING

from harness.cli.console import show_field
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.models.zoo import ModelEntry

NAME = "models"
HELP = "list the models that have a short name, with what each can do"
SHAPE = "{:<20} {:<9} {:>5} {:>5}  {:<26} {:<19} {}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument(
        "--model", action="append", help="any name that --model of a run takes (repeatable; default: all)"
    )


def run(asked: argparse.Namespace) -> int:
    """Print each model as soon as it is described: architectures are built without weights, one after the other."""
    from harness.models.zoo import EMBEDDED, aliases, resolve

    print(SHAPE.format("model", "family", "depth", "width", "prefix tokens", "native readout", "data"))
    for name in asked.model or (*EMBEDDED, *aliases()):
        _show(resolve(name))
    return 0


def _show(entry: "ModelEntry") -> None:
    from harness.models.subject import CAPABILITIES

    card = entry.card
    prefix = ", ".join(f"{card.prefix.count(kind)} {kind}" for kind in dict.fromkeys(card.prefix)) or "-"
    data = entry.data or "of its own"
    print(plain(SHAPE.format(entry.name, card.family, card.depth, card.width, prefix, card.native, data)), flush=True)
    lacking = [capability for capability in CAPABILITIES if capability not in card.capabilities]
    if entry.resolved != entry.name:
        show_field("", f"is {entry.resolved}")
    show_field("", f"lacks {', '.join(lacking) or 'nothing'}")
