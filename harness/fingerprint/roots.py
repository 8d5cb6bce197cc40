"""Fingerprints of code, by the definitions that it reaches: changed code never meets old measurements.

A definition is a function, class or constant at the top of a module. Its fingerprint covers its own text and that of
everything that it names, through imports, in the order in which it names them. Left out is what changes no number:
docstrings, comments, annotations, what an error says, how a thing is imported, and the names and places of the
definitions themselves. So a number keeps its fingerprint when code is moved or renamed, or when a module beside it
changes, and loses it when one constant changes that any function on its way reads.

Nothing is imported: names are followed in the source. What a value decides while it runs (whose `step` a subject has)
cannot be seen there, so the classes of such values are roots of their own (`roots_in`). Installed libraries are named
and not followed; their versions stand beside the fingerprint.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType, ModuleType
from typing import Any

from harness.fingerprint.code import CODE
from harness.fingerprint.files import PACKAGE
from harness.fingerprint.statements import Root, short_hash
from harness.fingerprint.text import Reference


def fingerprint(*roots: "Root | Reference") -> str:
    """Identify the code that these definitions reach; the order of the roots does not matter.

    Raises ClaimsError for code whose source cannot be read.
    """
    if any(_outside(root) for root in roots):
        CODE.refresh()
    return short_hash("/".join(sorted({CODE.fingerprint(root) for root in roots})))


def fingerprint_outside(root: Root) -> str:
    """Identify the code of somebody who uses this package: what of the package it names counts by its own text."""
    CODE.refresh()
    return CODE.fingerprint(root, _outside)


def roots_in(*values: object) -> "list[Root | Reference]":
    """List the code that values bring with them: their classes, and those of the values within them.

    Fields of dataclasses and items of tuples, lists and mappings are followed, and the parts of torch modules. A record
    of functions (a model family) counts by the constant that holds it, else by its functions. What installed libraries
    define is left out.
    """
    found: dict[Root | Reference, None] = {}
    for value in _within(values):
        if isinstance(value, Reference):
            found[value] = None
        elif isinstance(value, FunctionType):
            if CODE.follows(value.__module__):
                found[value] = None
        elif not isinstance(value, type | ModuleType) and CODE.follows(type(value).__module__):
            found[type(value)] = None
    return list(found)


def constant_of(value: object) -> "Reference | None":
    """Find the constant at the top of a loaded module that holds this very value; None where there is none."""
    for name, module in list(sys.modules.items()):
        for attribute, held in list(vars(module).items()) if module is not None else ():
            if held is value and CODE.follows(name) and isinstance(found := CODE.resolve(name, attribute), Reference):
                return found
    return None


def _outside(root: "Root | Reference") -> bool:
    module = root.module if isinstance(root, Reference) else root.__module__
    return module.partition(".")[0] != PACKAGE


def _within(values: Iterable[object]) -> Iterator[object]:
    """Give values and what is within them; functions of a record by the constant that holds it, if one does."""
    for value in values:
        yield value
        if isinstance(value, type | Reference):
            continue
        if hasattr(value, "modules") and callable(value.modules):  # a torch module: user code may sit anywhere in it
            yield from value.modules()
        elif is_dataclass(value):
            yield from _within(_parts(value))
        elif isinstance(value, tuple | list | frozenset | set):
            yield from _within(value)
        elif isinstance(value, Mapping):
            yield from _within(value.values())


def _parts(record: Any) -> list[object]:
    parts = [getattr(record, part.name) for part in fields(record)]
    functions = any(isinstance(part, FunctionType) for part in parts)
    if not functions or (constant := constant_of(record)) is None:
        return parts
    return [constant, *(part for part in parts if not isinstance(part, FunctionType))]
