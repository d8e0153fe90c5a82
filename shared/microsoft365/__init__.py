"""Talks to Microsoft 365: tokens, throttled transport, mail and drives in both directions."""
