"""Sending a request to the storage again whose connection broke, and knowing that it was.

The SDK repeats what is idempotent by its method. An insert and a batch are not: when the answer is
lost, the repetition finds the work of the first attempt. Who sends them compares (`Table`).
"""

import asyncio
from collections.abc import Awaitable, Callable

PAUSES_SECONDS = (0.0, 0.8, 2.4)
"""Between attempts; about as patient as the SDK is with a GET."""


class Attempts:
    """The attempts at one request."""

    def __init__(self) -> None:
        self.broken = False
        """Whether an attempt before the last one may have been carried out unheard."""

    async def at[T](self, call: Callable[[], Awaitable[T]]) -> T:
        """The answer; what the call raises when it is refused, or broken to the end."""
        from azure.core.exceptions import ServiceRequestError, ServiceResponseError

        for pause in PAUSES_SECONDS:
            try:
                return await call()
            except (ServiceRequestError, ServiceResponseError):
                self.broken = True
                await asyncio.sleep(pause)
        return await call()
