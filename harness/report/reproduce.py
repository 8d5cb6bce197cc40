"""The command that measures one result again."""

import shlex

from harness.results.record import DISTRIBUTION, RunRecord

EMBEDDED = "embedded"  # how the names of embedded sets of pictures begin
BATCH = 64  # images measured together, unless a run says otherwise
VERSUS = " vs "  # between the models of a comparison


def command(record: RunRecord) -> str:
    """Write the command line of a run of one claim on its models; pictures of one's own are named as far as known."""
    context = record.context
    parts = ["pytest", "claims/", "--claims-claim", record.claim]
    for model in record.model.split(VERSUS):
        parts += ["--claims-model", model]
    if context.images and not context.images.startswith(EMBEDDED):
        parts += ["--claims-data", context.images]
    train = context.train_images
    if isinstance(train, list) and not str(train[0]).startswith(EMBEDDED):
        parts += ["--claims-train-data", str(train[0])]
    options = {
        "--claims-batch-size": None if context.batch_size in (None, BATCH) else context.batch_size,
        "--claims-seed": context.seed or None,
        "--claims-delta": context.delta,
        "--claims-max-images": context.max_images,
        "--claims-target": None if context.target == DISTRIBUTION else context.target,
        "--claims-dtype": None if context.dtype in ("", "float32") else context.dtype,
    }
    parts += [part for name, value in options.items() if value is not None for part in (name, str(value))]
    return shlex.join(parts)
