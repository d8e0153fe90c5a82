"""Measurements: each figure beside its peer or reference, taken in one run (`make bench`)."""
