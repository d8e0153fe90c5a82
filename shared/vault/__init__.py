"""The vault: what was protected, immutable and provable; docs/vault-format.md is its format."""
