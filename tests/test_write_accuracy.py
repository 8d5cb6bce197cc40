"""What the head makes of a block's writes is what norm and head give on them, token by token."""

import torch
from test_forward import CHUNK, measured, pictures, subject, wanted

from harness.interventions.intervention import NONE
from harness.readouts.writes import WriteAccuracy


def test_the_share_of_patches_named_right_on_a_write_is_that_of_norm_and_head_on_it():
    model = subject()
    stream = model.start(pictures())
    for block in range(2):
        stream, inner = model.watch(block, stream, ("attention write", "mlp write"))
    for write in ("attention write", "mlp write"):
        given = measured(wanted(NONE, readout=WriteAccuracy(layer=1, write=write)))[0].numbers
        logits = model.model.head(model.model.fc_norm(model.model.norm(inner[write][:, 1:])))
        right = (logits.argmax(-1) == CHUNK.labels[:, None]).float().mean(dim=1)
        assert torch.allclose(torch.as_tensor(given).float(), right)
