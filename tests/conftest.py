"""Shared by all tests: shape checks on tensor code, one thread, planted models and pictures."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Shape annotations are checked wherever tensors cross a public function. The hook must come before these modules.
CHECKED = (
    "harness.models.subject",
    "harness.images.batch",
    "harness.interventions.intervention",
    "harness.probes.probe",
    "harness.readouts.linear_probes",
    "harness.probes.learned_token",
    "harness.readouts.learned_tokens",
    "harness.readouts.reading",
    "harness.readouts.readout",
    "harness.readouts.own_answer",
    "harness.readouts.patches",
    "harness.measurement.forward",
    "harness.images.procedural",
    "harness.images.stored",
    "harness.models.chain",
)
install_import_hook([*CHECKED], "beartype.beartype")
sys.path.insert(0, str(Path(__file__).parent))  # `from support import ...`; test modules are imported by their path

# A busy machine stretches a first call a hundredfold, which says nothing about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Run tiny models on one thread: on a busy machine handing them out costs many times what they compute."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _forget_claims_of_users():
    """Let no test import the claims that a pytest run within an earlier one has left: their folders have one name."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]
