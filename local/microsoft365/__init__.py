"""A simulated Microsoft 365: sign-in, Graph and the content host, with their limits and faults.

Start as a process (`python -m local.microsoft365 --help`) or in a test:

    async with running(users=3, mails=20, files=10, registrations={...}) as server:
        server.http, server.https, server.sim

README.md beside this file describes the surface.
"""

from local.microsoft365.start import create, running, start
from local.microsoft365.world import Size

__all__ = ["Size", "create", "running", "start"]
