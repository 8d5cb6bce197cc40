"""Options are validated before anything is loaded; every refusal names value, place and what is allowed."""

from pathlib import Path

import pytest

from harness.errors import ClaimsError
from harness.running.option_table import OPTIONS
from harness.running.options import parse


def parsed(where=None, **values):
    return parse(values, where or {})


def test_defaults_stand_where_nothing_is_given():
    options = parsed()
    assert options.models == options.claims == ()
    assert (options.batch_size, options.device, options.dtype, options.seed) == (64, "cpu", "float32", 0)
    assert options.pretrained is True
    assert options.target == "distribution"
    assert options.cache == Path(".claims")
    assert (
        options.data
        is options.train_data
        is options.delta
        is options.max_images
        is options.json
        is options.baseline
        is None
    )
    assert options.inconclusive == "skip"


def test_values_of_every_option_arrive(tmp_path):
    options = parsed(
        model=["a", "b"],
        claim=["c"],
        data=str(tmp_path),
        train_data=str(tmp_path),
        pretrained="no",
        device="cuda:1",
        dtype="bfloat16",
        batch_size="8",
        max_images="100",
        train_images="50",
        delta="0.01",
        claims_seed="7",
        claims_target="images",
        claims_baseline="none",
        claims_inconclusive="fail",
        claims_cache="there",
        claims_json="out.json",
    )
    assert options.models == ("a", "b")
    assert options.claims == ("c",)
    assert (options.data, options.train_data) == (str(tmp_path), str(tmp_path))
    assert (options.pretrained, options.device, options.dtype, options.batch_size) == (False, "cuda:1", "bfloat16", 8)
    assert (options.max_images, options.train_images, options.delta, options.seed) == (100, 50, 0.01, 7)
    assert (options.target, options.baseline, options.inconclusive) == ("images", "none", "fail")
    assert (options.cache, options.json) == (Path("there"), Path("out.json"))


@pytest.mark.parametrize("value", [True, "1", "true", "Yes", "ON"])
def test_without_the_cache_there_is_no_folder(value):
    assert parsed(claims_no_cache=value).cache is None


@pytest.mark.parametrize("value", [None, "", "no", "0", "false"])
def test_the_cache_stays_unless_it_is_switched_off(value):
    assert parsed(claims_no_cache=value).cache == Path(".claims")


@pytest.mark.parametrize(
    ("dest", "value", "hint"),
    [
        ("dtype", "flaot32", "Did you mean 'float32'"),
        ("pretrained", "nope", "Did you mean 'no'"),
        ("claims_target", "image", "Did you mean 'images'"),
        ("claims_inconclusive", "failed", "Did you mean 'fail'"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_nearest_match(dest, value, hint):
    with pytest.raises(ClaimsError, match=rf"unknown value '{value}' in the place\. {hint}"):
        parsed({dest: "the place"}, **{dest: value})


@pytest.mark.parametrize("dest", ["batch_size", "max_images", "train_images"])
@pytest.mark.parametrize("value", ["1", "0", "-3", "2.5", "many", "²"])
def test_counts_are_whole_numbers_from_two_on(dest, value):
    with pytest.raises(ClaimsError, match=rf"'{value}' in the place; allowed: whole numbers from 2 on"):
        parsed({dest: "the place"}, **{dest: value})


@pytest.mark.parametrize("value", ["-1", "x", "0.5"])
def test_the_seed_is_a_whole_number(value):
    with pytest.raises(ClaimsError, match="whole numbers from 0 on"):
        parsed(claims_seed=value)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
def test_minutes_are_a_positive_number(value):
    with pytest.raises(ClaimsError, match=rf"'{value}' in --claims-minutes; allowed: a positive number of minutes"):
        parse({"claims_minutes": value}, {})
    assert parse({"claims_minutes": "0.5"}, {}).minutes == 0.5


@pytest.mark.parametrize("value", ["0", "0.5", "1", "-0.1", "small", "nan", "inf"])
def test_the_error_level_lies_between_0_and_one_half(value):
    with pytest.raises(ClaimsError, match=rf"'{value}' in the place; allowed: a number between 0 and 0\.5"):
        parsed({"delta": "the place"}, delta=value)


@pytest.mark.parametrize("dest", ["data", "train_data"])
def test_a_folder_that_does_not_exist_is_refused_with_the_nearest_match(tmp_path, dest):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ClaimsError, match=rf"unknown picture folder .*pictres.*Did you mean '{tmp_path / 'pictures'}'"):
        parsed(**{dest: str(tmp_path / "pictres")})
    with pytest.raises(ClaimsError, match="unknown picture folder"):
        parsed(**{dest: str(tmp_path / "no" / "where")})


@pytest.mark.parametrize("dest", ["data", "train_data"])
def test_switches_of_the_embedded_pictures_are_checked_at_the_door(dest):
    assert getattr(parsed(**{dest: "embedded:objects=1-3"}), dest) == "embedded:objects=1-3"
    with pytest.raises(ClaimsError, match=r"unknown switch 'object' in .*Did you mean 'objects'"):
        parsed(**{dest: "embedded:object=2"})


def test_names_of_data_sets_are_left_to_their_reader():
    assert parsed(data="hfds/some/name").data == "hfds/some/name"


def test_a_refusal_says_that_the_value_came_from_an_ini_key():
    with pytest.raises(ClaimsError, match="'0' in ini key claims_batch_size"):
        parsed({"batch_size": "ini key claims_batch_size"}, batch_size="0")


def test_every_option_has_an_ini_key_of_its_own_and_a_default_that_is_allowed():
    keys = [option.ini for option in OPTIONS]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("claims_") and not key.startswith("claims_claims") for key in keys)
    parse({option.dest: option.default for option in OPTIONS if not option.repeatable}, {})


def test_the_promised_options_exist():
    promised = {
        "--model",
        "--data",
        "--train-data",
        "--device",
        "--dtype",
        "--batch-size",
        "--max-images",
        "--delta",
        "--claims-baseline",
        "--claims-inconclusive",
        "--claims-no-cache",
        "--claim",
        "--pretrained",
    }
    assert promised <= {option.short_flag or option.flag for option in OPTIONS}


def test_classes_of_the_embedded_pictures_stand_for_no_others():
    with pytest.raises(ClaimsError, match="all there are"):
        parse({"claims_target": "classes"}, {})
