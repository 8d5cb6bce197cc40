"""What single units respond to over a fixed set of pictures."""
