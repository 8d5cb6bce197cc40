"""Executable claims about vision models: a pytest plugin that measures and judges published findings."""
