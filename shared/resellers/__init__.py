"""Resellers of the second tier: who was invited by whom, and the seats they are passed (RES)."""
