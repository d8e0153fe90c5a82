"""The vault format, bytes in and bytes out: what a stranger needs to read a vault, no more.

Imports the standard library, `cryptography` and `zstandard` only. The text of the format is
docs/vault-format.md; rule numbers (V1...) are its rule numbers.
"""
