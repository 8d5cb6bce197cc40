"""Tables and wrapped text on standard output, as wide as the terminal."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from harness.report.escaping import plain

LEAST_WIDTH = 100
INDENT = 12


def width() -> int:
    """Give the columns of the terminal, at least so many that a table can be read."""
    return max(LEAST_WIDTH, shutil.get_terminal_size((120, 40)).columns)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print an aligned table without colours or lines; columns named in `right` are numbers, the first never wraps."""
    table = Table(box=None, pad_edge=False, show_header=bool(any(columns)))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*map(plain, row))
    console = Console(width=width(), color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def show_field(name: str, text: str) -> None:
    """Print one named paragraph, wrapped beside its name."""
    lines = textwrap.wrap(" ".join(text.split()), min(width(), 110) - INDENT) or ["-"]
    lines = [plain(line) for line in lines]
    print(f"{name:<{INDENT}}" + ("\n" + " " * INDENT).join(lines))
