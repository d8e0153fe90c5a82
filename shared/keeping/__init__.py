"""Keeping vaults: what happens to them between backups, and what people ask of them."""
