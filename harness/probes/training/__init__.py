"""Fits probes and learned tokens on training images, streamed, resumed and kept on disk."""
