"""The algorithm's parts, in numpy alone: no I/O, no language models."""
