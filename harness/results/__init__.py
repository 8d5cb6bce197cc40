"""What stays on disk: measurements, run history, run files, accepted results and why they are stale."""
