"""Tables that lie beside pictures: UTF-8, one header, every row as wide as it."""

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from harness.errors import ClaimsError


def rows(table: Path, needed: Collection[str], optional: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Read the rows of a table by column, each with its place for messages; a byte-order mark is passed over.

    Raises:
        ClaimsError: the table is not UTF-8, lacks a column or has one twice, or a row is wider than the header.
    """
    reader = csv.DictReader(_text(table).splitlines(keepends=True), strict=True)
    try:
        columns = list(reader.fieldnames or [])
        _check_columns(columns, table, needed, optional)
        for row in reader:
            place = f"{table} line {reader.line_num}"
            if None in row:
                raise ClaimsError(
                    f"{place}: {len(columns) + len(row[None])} values for {len(columns)} columns; a value with a comma "
                    f'needs quotes: "egg, big"'
                )
            yield place, row
    except csv.Error as error:
        raise ClaimsError(f"{table} line {reader.reader.line_num}: {error}; allowed: comma-separated values") from error


def _text(table: Path) -> str:
    content = table.read_bytes()
    cure = "save it as UTF-8 (spreadsheets: 'CSV UTF-8')"
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ClaimsError(f"{table} line 1: the table is in UTF-16; allowed: UTF-8; {cure}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ClaimsError(
            f"{table} line {line}: byte {content[error.start]:#04x} is no UTF-8 (an accent in Latin-1?); {cure}"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ClaimsError(f"{table} line {line}: a zero byte (UTF-16 without its mark?); allowed: UTF-8; {cure}")
    return text


def _check_columns(columns: list[str], table: Path, needed: Collection[str], optional: str) -> None:
    told = f"needed: {','.join(needed)}" + (f"; optional: {optional}" if optional else "")
    if doubled := [name for name, count in Counter(columns).items() if count > 1]:
        raise ClaimsError(f"{table} line 1: column {doubled[0]!r} stands twice among {columns}; {told}")
    if missing := [name for name in needed if name not in columns]:
        raise ClaimsError(f"{table} line 1: no column {missing[0]!r} among {columns}; {told}")
