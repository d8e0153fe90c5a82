"""Starting and signalling processes by their deterministic instance ids."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from azure.durable_functions import DurableFunctionsClient


async def start(
    client: "DurableFunctionsClient", orchestrator: str, instance_id: str, given: dict[str, Any]
) -> None:
    """Start if absent: an instance that exists already, running or ended, is success.

    functions-facts.md 7.2: a second start of one id is answered ALREADY_EXISTS.
    """
    import grpc

    try:
        await client.schedule_new_orchestration(orchestrator, input=given, instance_id=instance_id)
    except grpc.RpcError as refused:
        if _status(refused) is not grpc.StatusCode.ALREADY_EXISTS:
            raise


async def signal(
    client: "DurableFunctionsClient", instance_id: str, event: str, data: dict[str, Any]
) -> bool:
    """Raise an external event; False when there is no such instance (never started, purged)."""
    import grpc

    try:
        await client.raise_orchestration_event(instance_id, event, data=data)
    except grpc.RpcError as refused:
        if _status(refused) is grpc.StatusCode.NOT_FOUND:
            return False
        raise
    return True


async def process_state(
    client: "DurableFunctionsClient", instance_id: str
) -> Literal["missing", "active", "ended"]:
    """Whether the process works or waits, has ended in whatever way, or is not known at all."""
    found = await client.get_orchestration_state(instance_id, fetch_payloads=False)
    if found is None:
        return "missing"
    active = {"RUNNING", "PENDING", "SUSPENDED", "CONTINUED_AS_NEW"}
    return "active" if found.runtime_status.name in active else "ended"


def _status(refused: Any) -> Any:
    # grpc.RpcError promises no methods; the errors grpc really raises are calls that have them.
    return refused.code() if callable(getattr(refused, "code", None)) else None
