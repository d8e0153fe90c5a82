"""holdfast-vault: list, check, extract and prove what is in a copy of a Holdfast vault.

Needs the copy and the customer's recovery key; no service, no network, no account. It uses the same
code for the format as the service (`shared/vault/format`), and nothing else of it.
"""
