"""Onboarding runs: how a pending customer becomes an active one."""
