"""The five-minute story: from nothing to a restored customer, with the proof at the end."""
