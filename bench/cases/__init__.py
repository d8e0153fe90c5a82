"""One module per question; each has `measure() -> list[Figure]`."""
