"""Judging: a ledger entry and numbers in, a verdict out. No torch, no model, no image."""
