"""The pages a person sees: admin consent and device sign-in."""

import html
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from local.microsoft365 import device
from local.microsoft365.roles import WORDS
from local.microsoft365.signin import MULTI, find_application
from local.microsoft365.simulator import Simulator
from local.microsoft365.tenant import Application, Tenant, User
from local.microsoft365.wire import Answer, Call

JSON = dict[str, Any]
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;background:#f2f2f2;margin:0}"
    "main{max-width:28rem;margin:4rem auto;background:#fff;padding:2rem 2.5rem;"
    "box-shadow:0 2px 6px #0003}h1{font-size:1.4rem}li{margin:.4rem 0}"
    "button{font:inherit;padding:.4rem 1.6rem;margin-right:.5rem;border:1px solid #888;"
    "background:#eee;cursor:pointer}button.main{background:#0067b8;color:#fff;border-color:#0067b8}"
    "select,input{font:inherit;padding:.4rem;width:100%;box-sizing:border-box;margin:.5rem 0 1rem}"
    ".bad{color:#a4262c}small{color:#555}"
)


def _page(title: str, body: str, status: int = 200) -> Answer:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f'</title><meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}"
        "<p><small>Simulated Microsoft 365: nobody real is signed in here.</small></p>"
        "</main></body></html>"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "Cache-Control": "no-store",
    }
    return Answer(status, text.encode(), headers)


async def answer(sim: Simulator, call: Call, tenant: str, rest: str) -> Answer:
    """Answer /{tenant}/v2.0/adminconsent and /devicelogin; anything else is a page not found."""
    where = rest.lower()
    if where in ("v2.0/adminconsent", "adminconsent") and call.method in ("GET", "POST"):
        form = dict(parse_qsl((await call.read()).decode("utf-8", "replace")))
        return _consent(sim, call, tenant, form)
    if tenant.lower() == "devicelogin" and not rest and call.method in ("GET", "POST"):
        form = dict(parse_qsl((await call.read()).decode("utf-8", "replace")))
        return _device(sim, call, form)
    return _page("Page not found", "<p>There is nothing at this address.</p>", 404)


def _error(code: int, text: str) -> Answer:
    return _page("Sorry, but we're having trouble signing you in",
                 f'<p class="bad">AADSTS{code}: {html.escape(text)}</p>', 400)  # fmt: skip


def _consent(sim: Simulator, call: Call, tenant_name: str, form: dict[str, str]) -> Answer:
    query = call.query
    tenant = sim.find_tenant(tenant_name)
    if tenant is None and tenant_name.lower() not in MULTI:
        return _error(90002, f"Tenant '{tenant_name}' not found.")
    client_id = query.get("client_id", "").lower()
    app = find_application(sim, tenant, client_id)
    if app is None:
        return _error(700016, f"Application with identifier '{client_id}' was not found.")
    redirect = query.get("redirect_uri", "")
    if not redirect.startswith(("http://", "https://")):
        return _error(900144, "The request must contain the parameter 'redirect_uri'.")
    if call.method == "GET":
        return _ask(sim, app, tenant, redirect)
    user_tenant, user = _who(sim, tenant, form.get("account", ""))
    if form.get("decision") != "accept":
        return _back(redirect, {
            "error": "access_denied",
            "error_description": "AADSTS65004: User declined to consent to access the app.",
            "admin_consent": "True",
        }, query)  # fmt: skip
    if user is None or user_tenant is None:
        return _error(50020, "User account does not exist in this tenant.")
    if not user.admin:
        return _error(90094, "An administrator of the organisation has to grant these permissions.")
    grant(sim, user_tenant, app, None)
    found = {
        "admin_consent": "True",
        "tenant": user_tenant.id,
        "scope": query.get("scope", "https://graph.microsoft.com/.default"),
    }
    return _back(redirect, found, query)


def grant(sim: Simulator, tenant: Tenant, app: Application, roles: list[str] | None) -> list[str]:
    """Give an application its permissions in a tenant; returns what it holds now."""
    now = sim.clock.now()
    delay = timedelta(seconds=float(sim.limits.get("signin", "roleDelay")))
    principal = tenant.principal(app, now, now)
    for role in app.wanted_roles if roles is None else roles:
        tenant.grant(principal, role, now, now + delay)
    return [given.role for given in principal.grants]


def _back(redirect: str, members: dict[str, str], query: dict[str, str]) -> Answer:
    if "state" in query:
        members["state"] = query["state"]
    mark = "&" if "?" in redirect else "?"
    return Answer(302, b"", {"Location": redirect + mark + urlencode(members)})


def _ask(sim: Simulator, app: Application, tenant: Tenant | None, redirect: str) -> Answer:
    wanted = "".join(
        f"<li><b>{html.escape(WORDS.get(role, role))}</b><br><small>{html.escape(role)}"
        "</small></li>"
        for role in app.wanted_roles
    )
    body = (
        f"<p><b>{html.escape(app.name)}</b> asks for these permissions for your whole "
        f"organisation:</p><ul>{wanted}</ul>"
        f'<form method="post"><label>Sign in as{_accounts(sim, tenant)}</label>'
        '<button class="main" name="decision" value="accept">Accept</button>'
        '<button name="decision" value="decline">Decline</button></form>'
        f"<p><small>Afterwards you return to {html.escape(redirect)}</small></p>"
    )
    answer = _page("Permissions requested", body)
    answer.headers["X-Request-Nonce"] = secrets.token_urlsafe(8)
    return answer


def _accounts(sim: Simulator, tenant: Tenant | None) -> str:
    tenants = [tenant] if tenant else list(sim.tenants.values())
    options = []
    for one in tenants:
        others = [user for user in one.users.values() if not user.admin][:1]
        for user in [one.admin, *others]:
            word = "administrator" if user.admin else "user"
            name = html.escape(user.upn)
            options.append(f'<option value="{name}">{name} ({word})</option>')
    return f'<select name="account">{"".join(options)}</select>'


def _who(sim: Simulator, tenant: Tenant | None, account: str) -> tuple[Tenant | None, User | None]:
    tenants = [tenant] if tenant else list(sim.tenants.values())
    for one in tenants:
        user = one.find_user(account) if account else one.admin
        if user is not None:
            return one, user
    return None, None


def _device(sim: Simulator, call: Call, form: dict[str, str]) -> Answer:
    note = ""
    if call.method == "POST":
        upn = form.get("account") if form.get("decision", "accept") == "accept" else None
        result = device.decide(sim, form.get("code", ""), upn)
        if result == "approved":
            return _page("You are signed in", "<p>You may close this window now.</p>")
        if result == "declined":
            return _page("You declined", "<p>Nothing was signed in.</p>")
        note = f'<p class="bad">That did not work: {html.escape(result)}.</p>'
    code = html.escape(call.query.get("code", ""))
    body = (
        f'{note}<form method="post"><label>Code shown on your device<input name="code" '
        f'autocomplete="off" value="{code}"></label><label>Sign in as{_accounts(sim, None)}</label>'
        '<button class="main" name="decision" value="accept">Continue</button>'
        '<button name="decision" value="decline">Cancel</button></form>'
    )
    return _page("Enter code", body)
