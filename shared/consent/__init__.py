"""Consent of a customer's tenant to our registrations: state, health, links, call-backs."""
