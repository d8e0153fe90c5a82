"""The doors: parse, authorise, call one service or start one orchestration, answer."""
