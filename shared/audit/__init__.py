"""The tamper-evident trail: who did what for whom, hash-chained per partner, signed daily."""
