"""Invoking the app's functions through Microsoft's worker runtime, without a platform around it."""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from local.host.counters import Counters
from local.host.indexing import Function

logger = logging.getLogger(__name__)

_fault: ContextVar[BaseException | None] = ContextVar("fault", default=None)


@dataclass
class InvocationFailed(Exception):
    """A function raised, or its values could not be converted.

    The three fields are what the cloud makes of it (functions-facts.md 2.1): `Type: message` is
    split at the first ": " and of the message only the first line is kept.
    """

    error_type: str
    error_message: str
    stack_trace: str

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}"


@dataclass(frozen=True)
class Returned:
    """What a function gave back: the $return value (or None) and its named outputs."""

    value: Any
    outputs: Mapping[str, Any]


class _KeepFault(logging.Filter):
    """Takes the exception out of the worker's own log line, which the host writes better itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != "Native invocation failed" or not record.exc_info:
            return True
        _fault.set(record.exc_info[1])
        return False


class Worker:
    """Microsoft's worker in this process. `start` before the first invocation, then `stop`."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.abandoned = 0
        """Invocations given up while they ran: a synchronous one may still hold a thread."""

    def start(self) -> None:
        """Start the pool for synchronous functions (PYTHON_THREADPOOL_THREAD_COUNT)."""
        from azure_functions_runtime.utils.threadpool import start_threadpool_executor

        start_threadpool_executor()
        worker_log = logging.getLogger("azure.functions")
        if not any(isinstance(known, _KeepFault) for known in worker_log.filters):
            worker_log.addFilter(_KeepFault())

    def stop(self) -> None:
        """Give up the pool without waiting: whoever still runs was given time before."""
        from azure_functions_runtime.utils.threadpool import get_threadpool_executor

        executor = get_threadpool_executor()
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    async def invoke(
        self,
        function: Function,
        trigger: Any,
        inputs: Mapping[str, Any] | None = None,
        *,
        retry_count: int = 0,
        max_retry_count: int = 0,
    ) -> Returned:
        """Run one function, Datums in and out. Raises InvocationFailed, already logged."""
        from azure_functions_runtime.native_invocation import invocation_request_native

        invocation = str(uuid.uuid4())
        name = function.name
        self.counters.running[name] += 1
        _fault.set(None)
        succeeded = False
        try:
            succeeded, value, outputs, text, trace = await invocation_request_native(
                invocation,
                function.id,
                [(function.trigger_name, trigger), *(inputs or {}).items()],
                {},
                retry_count=retry_count,
                max_retry_count=max_retry_count,
            )
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.counters.running[name] -= 1
            (self.counters.succeeded if succeeded else self.counters.failed)[name] += 1
        if succeeded:
            return Returned(value, dict(outputs))
        failure = _describe(_fault.get(), text, trace)
        logger.error(
            "Executed '%s' (Failed, Id=%s)\n%s", name, invocation, failure.stack_trace.rstrip()
        )
        raise failure


def _describe(fault: BaseException | None, text: str | None, trace: str | None) -> InvocationFailed:
    if fault is None:
        return InvocationFailed("Exception", text or "unknown", trace or "")
    # An empty message would read as success in some task hubs: the type stands in for it.
    lines = str(fault).strip().splitlines()
    name = type(fault).__name__
    return InvocationFailed(name, lines[0] if lines else name, trace or "")
