"""One invocation: options, checks before loading, models in memory, workers, context."""
