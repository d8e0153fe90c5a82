"""The durable task hub behind one small seam: a gRPC address that speaks TaskHubSidecarService.

Workers (the pump) and the app's durable clients only ever see the address. A hub decides when a
turn is handed out, keeps histories and timers, and hands out again what nobody completed.
"""

from typing import Protocol


class TaskHub(Protocol):
    """A durable task hub that listens for gRPC on this machine."""

    def start(self) -> str:
        """Begin to listen and give the address as `host:port`, without a slash at the end."""

    def stop(self) -> None:
        """Stop listening. MUST return within seconds and leave no thread or process behind."""
