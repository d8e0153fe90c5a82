"""Graph: sites: all of a tenant, search, delta, one site, its libraries and permissions."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.ids import guid
from local.microsoft365.query import link, page, pick, selected
from local.microsoft365.roles import FILES_READ, SITES_CONTROL, SITES_READ, SITES_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.site import Library, Site
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
SITES: dict[str, str] = {"service": "sharepoint", "kind": "sites", "roles": SITES_READ}


def site_of(call: Call) -> Site:
    """Return the site the path names; raises Graph's 404."""
    name = call.params["site"]
    sites = call.tenant.sites
    found = sites.get(name)
    if name == "root":
        found = next((s for s in sites.values() if s.name == ""), None)
    if found is None or call.action == "gone":
        raise Fault(404, "itemNotFound", "Requested site could not be found")
    return found


def site_json(site: Site) -> JSON:
    """Return a site as Graph writes it."""
    host, collection, _ = site.id.split(",")
    return {
        "id": site.id,
        "name": site.name,
        "displayName": site.display_name,
        "description": site.description,
        "webUrl": site.web_url if site.name else f"https://{site.host}",
        "createdDateTime": iso(site.created),
        "lastModifiedDateTime": iso(_modified(site)),
        "isPersonalSite": site.personal,
        "root": {},
        "siteCollection": {"hostname": host},
        "sharepointIds": {"siteId": collection, "siteUrl": site.web_url},
    }


def _modified(site: Site) -> Any:
    times = [site.created, *(one.modified for one in site.lists)]
    return max(times + [one.drive.root.modified for one in site.libraries])


def _personal(tenant: Tenant, user: User) -> JSON:
    host = f"{tenant.domain.partition('.')[0]}-my.sharepoint.example"
    return {
        "id": f"{host},{guid('my', user.id)},{guid('my web', user.id)}",
        "name": user.upn.replace("@", "_").replace(".", "_"),
        "displayName": user.display_name,
        "webUrl": f"https://{host}/personal/{guid(user.id)}",
        "createdDateTime": iso(user.created),
        "lastModifiedDateTime": iso(user.created),
        "isPersonalSite": True,
    }


@graph.add("GET", "/sites/getAllSites", cost="list", **SITES)
async def all_sites(call: Call) -> Answer:
    """List all sites of the tenant, OneDrives among them; for applications only."""
    if call.claims.get("idtyp") != "app":
        raise Fault(403, "accessDenied", "This method is for applications only.")
    things = [site_json(site) for site in call.tenant.sites.values()]
    things += [_personal(call.tenant, u) for u in call.tenant.users.values() if u.drive]
    wanted = selected(call)
    body = page(call, "/sites/getAllSites", things, call.page_size(200, 1000), "sites")
    body["value"] = [pick(one, wanted) for one in body["value"]]
    return answer_json(body)


@graph.add("GET", "/sites/delta", cost="delta", **SITES)
async def delta(call: Call) -> Answer:
    """List sites, or those that came, changed or went since a token (`latest`: from now on)."""
    token, tenant = call.query.get("token", ""), call.tenant
    seq = len(tenant.site_log)
    since = 0
    if token and token != "latest":  # noqa: S105  the word of the protocol, no secret
        opened = call.sim.sealer.open(token)
        if not opened or opened[0] != "sites":
            raise Fault(400, "invalidRequest", "The token is not valid.")
        if int(str(opened[2])) != call.sim.delta_epoch or call.action == "expireDelta":
            where = link(call, "/sites/delta")
            raise Fault(410, "resyncRequired", "Resync required.", {"Location": where})
        since = int(str(opened[1]))
    names = {name: None for number, name in tenant.site_log if number > since}
    value: list[JSON] = []
    for name in names if token != "latest" else ():  # noqa: S105
        site = tenant.sites.get(name)
        value.append(site_json(site) if site else {"id": name, "deleted": {"state": "deleted"}})
    anew = call.sim.sealer.seal(["sites", seq, call.sim.delta_epoch])
    return answer_json({"value": value, "@odata.deltaLink": link(call, "/sites/delta", token=anew)})


@graph.add("GET", "/sites", cost="list", **SITES)
async def search(call: Call) -> Answer:
    """Find sites by a word of their name; `*` finds all."""
    word = call.query.get("search", call.query.get("$search", "")).strip('"').lower()
    if not word:
        raise Fault(400, "invalidRequest", "A search word is needed.")
    sites = call.tenant.sites.values()
    found = [s for s in sites if word == "*" or word in f"{s.name} {s.display_name}".lower()]
    return answer_json(page(call, "/sites", [site_json(s) for s in found], 200, "sites"))


@graph.add("GET", "/sites/{site}", cost="single", **SITES)
async def site_by_id(call: Call) -> Answer:
    """Get one site."""
    return answer_json(pick(site_json(site_of(call)), selected(call)))


@graph.add("GET", "/sites/{site}/sites", cost="list", **SITES)
async def subsites(call: Call) -> Answer:
    """List subsites: the worlds have none."""
    site = site_of(call)
    return answer_json(page(call, f"/sites/{site.id}/sites", [], 200, "sites"))


def library_json(library: Library) -> JSON:
    """Return a document library as the drive it is."""
    drive, owner = library.drive, library.owner
    person = {"user": {"id": owner.id, "displayName": owner.display_name, "email": owner.upn}}
    return {
        "id": drive.id,
        "name": library.name,
        "driveType": "documentLibrary",
        "description": library.description,
        "createdDateTime": iso(library.created or drive.root.created),
        "lastModifiedDateTime": iso(drive.root.modified),
        "webUrl": drive.web_url,
        "createdBy": person,
        "quota": {"state": "normal", "used": drive.root.size, "total": 27_487_790_694_400},
        "sharePointIds": {"listId": library.list_id, "siteId": drive.site_id.split(",")[1]},
    }


@graph.add("GET", "/sites/{site}/drives", service="sharepoint", kind="site.drives",
           roles=FILES_READ, cost="list")  # fmt: skip
async def drives(call: Call) -> Answer:
    """List the document libraries of a site."""
    site = site_of(call)
    wanted = selected(call)
    things = [pick(library_json(library), wanted) for library in site.libraries]
    path = f"/sites/{site.id}/drives"
    return answer_json(page(call, path, things, call.page_size(200, 1000), "drives"))


@graph.add("GET", "/sites/{site}/drive", service="sharepoint", kind="site.drives",
           roles=FILES_READ, cost="single")  # fmt: skip
async def default_drive(call: Call) -> Answer:
    """Get the default document library: the first."""
    site = site_of(call)
    if not site.libraries:
        raise Fault(404, "itemNotFound", "The site has no document library.")
    return answer_json(pick(library_json(site.libraries[0]), selected(call)))


@graph.add("GET", "/sites/{site}/permissions", service="sharepoint", kind="site.permissions",
           roles=SITES_CONTROL, cost="permissions")  # fmt: skip
async def permissions(call: Call) -> Answer:
    """List the permissions that applications hold on a site; needs full control."""
    site = site_of(call)
    path = f"/sites/{site.id}/permissions"
    return answer_json(page(call, path, site.permissions, 200, "permissions"))


@graph.add("POST", "/sites/{site}/permissions", service="sharepoint", kind="site.permissions",
           roles=SITES_CONTROL, cost="permissions")  # fmt: skip
async def grant(call: Call) -> Answer:
    """Give an application a role on a site."""
    site, body = site_of(call), await call.json()
    granted = body.get("grantedToIdentities") or []
    roles = [str(role) for role in body.get("roles") or []]
    if not granted or not roles:
        raise Fault(400, "invalidRequest", "roles and grantedToIdentities are needed.")
    made: JSON = {
        "id": guid(site.id, len(site.permissions)),
        "roles": roles,
        "grantedToIdentitiesV2": granted,
    }
    site.permissions.append(made)
    return answer_json(made, 201)


WRITES: dict[str, str] = {
    "service": "sharepoint", "kind": "site.write", "roles": SITES_WRITE, "cost": "write",
}  # fmt: skip
