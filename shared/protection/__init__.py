"""Policies, sessions and the engine that copies objects of a customer into its vault."""
