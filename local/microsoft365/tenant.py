"""Tenants and their directory: users, applications, service principals and role grants."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.microsoft365.drive import Drive
from local.microsoft365.ids import digest, guid
from local.microsoft365.mailbox import Mailbox
from local.microsoft365.outlook_store import Store

if TYPE_CHECKING:
    from local.microsoft365.site import Library, Site
    from local.microsoft365.team import Team

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
    calendars: Store | None = None
    contacts: Store | None = None
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
    sites: dict[str, "Site"] = field(default_factory=dict)
    libraries: dict[str, "Library"] = field(default_factory=dict)  # by drive id
    teams: dict[str, "Team"] = field(default_factory=dict)  # by group id
    site_log: list[tuple[int, str]] = field(default_factory=list)
    by_upn: dict[str, User] = field(default_factory=dict)
    seq: int = 0

    def add(self, user: User) -> None:
        """Take a user into the directory."""
        self.users[user.id] = user
        self.by_upn[user.upn.lower()] = user
        if user.drive is not None:
            self.drives[user.drive.id] = user

    def license(self, user: User, *, licensed: bool) -> None:
        """Give a licence, with an empty mailbox and drive to who has none; or take it away."""
        user.licensed = licensed
        if licensed and user.mailbox is None:
            key = digest(self.id, user.id)
            user.mailbox, user.drive = Mailbox(key, user.created), Drive(key, user.created)
            self.add(user)

    def find_user(self, text: str) -> User | None:
        """Find a user by id or user principal name."""
        return self.users.get(text) or self.by_upn.get(text.lower())

    def find_drive(self, drive_id: str) -> tuple[User, Drive] | None:
        """Find a user's drive or a document library, with who is shown as its author."""
        library = self.libraries.get(drive_id)
        if library is not None:
            return library.owner, library.drive
        user = self.drives.get(drive_id)
        return (user, user.drive) if user is not None and user.drive is not None else None

    def add_site(self, site: "Site") -> None:
        """Take a site with its libraries into the tenant."""
        self.sites[site.id] = site
        self.libraries |= {library.drive.id: library for library in site.libraries}
        self.site_log.append((len(self.site_log) + 1, site.id))

    def remove_site(self, site: "Site") -> None:
        """Remove a site with everything in it."""
        del self.sites[site.id]
        for library in site.libraries:
            self.libraries.pop(library.drive.id, None)
        self.site_log.append((len(self.site_log) + 1, site.id))

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
