"""Every accepted verdict rests on the code, ledgers, weights and pictures of today.

This is what makes a refactoring safe without measuring anew: as long as it holds, no code behind an accepted number has
changed. Where it fails on purpose, run `claims nightly` and `claims accept`, and say in the commit what changed.
"""

from pathlib import Path

import pytest

from harness.judging.discovery import find_claims
from harness.results.baselines import accepted
from harness.running.options import parse
from harness.running.session import Session

CLAIMS = Path(__file__).parent.parent / "claims"


@pytest.fixture(scope="module")
def accepted_models():
    return accepted(CLAIMS / "baselines" / "embedded.json")


@pytest.fixture(scope="module")
def today():
    """Fingerprint every claim of the embedded zoo, by model and claim; no forward pass."""
    session, found = Session(parse({"claims_no_cache": True, "claims_no_history": True}, {})), {}
    for label, claims in session.by_models(find_claims(CLAIMS).values()).items():
        found[label] = {one.spec.id: session.ground(label, one, claims) for one in claims}
    session.close()
    return found


def test_every_claim_of_the_embedded_zoo_is_accepted(today, accepted_models):
    assert {label: set(claims) for label, claims in today.items()} == {
        label: set(entry["verdicts"]) for label, entry in accepted_models.items()
    }


def test_every_accepted_fingerprint_is_that_of_today(today, accepted_models):
    changed = {}
    for label, entry in accepted_models.items():
        for claim, verdict in entry["verdicts"].items():
            then, now = dict(verdict["fingerprints"]), dict(today[label][claim])
            then.pop("libraries"), now.pop("libraries")  # other versions are another question than other code
            for part in then.keys() | now.keys():
                if then.get(part) != now.get(part):
                    changed.setdefault(part, []).append(f"{claim} on {label}")
    assert not changed, {part: (len(claims), claims[:5]) for part, claims in changed.items()}
