"""What is proved of a YAML file that people write before it is read: that reading it comes to a good end."""

import re
from pathlib import Path

import yaml

from harness.errors import ClaimsError, brief

LARGEST = 200_000  # nodes of a file, those behind an alias counted wherever it stands: the largest ledger has 3,000
WIDEST = 1000  # keys of one mapping
DEEPEST = 100
LONGEST_REASON = 300  # characters of what the reader of YAML says
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one: ten times as fast


def check_yaml(path: Path, kind: str) -> None:
    """Refuse what cannot be read, doubled keys, and aliases that grow without end.

    Raises ClaimsError that names the file as a `kind`, the line and what is wrong there.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        try:
            if (node := loader.get_single_node()) is not None:
                _measure(node, {}, 0)
                loader.construct_document(node)
        finally:
            loader.dispose()
    except (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(re.sub(r'in "<(unicode|byte) string>", ', "at ", said).split())  # the path is told already
        raise ClaimsError(f"cannot read the {kind} {path}: {reason:.{LONGEST_REASON}}") from error


def _measure(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Count the nodes below one, as many as aliases make of them."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise _refused("an alias stands within itself", node)
        return known[id(node)]
    if depth > DEEPEST:
        raise _refused(f"more than {DEEPEST} levels", node)
    known[id(node)] = 0
    if isinstance(node, yaml.MappingNode):
        _refuse_doubled(node)
    below = node.value if isinstance(node, yaml.CollectionNode) else []
    parts = [part for entry in below for part in (entry if isinstance(entry, tuple) else (entry,))]
    known[id(node)] = 1 + sum(_measure(part, known, depth + 1) for part in parts)
    if known[id(node)] > LARGEST:
        raise _refused(f"more than {LARGEST} values, with what its aliases repeat", node)
    return known[id(node)]


def _refuse_doubled(node: yaml.MappingNode) -> None:
    """Refuse a key that stands twice, for the second would win silently, and keys without end."""
    if len(node.value) > WIDEST:
        raise _refused(f"more than {WIDEST} keys in one mapping", node)
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refused("a list or mapping cannot be a key", key)
        name = (key.tag, key.value)
        if name in seen and key.tag != "tag:yaml.org,2002:merge":
            raise _refused(f"the key {brief(key.value)} stands twice", key)
        seen.add(name)


def _refused(what: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)
