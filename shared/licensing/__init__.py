"""Licences that always add up: pools, subscriptions, and the ledger that says why."""
