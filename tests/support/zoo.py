"""Factories of planted models, as a user would name them: `--model support.zoo:late_reader`."""

from support.planted import Planted


def late_reader() -> Planted:
    return Planted(kind="late reader")


def early_carrier() -> Planted:
    return Planted(kind="early carrier")


def patch_mean() -> Planted:
    return Planted(kind="patch mean")


def broken() -> object:
    return 7
