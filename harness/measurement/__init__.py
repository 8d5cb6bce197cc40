"""The way from a plan to outcomes: merged forward passes, early stopping, costs."""
