"""Tenants and their directory: users, applications, service principals and role grants."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.microsoft365.drive import Drive
from local.microsoft365.ids import guid
from local.microsoft365.mailbox import Mailbox

JSON = dict[str, Any]
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
SKU = ("6fd2c87f-b296-42f0-b197-1e91e994b900", "ENTERPRISEPACK")
GRAPH_APP = "00000003-0000-0000-c000-000000000000"


@dataclass(slots=True, eq=False)
class User:
    """A person; without a licence there is neither mailbox nor drive."""

    id: str
    upn: str
    display_name: str
    licensed: bool
    created: datetime
    mailbox: Mailbox | None = None
    drive: Drive | None = None
    admin: bool = False
    enabled: bool = True
    department: str = ""


@dataclass(slots=True, eq=False)
class Grant:
    """An application role given to a service principal; tokens show it from `effective` on."""

    id: str
    role: str
    resource: str
    created: datetime
    effective: datetime


@dataclass(slots=True, eq=False)
class ServicePrincipal:
    """An application's presence in a tenant."""

    id: str
    app_id: str
    display_name: str
    visible: datetime
    grants: list[Grant] = field(default_factory=list)
    enabled: bool = True


@dataclass(slots=True, eq=False)
class Application:
    """An application: registered outside (registrations file) or created in a tenant."""

    client_id: str
    name: str
    kind: str  # api, confidential, public
    object_id: str = ""
    home_tenant: str = ""
    secret_sha256: str | None = None
    certificates: list[Any] = field(default_factory=list)
    app_roles: list[str] = field(default_factory=list)
    wanted_roles: list[str] = field(default_factory=list)
    body: JSON = field(default_factory=dict)
    multi_tenant: bool = True


@dataclass(slots=True, eq=False)
class Tenant:
    """One organisation."""

    id: str
    domain: str
    display_name: str
    created: datetime
    users: dict[str, User] = field(default_factory=dict)
    principals: dict[str, ServicePrincipal] = field(default_factory=dict)  # by app id
    revoked: set[str] = field(default_factory=set)  # app ids that once had a principal
    applications: dict[str, Application] = field(default_factory=dict)  # by app id
    drives: dict[str, User] = field(default_factory=dict)
    by_upn: dict[str, User] = field(default_factory=dict)
    seq: int = 0

    def add(self, user: User) -> None:
        """Take a user into the directory."""
        self.users[user.id] = user
        self.by_upn[user.upn.lower()] = user
        if user.drive is not None:
            self.drives[user.drive.id] = user

    def find_user(self, text: str) -> User | None:
        """Find a user by id or user principal name."""
        return self.users.get(text) or self.by_upn.get(text.lower())

    @property
    def admin(self) -> User:
        """The global administrator."""
        return next(user for user in self.users.values() if user.admin)

    def graph_principal_id(self) -> str:
        """Return the object id of Microsoft Graph's own service principal here."""
        return guid(self.id, "principal", GRAPH_APP)

    def principal(self, app: Application, now: datetime, visible: datetime) -> ServicePrincipal:
        """Return the application's service principal, created when it is missing."""
        found = self.principals.get(app.client_id)
        if found is None:
            found = ServicePrincipal(
                guid(self.id, "principal", app.client_id, now.isoformat()),
                app.client_id,
                app.name,
                visible,
            )
            self.principals[app.client_id] = found
            self.revoked.discard(app.client_id)
        return found

    def grant(
        self, principal: ServicePrincipal, role: str, now: datetime, effective: datetime
    ) -> Grant:
        """Give a role; a role already given is returned as it is."""
        for existing in principal.grants:
            if existing.role == role:
                return existing
        grant = Grant(
            guid(self.id, principal.id, role, now.isoformat()),
            role,
            self.graph_principal_id(),
            now,
            effective,
        )
        principal.grants.append(grant)
        return grant

    def revoke(self, app_id: str) -> bool:
        """Remove an application from the tenant, as an administrator does."""
        if self.principals.pop(app_id, None) is None:
            return False
        self.revoked.add(app_id)
        return True
