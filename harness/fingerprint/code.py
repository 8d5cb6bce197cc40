"""Source code as definitions, and what each of them reaches."""

import ast
from collections.abc import Callable, Mapping, Sequence

from harness.errors import ClaimsError
from harness.fingerprint.files import PACKAGE, is_followed, source_of, state_of
from harness.fingerprint.statements import Module, Root, short_hash
from harness.fingerprint.text import Definition, Reference, Writer

Within = Callable[[Reference], bool]


def everything(reference: Reference) -> bool:
    """Leave no definition out of a walk."""
    return True


class Code:
    """Source code as definitions; `read` gives the source of a module by name (by default from its file)."""

    def __init__(self, read: "Callable[[str], str] | None" = None) -> None:
        self._read = read or source_of
        self._forget()

    def _forget(self) -> None:
        self._modules: dict[str, Module | None] = {}
        self._definitions: dict[Reference, Definition] = {}
        self._found: dict[tuple[Reference, Within], str] = {}
        self._stamps: dict[str, tuple[str, int, int] | None] = {}  # of modules outside of the package

    def fingerprint(self, root: "Root | Reference", within: "Within" = everything) -> str:
        """Identify what one definition reaches, itself included.

        Definitions that are not `within` count by their own text alone, whatever they name.
        """
        reference = root if isinstance(root, Reference) else self.reference(root)
        if (reference, within) not in self._found:
            numbers = {one: number for number, one in enumerate(self.reached(reference, within))}
            texts = [
                "".join(piece if isinstance(piece, str) else self._told(piece, numbers) for piece in self._pieces(one))
                for one in numbers
            ]
            self._found[reference, within] = short_hash("\n".join(texts))
        return self._found[reference, within]

    def reached(self, root: "Root | Reference", within: "Within" = everything) -> list[Reference]:
        """List what a definition reaches, itself first, in the order in which a walk from it comes upon them."""
        start = root if isinstance(root, Reference) else self.reference(root)
        seen: dict[Reference, None] = {start: None}
        queue = [start]
        while queue:
            for reference in self.definition(queue.pop(0)).references:
                if reference not in seen and within(reference):
                    seen[reference] = None
                    queue.append(reference)
        return list(seen)

    def replacing(self, module: str, source: str) -> "Code":
        """Return the same code with another source of one module."""
        other = Code(lambda name: source if name == module else self._read(name))
        other._modules = {name: found for name, found in self._modules.items() if name != module}
        other._definitions = {one: found for one, found in self._definitions.items() if one.module != module}
        return other

    def refresh(self) -> None:
        """Forget what was read of files that have changed since; those of the package itself are read once."""
        if any(stamp != state_of(name) for name, stamp in self._stamps.items()):
            self._forget()

    def _pieces(self, reference: Reference) -> tuple["str | Reference", ...]:
        return self.definition(reference).pieces

    def _told(self, reference: Reference, numbers: Mapping[Reference, int]) -> str:
        """Tell of a reference by its number in the walk, or by its own text where the walk leaves it out."""
        if reference in numbers:
            return f"@{numbers[reference]}"
        own = "".join(piece if isinstance(piece, str) else "@" for piece in self._pieces(reference))
        return f"@{short_hash(own)}"

    def definition(self, reference: Reference) -> Definition:
        """Give a definition by its place."""
        if reference not in self._definitions:
            module = self._module(reference.module)
            assert module is not None, f"{reference} was found by following it"
            outer, _, inner = reference.name.partition(".")
            whole: Sequence[ast.AST] = [] if inner else module.definitions.get(outer, [])
            nodes = whole or [module.inner(reference.name)]
            self._definitions[reference] = Definition(Writer(self, module, outer).write(nodes))
        return self._definitions[reference]

    def reference(self, root: Root) -> Reference:
        """Find the definition of a class or function; ClaimsError where its source cannot be read."""
        module, name = root.__module__, root.__qualname__
        try:
            found = self._module(module, always=True)
        except (OSError, TypeError, ImportError, SyntaxError) as error:
            raise ClaimsError(f"the source of {module}.{name} cannot be read ({error}); put it into a file") from error
        assert found is not None, "a module that is always read is there"
        if name.partition(".")[0] not in found.definitions or "<" in name:
            name = found.keep(root)
        return Reference(module, name)

    def follows(self, module: str) -> bool:
        """Tell whether the definitions of a module count, and are not those of an installed library."""
        return self._module(module) is not None

    def resolve(self, module: str, name: str) -> "Reference | str | None":
        """Find what a name at the top of a module means: a definition, a module (by its name), or nothing of ours."""
        here = self._module(module)
        if here is None:
            return None
        if name in here.definitions:
            return Reference(module, name)
        inner = f"{module}.{name}"
        if name in here.imports and here.imports[name] != (module, name):  # a package may name its own module
            return self.imported(*here.imports[name])
        for star in here.stars:
            if (found := self.resolve(star, name)) is not None:
                return found
        return inner if self._module(inner) is not None else None

    def imported(self, module: str, name: str | None) -> "Reference | str | None":
        """Find what an import binds, through as many modules as pass it on."""
        return module if name is None else self.resolve(module, name)

    def _module(self, name: str, always: bool = False) -> "Module | None":
        if self._modules.get(name) is None and (name not in self._modules or always):
            followed = always or is_followed(name)
            if followed and name.partition(".")[0] != PACKAGE:
                self._stamps[name] = state_of(name)
            try:
                self._modules[name] = Module(name, self._read(name)) if followed else None
            except (OSError, ImportError, TypeError, ValueError):
                if always:
                    raise
                self._modules[name] = None
        return self._modules[name]


CODE = Code()
