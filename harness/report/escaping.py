"""Names and labels made harmless: the one place where text from a user's file is neutralised.

Control characters, terminal escape codes and marks that reorder text become visible escapes (`\\x1b`, `\\u202e`), and
each output adds what its format needs: HTML escapes by itself (Jinja2), Markdown and spreadsheets are served here.
"""

import os
import re
import unicodedata
from urllib.parse import urlsplit

JOINERS = "\u200c\u200d"  # letters of Persian and Indic scripts need these two; they reorder nothing
HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format (bidi), lone surrogates, line and paragraph ends
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # what spreadsheets take for the start of a formula
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$^-])")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
ABSOLUTE = re.compile(r"(?<![\w.:/~-])/(?:[^\s:'\",;()\[\]<>/]+/)+([^\s:'\",;()\[\]<>/]+)")
SCHEMES = ("http", "https")
LONGEST_FILE_NAME = 100  # characters of a label within a name of a file
SHORT = 60  # characters of a name where room is short


def plain(text: str) -> str:
    """Show every character that would act instead of being read as its escape; other text is untouched."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def prose(text: str) -> str:
    """Neutralise running text: white space of any kind becomes one space."""
    return plain(" ".join(text.split()))


def short(text: str, limit: int = SHORT) -> str:
    """Neutralise a name and cut its middle where it is longer than `limit` characters."""
    shown = plain(text)
    if len(shown) <= limit:
        return shown
    head = (limit - 1) // 2
    return f"{shown[:head]}…{shown[head + 1 - limit :]}"


def markdown_code(text: str) -> str:
    """Write a name as a Markdown code span, in which nothing is read as markup (no mention, no link, no HTML)."""
    shown = plain(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def markdown_text(text: str) -> str:
    """Write prose as Markdown that shows exactly these characters: no markup, HTML, mention or bare link."""
    shown = prose(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = MARKDOWN.sub(r"\\\1", shown)
    return shown.replace("@", "@\u200b").replace("://", ":\u200b//").replace("www.", "www\u200b.")


def spreadsheet(text: str) -> str:
    """Neutralise a cell, and mark as text what a spreadsheet would take for a formula."""
    shown = plain(text)
    return f"'{shown}" if shown.lstrip(" ").startswith(FORMULA) or text.startswith(FORMULA) else shown


def web_address(text: str | None) -> str | None:
    """Give an address only if it leads to the web: a link of another scheme could run code."""
    if not text:
        return None
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return None
    return plain(text.strip()) if parts.scheme.lower() in SCHEMES and parts.netloc else None


def anchor(text: str) -> str:
    """Make an identifier for links within a page out of any name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def file_name(text: str) -> str:
    """Make a name of a file out of any name: one that stays in its folder, hidden from nobody and not too long."""
    shown = re.sub(r"[^\w.,@+=-]+", "_", plain(text)).lstrip(".")
    return short(shown, LONGEST_FILE_NAME) or "_"


def paragraphs(text: str) -> str:
    """Neutralise a text of several lines, line by line."""
    return "\n".join(map(plain, text.split("\n")))


def portable(text: str) -> str:
    """Leave out what is true of one machine and one process alone: where folders and objects lie."""
    text = ADDRESS.sub("0x...", text).replace(f"{os.getcwd()}{os.sep}", "")
    return ABSOLUTE.sub(r".../\1", text)


def _visible(character: str) -> str:
    if character in JOINERS or unicodedata.category(character) not in HARMFUL:
        return character
    code = ord(character)
    known = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return known or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
