"""Who calls and what they may do: partners, their clients, tokens, permissions."""
