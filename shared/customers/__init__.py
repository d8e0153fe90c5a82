"""The customers of a partner: registry, states, and which partner manages which tenant."""
