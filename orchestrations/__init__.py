"""The processes: pure orchestrators and the activities that do their work."""
