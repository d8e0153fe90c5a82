"""Restore drills: proof, each month and on demand, that backups can be read back."""
