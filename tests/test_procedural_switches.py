"""How --data names the embedded pictures, and what it refuses with the nearest match."""

import pytest

from harness.errors import ClaimsError
from harness.fixtures.switches import PLAIN, Switches
from harness.images.procedural_switches import EmbeddedWorld, is_embedded, read_world


def test_nothing_and_the_bare_word_mean_the_default_pictures():
    for data in (None, "embedded", "embedded:"):
        assert is_embedded(data)
        assert read_world(data) == EmbeddedWorld(PLAIN, 32)


@pytest.mark.parametrize(
    ("data", "switches", "size"),
    [
        ("embedded:background_correlation=0.5", Switches(background_correlation=0.5), 32),
        (
            "embedded:shape_correlation=0,colour_correlation=1,vivid",
            COLOUR := Switches(shape_correlation=0, colour_correlation=1, vivid=True),
            32,
        ),
        ("embedded: vivid = yes , shape_correlation = 0 , colour_correlation = 1", COLOUR, 32),
        ("embedded:small_objects=no,objects=2,size=64", Switches(objects=(2, 2)), 64),
        ("embedded:objects=1-3", Switches(objects=(1, 3)), 32),
    ],
)
def test_switches_are_read_with_their_own_types(data, switches, size):
    assert is_embedded(data)
    assert read_world(data) == EmbeddedWorld(switches, size)


@pytest.mark.parametrize(
    "switches",
    [Switches(), Switches(background_correlation=0.25, small_objects=True), Switches(objects=(1, 3), vivid=True)],
)
def test_the_name_of_turned_switches_can_be_read_back(switches):
    assert read_world(f"embedded:{switches}").switches == switches


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "embedded:background_corelation=1",
            r"unknown switch 'background_corelation' in --data .*Did you mean 'backgr",
        ),
        ("embedded:background_correlation=2", r"--data 'embedded:.*background_correlation is 2.0; allowed: 0 to 1"),
        ("embedded:background_correlation=high", r"'background_correlation=high' in --data .*; allowed: a number"),
        ("embedded:background_correlation", r"'background_correlation' in --data .*; allowed: a number"),
        ("embedded:objects=three", r"'objects=three' in --data .*; allowed: a whole number such as 2, or a range"),
        ("embedded:objects=3-1", r"objects is \(3, 1\); allowed"),
        ("embedded:vivid=maybe", r"'vivid=maybe' in --data .*; allowed: yes, no"),
        ("embedded:vivid,vivid=no", r"switch 'vivid' appears twice"),
        ("embedded:texture_correlation=1", "object_texture"),
        ("embedded:size=48", r"size=48 in --data 'embedded:size=48'; allowed: 32, 64"),
    ],
)
def test_impossible_switches_are_refused_where_they_stand(data, message):
    with pytest.raises(ClaimsError, match=message):
        read_world(data)


def test_a_folder_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_embedded("embedded")
    (tmp_path / "embedded").mkdir()
    assert not is_embedded("embedded")
    assert is_embedded("embedded:vivid")
    assert not is_embedded("embeddings")
