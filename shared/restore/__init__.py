"""Brings items of a snapshot back into Microsoft 365, driven by a ledger, without loss."""
