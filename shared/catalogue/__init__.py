"""The service catalogue: what can be sold, in which parts, from which pools, under which rules."""
