"""Rating and what follows from it, as pure functions of what is handed in."""
