"""Putting a simulator together: a world, registrations, limits and a clock become a server."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from local.microsoft365 import (  # noqa: F401  importing registers the endpoints
    graph_apps,
    graph_attachments,
    graph_batch,
    graph_calendars,
    graph_channel_messages,
    graph_channel_migration,
    graph_contacts,
    graph_directory,
    graph_drive,
    graph_drive_write,
    graph_event_attachments,
    graph_event_write,
    graph_folders,
    graph_groups,
    graph_lists,
    graph_lists_write,
    graph_mail_write,
    graph_messages,
    graph_permissions,
    graph_sites,
    graph_team_groups,
    graph_teams,
)
from local.microsoft365.apps import applications
from local.microsoft365.clock import Clock
from local.microsoft365.limits import Limits
from local.microsoft365.server import Server, serve
from local.microsoft365.simulator import Simulator
from local.microsoft365.world import EPOCH, Size, build

JSON = dict[str, Any]


def create(
    size: Size,
    registrations: JSON | None = None,
    *,
    clock: Clock | None = None,
    limits: JSON | None = None,
    newest: datetime | None = None,
) -> Simulator:
    """Build a simulator without sockets.

    `newest` is the time of the youngest generated mail (default: the fixed epoch of worlds, so
    that a world is the same on every day). Raises BadInput and BadRegistrations.
    """
    given = registrations or {"apps": [], "partnerTenantId": ""}
    return Simulator(
        build(size, newest or EPOCH),
        applications(given),
        partner_tenant=str(given.get("partnerTenantId") or ""),
        clock=clock,
        limits=Limits(limits),
    )


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS context of the https listener."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def start(
    size: Size | None = None,
    *,
    registrations: JSON | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    http_port: int = 0,
    https_port: int = 0,
    clock: Clock | None = None,
    limits: JSON | None = None,
) -> Server:
    """Start a simulator on 127.0.0.1; https only with a certificate. End it with `close()`."""
    sim = create(size or Size(), registrations, clock=clock, limits=limits)
    tls = tls_context(certificate, key) if certificate and key else None
    return await serve(sim, http_port=http_port, https_port=https_port, tls=tls)


@asynccontextmanager
async def running(
    *,
    registrations: JSON | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    clock: Clock | None = None,
    limits: JSON | None = None,
    **size: Any,
) -> AsyncIterator[Server]:
    """Run a simulator for the time of a `with` block; size members are keywords."""
    server = await start(
        Size(**size),
        registrations=registrations,
        certificate=certificate,
        key=key,
        clock=clock,
        limits=limits,
    )
    try:
        yield server
    finally:
        await server.close()
