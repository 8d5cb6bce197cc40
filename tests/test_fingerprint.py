"""A fingerprint changes with everything that the code reaches, and with nothing else."""

import sys
import textwrap

import pytest

from harness.fingerprint import CODE, Code, Reference, fingerprint, fingerprint_outside, roots_in

HERE = '''
"""A module."""

import math
from harness.there import helper, Base
from harness import there as other

LIMIT = 3
UNUSED = 5

def read(values):
    """Read."""
    if not values:
        raise ValueError("nothing to read")
    found = [helper(value) for value in values if value < LIMIT]
    return math.sqrt(sum(found)) + other.SCALE

class Kind(Base):
    low: float = 0.0

    def numbers(self, place: int) -> int:
        return again(self.low)

def again(x):
    return Kind() if x else 1
'''
THERE = """
from harness.far import FACTOR as F

SCALE = 2

def helper(value):
    return F * value

class Base:
    def shared(self):
        return 1
"""
FAR = "FACTOR = 4\n"
SOURCES = {"harness.here": HERE, "harness.there": THERE, "harness.far": FAR}
READ, KIND = Reference("harness.here", "read"), Reference("harness.here", "Kind")


def code(**changed: str) -> Code:
    sources = {**SOURCES, **{f"harness.{name}": text for name, text in changed.items()}}

    def read(name: str) -> str:
        if name not in sources:
            raise OSError(name)
        return sources[name]

    return Code(read)


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("here", "LIMIT = 3", "LIMIT = 4"),
        ("here", "value < LIMIT", "value <= LIMIT"),
        ("here", "math.sqrt", "math.cbrt"),
        ("here", "other.SCALE", "other.helper(1)"),
        ("there", "SCALE = 2", "SCALE = 2.5"),
        ("there", "F * value", "F + value"),
        ("far", "FACTOR = 4", "FACTOR = 5"),
        ("far", "FACTOR = 4", "FACTOR = 4\nFACTOR += 1"),
        ("here", 'if not values:\n        raise ValueError("nothing to read")\n    ', ""),
    ],
)
def test_what_a_function_reaches_counts_however_far_it_is(module, old, new):
    text = replaced(SOURCES[f"harness.{module}"], old, new)
    assert code(**{module: text}).fingerprint(READ) != code().fingerprint(READ)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("here", '"""Read."""', '"""Read values."""'),
        ("here", "    found =", "    # why\n    found ="),
        ("here", "nothing to read", "there is nothing to read"),
        ("here", "def read(values):", "def read(values: list) -> float:"),
        ("here", "UNUSED = 5", "UNUSED = 6"),
        ("here", "return again", "return -again"),
        ("there", "return 1", "return 2"),
        ("here", "import math\n", "import os\nimport math\n"),
    ],
)
def test_what_changes_no_number_does_not_count(module, old, new):
    text = replaced(SOURCES[f"harness.{module}"], old, new)
    assert code(**{module: text}).fingerprint(READ) == code().fingerprint(READ)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("here", "low: float = 0.0", "low: float = 0.1"),
        ("here", "if x else 1", "if x else 2"),
        ("there", "return 1", "return 2"),
        ("here", "low: float", "high: float"),
    ],
)
def test_a_class_counts_with_its_bases_fields_and_what_its_methods_call(module, old, new):
    text = replaced(SOURCES[f"harness.{module}"], old, new)
    assert code(**{module: text}).fingerprint(KIND) != code().fingerprint(KIND)


def test_names_places_and_ways_to_import_do_not_count():
    moved = HERE.replace("harness.there", "harness.room.thing").replace("from harness import there as other", "")
    moved = moved.replace("other.SCALE", "SCALE").replace("helper, Base", "aid as helper, Root, SCALE")
    moved = moved.replace("Base", "Root").replace("LIMIT", "MOST").replace("Kind", "Sort")
    thing = THERE.replace("helper", "aid").replace("Base", "Root").replace(" as F", "").replace("F *", "FACTOR *")
    elsewhere = {"harness.room.here": moved, "harness.room.thing": thing, "harness.far": FAR}
    new = Code(elsewhere.__getitem__)
    assert new.fingerprint(Reference("harness.room.here", "read")) == code().fingerprint(READ)
    assert new.fingerprint(Reference("harness.room.here", "Sort")) == code().fingerprint(KIND)


def test_two_definitions_of_one_shape_differ_by_what_they_name():
    text = "A = 1\nB = 2\ndef first():\n    return A\ndef second():\n    return B\ndef third():\n    return A\n"
    one = Code({"harness.x": text}.__getitem__)
    first, second, third = (one.fingerprint(Reference("harness.x", name)) for name in ("first", "second", "third"))
    assert first == third != second


def test_a_variable_is_not_taken_for_the_definition_of_its_name():
    text = "value = {}\ndef read(value):\n    return value + 1\ndef fold(rows):\n    return [value for value in rows]\n"
    fingerprints = [Code({"harness.x": text.format(n)}.__getitem__) for n in (1, 2)]
    for name in ("read", "fold"):
        first, second = (one.fingerprint(Reference("harness.x", name)) for one in fingerprints)
        assert first == second


def test_an_import_within_a_function_is_followed():
    def text(n):
        return {
            "harness.x": "def read():\n    from harness.y import FAR\n    return FAR\n",
            "harness.y": f"FAR = {n}\n",
        }

    one, two = (Code(text(n).__getitem__).fingerprint(Reference("harness.x", "read")) for n in (1, 2))
    assert one != two


def test_a_branch_of_a_module_defines_what_it_binds():
    def text(n):
        return {"harness.x": f"try:\n    import numpy\n    SIZE = {n}\nexcept ImportError:\n    SIZE = 0\nOTHER = 1\n"}

    one, two = (Code(text(n).__getitem__) for n in (1, 2))
    assert one.fingerprint(Reference("harness.x", "SIZE")) != two.fingerprint(Reference("harness.x", "SIZE"))
    assert one.fingerprint(Reference("harness.x", "OTHER")) == two.fingerprint(Reference("harness.x", "OTHER"))


def test_a_circle_of_definitions_ends_and_counts():
    def text(n):
        return {"harness.x": f"def even(k):\n    return k == {n} or odd(k - 1)\ndef odd(k):\n    return not even(k)\n"}

    one, two = (Code(text(n).__getitem__) for n in (0, 1))
    for name in ("even", "odd"):
        assert one.fingerprint(Reference("harness.x", name)) != two.fingerprint(Reference("harness.x", name))


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Import a module of a user's from a file that may change."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(**files: str):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
            sys.modules.pop(name, None)
        return __import__(next(iter(files)))

    yield load
    for name in ("own_claims", "own_parts"):
        sys.modules.pop(name, None)


def test_code_of_users_is_followed_into_their_other_modules(user_module):
    claims = "from own_parts import FACTOR\ndef read(x):\n    return FACTOR * x\n"
    one = fingerprint(user_module(own_claims=claims, own_parts="FACTOR = 1\n").read)
    two = fingerprint(user_module(own_claims=claims, own_parts="FACTOR = 22\n").read)
    assert one != two


def test_who_uses_the_package_is_identified_by_own_code_and_by_the_text_of_what_is_named(user_module):
    claims = "from harness.measurement.plan import Arm, level\ndef test_x(card):\n    return level({!r})\n"
    one = fingerprint_outside(user_module(own_claims=claims.format("a")).test_x)
    two = fingerprint_outside(user_module(own_claims=claims.format("bb")).test_x)
    other = fingerprint_outside(user_module(own_claims=claims.format("a").replace("level", "difference")).test_x)
    again = fingerprint_outside(user_module(own_claims="# new\n" + claims.format("a")).test_x)
    assert one == again
    assert len({one, two, other}) == 3


def test_a_class_within_a_function_and_a_lambda_have_fingerprints():
    def make(n):
        class Inner:
            def read(self):
                return n

        return Inner

    assert fingerprint(make(1)) == fingerprint(make(2)), "what a closure holds is no code"
    assert fingerprint(lambda x: x + 1) != fingerprint(lambda x: x + 2)


def test_code_without_a_file_is_refused():
    namespace = {"__name__": "nowhere_at_all"}
    exec("def read():\n    return 1\n", namespace)
    with pytest.raises(Exception, match=r"source of nowhere_at_all\.read cannot be read .* put it into a file"):
        fingerprint(namespace["read"])


def test_values_bring_their_classes_and_a_family_its_constant():
    from harness.models.zoo import resolve

    subject = resolve("tiny_swin").load()
    roots = roots_in(subject)
    held = [root for root in roots if isinstance(root, Reference)]
    assert [one.name for one in held] == ["SWIN"]
    assert type(subject) in roots
    names = {one.name for one in CODE.reached(held[0])}
    assert "CONVNEXT" not in names, "another family's code is not behind this model's numbers"
