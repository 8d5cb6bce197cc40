"""What can be fitted and read with: linear probes of several kinds, learned tokens, and their numerics."""
