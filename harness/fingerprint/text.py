"""Statements as text in which names of definitions are references."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.fingerprint.files import ROOM
from harness.fingerprint.statements import Module, imports_of

# Where an annotation says more than a type: how a dataclass treats the field.
TELLING = ("ClassVar", "InitVar", "KW_ONLY")


@dataclass(frozen=True)
class Reference:
    """A definition by its place: the name of a module, and the name that is bound at the top of it."""

    module: str
    name: str


@dataclass(frozen=True)
class Definition:
    """The text of a definition in pieces, with references where it names other definitions."""

    pieces: tuple["str | Reference", ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """List what it names, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Reference))


class Resolver(Protocol):
    """Finds what names mean (see `harness.fingerprint.code.Code`)."""

    def resolve(self, module: str, name: str) -> "Reference | str | None":
        """Find what a name at the top of a module means."""

    def imported(self, module: str, name: str | None) -> "Reference | str | None":
        """Find what an import binds."""


class Writer:
    """Writes statements as pieces of text: names of definitions become references, the rest is plain."""

    def __init__(self, code: Resolver, module: Module, own: str) -> None:
        self.code, self.module, self.own = code, module, own
        self.pieces: list[str | Reference] = []
        # What inner scopes bind, innermost last: None for a variable, else where an import within a function leads.
        self.scopes: list[Mapping[str, tuple[str, str | None] | None]] = []

    def write(self, nodes: Iterable[ast.AST]) -> tuple[str | Reference, ...]:
        """Write statements that bind one name at the top of a module, without that name."""
        for node in nodes:
            self._node(node, top=True)
        return tuple(self.pieces)

    def _node(self, node: ast.AST, top: bool = False) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._function(node, top)
        elif isinstance(node, ast.ClassDef):
            self._class(node, top)
        elif isinstance(node, ast.AnnAssign):
            self._annotated(node)
        elif isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.Pass):
            self.pieces.append("raise;" if isinstance(node, ast.Raise) else "")
        elif isinstance(node, ast.Assert):
            self._parts("assert", [node.test])
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass  # a text that stands alone, or an ellipsis
        elif isinstance(node, ast.Name):
            self._name(node.id)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Call) and (told := self._told(node)) is not None:
            self.pieces.append(told)
        elif isinstance(node, ast.Constant):
            self.pieces.append(f"{node.value!r},")
        else:
            self._generic(node)

    def _parts(self, word: str, parts: Iterable[ast.AST | None]) -> None:
        self.pieces.append(f"{word}(")
        for part in parts:
            if part is not None:
                self._node(part)
        self.pieces.append(")")

    def _generic(self, node: ast.AST) -> None:
        self.pieces.append(f"{type(node).__name__}(")
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "type_comment", "type_params", "kind") or value in (None, []):
                continue
            self.pieces.append(f"{name}=")
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    self._node(item)
                else:
                    self.pieces.append(f"{item!r},")
        self.pieces.append(")")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, top: bool) -> None:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [one for one in (arguments.vararg, arguments.kwarg) if one]
        if not isinstance(node, ast.Lambda):
            self.pieces.append(f"{type(node).__name__} {'' if top else node.name}")
            self._parts("decorators", node.decorator_list)
        shape = [len(arguments.posonlyargs), len(arguments.args), bool(arguments.vararg), bool(arguments.kwarg)]
        self.pieces.append(f"{[one.arg for one in every]}{shape}")
        self._parts("defaults", [*arguments.defaults, *arguments.kw_defaults])
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        local: dict[str, tuple[str, str | None] | None] = {one.arg: None for one in every}
        local |= local_names(body, self.module.name)
        self.scopes.append(local)
        self._parts("body", body)
        self.scopes.pop()

    def _class(self, node: ast.ClassDef, top: bool) -> None:
        self.pieces.append(f"class {'' if top else node.name}")
        self._parts("decorators", node.decorator_list)
        self._parts("bases", [*node.bases, *node.keywords])
        self._parts("body", node.body)

    def _annotated(self, node: ast.AnnAssign) -> None:
        said = ast.unparse(node.annotation)
        self.pieces.append(next((word for word in TELLING if word in said), ""))
        if node.value is not None or not self.scopes:  # in a function an annotation without a value does nothing
            self._parts("Assign", [node.target, node.value])

    def _name(self, name: str) -> None:
        found = self._meaning(name)
        if isinstance(found, Reference):
            own = (found.module, found.name) == (self.module.name, self.own)
            self.pieces.append("@self," if own and not self.scopes else found)
        else:
            self.pieces.append(f"{found or name},")

    def _told(self, node: ast.Call) -> Reference | None:
        """Read a `Reference` that the code itself makes: it stands for what it names."""
        called = self._meaning(node.func.id) if isinstance(node.func, ast.Name) else None
        if not isinstance(called, str) or not (called.startswith(ROOM) and called.endswith(".Reference")):
            return None
        module, name = (ast.literal_eval(argument) for argument in node.args)
        return Reference(module, name)

    def _attribute(self, node: ast.Attribute) -> None:
        """Follow a name through modules: `recipes.RECIPES` is the constant of that module."""
        chain, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        found = self._meaning(inner.id) if isinstance(inner, ast.Name) else None
        if not isinstance(found, str):
            self._parts(f".{node.attr}", [node.value])
            return
        while chain and isinstance(found, str) and (following := self.code.resolve(found, chain[-1])) is not None:
            found = following
            chain.pop()
        self.pieces.append(found if isinstance(found, Reference) else f"{found},")
        self.pieces += [f".{part}" for part in reversed(chain)]

    def _meaning(self, name: str) -> "Reference | str | None":
        """Find what a name means here: a definition, a module or a thing of a library by its name, or a variable."""
        for scope in reversed(self.scopes):
            if name in scope:
                bound = scope[name]
                return None if bound is None else self._imported(bound)
        if name in self.module.definitions:
            return Reference(self.module.name, name)
        if name in self.module.imports:
            return self._imported(self.module.imports[name])
        stars = (self.code.resolve(star, name) for star in self.module.stars)
        return next((found for found in stars if found is not None), None)

    def _imported(self, bound: tuple[str, str | None]) -> "Reference | str":
        module, name = bound
        found = self.code.imported(module, name)
        return found if found is not None else f"{module}.{name}" if name else module


def local_names(body: Iterable[ast.AST], module: str) -> dict[str, tuple[str, str | None] | None]:
    """List what the body of a function binds: variables, and imports with where they lead."""
    found: dict[str, tuple[str, str | None] | None] = {}
    declared: set[str] = set()
    queue = list(body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= imports_of(node, module)
        elif isinstance(node, ast.Global):
            declared |= set(node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(node.name, None)
            queue += node.decorator_list
        elif isinstance(node, ast.Lambda):
            continue
        else:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.setdefault(node.id, None)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                found.setdefault(node.name, None)
            queue += ast.iter_child_nodes(node)
    return {name: bound for name, bound in found.items() if name not in declared}
