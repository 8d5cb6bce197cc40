"""Tonight against what was accepted: verdicts, drifts, stale ground."""
