"""Accepted outcomes per image: nothing is lost, equal contents are equal bytes, and what is no such file is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from harness.errors import ClaimsError
from harness.files import write_whole
from harness.results.accepted_outcomes import (
    AcceptedClaim,
    AcceptedOutcomes,
    merge,
    outcomes_beside,
    outcomes_bytes,
    read_outcomes,
)

RANDOM = np.random.default_rng(0)
BITS = RANDOM.integers(0, 2, 1000).astype(float)
NUMBERS = {
    "bits": BITS,
    "their beginning": BITS[:64],
    "no bits that are all one": np.ones(9),
    "grades": RANDOM.integers(0, 17, 320) / 16,
    "singles": RANDOM.random(128).astype(np.float32).astype(float),
    "doubles": RANDOM.random(50),
    "below zero": np.array([-1.0, 0.0, 1.0, -1.0]),
    "one": np.array([0.3]),
}


def write(path: Path, made: AcceptedOutcomes) -> None:
    write_whole(path, outcomes_bytes(made), "outcomes")


def claim(arms=NUMBERS, images: str = "f") -> AcceptedClaim:
    return AcceptedClaim(images=images, arms=arms)


def outcomes(**arms) -> AcceptedOutcomes:
    names = tuple(f"picture {place}.png" for place in range(1000))
    claims = {("m", "a"): claim(), ("m", "b"): claim({"bits": BITS, **arms}), ("n", "a"): claim({"x": BITS[:3]})}
    return AcceptedOutcomes(claims=claims, names={"f": names})


def same(one: AcceptedOutcomes, other: AcceptedOutcomes) -> bool:
    assert one.names == other.names
    assert one.claims.keys() == other.claims.keys()
    for place, entry in one.claims.items():
        assert entry.images == other.claims[place].images
        assert entry.arms.keys() == other.claims[place].arms.keys()
        for arm, values in entry.arms.items():
            np.testing.assert_array_equal(values, other.claims[place].arms[arm])
    return True


def test_every_kind_of_number_comes_back_exactly(tmp_path):
    write(tmp_path / "deep" / "o.safetensors", outcomes())
    assert same(read_outcomes(tmp_path / "deep" / "o.safetensors"), outcomes())


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 0.25, 1e-30, -7.5]), min_size=1, max_size=12), max_size=5))
def test_any_arms_come_back_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "o.safetensors"
    made = AcceptedOutcomes(
        claims={("m", "a"): claim({f"arm {n}": np.array(row) for n, row in enumerate(rows)})}, names={"f": ("x",)}
    )
    write(path, made)
    assert same(read_outcomes(path), made)


def test_equal_contents_make_equal_bytes_in_every_process_and_order(tmp_path):
    paths = [tmp_path / name for name in ("one", "two", "three")]
    write(paths[0], outcomes())
    made = outcomes()
    back = {place: claim(dict(reversed(entry.arms.items()))) for place, entry in reversed(made.claims.items())}
    write(paths[1], AcceptedOutcomes(claims=back, names=made.names))
    code = "import sys; from pathlib import Path; from harness.results.accepted_outcomes import *\n"
    code += "Path(sys.argv[2]).write_bytes(outcomes_bytes(read_outcomes(Path(sys.argv[1]))))"
    subprocess.run([sys.executable, "-c", code, str(paths[0]), str(paths[2])], check=True)
    assert len({path.read_bytes() for path in paths}) == 1


def test_nine_models_of_twenty_claims_are_far_below_a_megabyte(tmp_path):
    claims = {}
    for model in range(9):
        clean = RANDOM.integers(0, 2, 2000).astype(float)
        for number in range(20):
            sweep = {f"layer {layer}": RANDOM.integers(0, 2, 320).astype(float) for layer in range(12)}
            claims[f"m{model}", f"claim-{number}"] = claim({"clean": clean[: 100 * (number + 1)], **sweep})
    names = tuple(f"test/{place}" for place in range(2000))
    write(tmp_path / "o", AcceptedOutcomes(claims=claims, names={"f": names}))
    assert (tmp_path / "o").stat().st_size < 600_000


def test_the_file_stands_beside_its_baseline_and_is_empty_where_it_is_missing(tmp_path):
    path = outcomes_beside(tmp_path / "embedded.json")
    assert path == tmp_path / "embedded.safetensors"
    assert read_outcomes(path) == AcceptedOutcomes()


def test_new_claims_take_the_place_of_old_ones_and_dropped_ones_go(tmp_path):
    new = AcceptedOutcomes(claims={("m", "a"): claim({"bits": 1 - BITS}, "g")}, names={"g": ("p",), "f": ("q",)})
    merged = merge(outcomes(), new, [("n", "a")])
    assert set(merged.claims) == {("m", "a"), ("m", "b")}
    np.testing.assert_array_equal(merged.claims["m", "a"].arms["bits"], 1 - BITS)
    assert len(merged.names["f"]) == 1000, "the longer list of names stays"
    write(tmp_path / "o", AcceptedOutcomes(claims=new.claims, names=merged.names))
    assert set(read_outcomes(tmp_path / "o").names) == {"g"}, "names of pictures that nobody saw are not written"


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.array([np.nan])])
def test_outcomes_are_one_axis_of_finite_numbers(wrong):
    with pytest.raises(ClaimsError, match="arm 'x': outcomes are one axis of finite numbers"):
        claim({"x": wrong})


def _foreign(path: Path) -> None:
    save_file({"x": np.zeros(3)}, path)


@pytest.mark.parametrize("write", [lambda path: path.write_bytes(b"nothing"), _foreign], ids=["noise", "foreign"])
def test_a_file_that_holds_no_outcomes_is_refused(tmp_path, write):
    write(tmp_path / "o.safetensors")
    with pytest.raises(ClaimsError, match=r"o\.safetensors holds no accepted outcomes .*`claims accept`"):
        read_outcomes(tmp_path / "o.safetensors")
