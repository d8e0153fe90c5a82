"""The sockets: one aiohttp application, served on plain http and on https."""

import asyncio
import ssl
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from local.microsoft365 import admin, consent_pages, device, discovery, signin
from local.microsoft365.clock import iso
from local.microsoft365.content import download
from local.microsoft365.simulator import Simulator
from local.microsoft365.uploads import upload
from local.microsoft365.wire import Answer, Call, Fault, answer_fault, answer_json

MOST_BODY = 260 * 1024 * 1024


class Server:
    """The running simulator: its two origins, and `close`."""

    def __init__(self, sim: Simulator, runner: web.AppRunner, http: str, https: str) -> None:
        self.sim, self.http, self.https, self._runner = sim, http, https, runner

    async def close(self) -> None:
        """End both listeners."""
        await self._runner.cleanup()


async def serve(
    sim: Simulator,
    *,
    host: str = "127.0.0.1",
    http_port: int = 0,
    https_port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Server:
    """Listen on http, and on https when a TLS context is given; port 0 picks a free one."""
    sim.hosts = {"content": download, "upload": upload}
    app = web.Application(client_max_size=MOST_BODY)

    async def entry(request: web.Request) -> web.StreamResponse:
        return await answer(sim, request)

    app.router.add_route("*", "/{tail:.*}", entry)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, auto_decompress=True)
    await runner.setup()
    try:
        plain = web.TCPSite(runner, host, http_port)
        await plain.start()
        http = f"http://{host}:{runner.addresses[0][1]}"
        https = ""
        if tls is not None:
            await web.TCPSite(runner, host, https_port, ssl_context=tls).start()
            https = f"https://{host}:{runner.addresses[1][1]}"
    except OSError:
        await runner.cleanup()
        raise
    sim.issuer = https or http
    return Server(sim, runner, http, https)


async def answer(sim: Simulator, request: web.Request) -> web.StreamResponse:
    """Turn one aiohttp request into a call, and the answer into a response."""
    path, _, query = request.raw_path.partition("?")
    call = Call(
        sim,
        request.method,
        path,
        dict(parse_qsl(query, keep_blank_values=True)),
        request.headers,
        request.read,
        f"{request.scheme}://{request.host}",
    )
    try:
        result = await dispatch(sim, call)
    except Fault as fault:
        result = answer_fault(fault, call.request_id, call.request_id, iso(sim.clock.now()))
    return await respond(sim, request, result)


async def dispatch(sim: Simulator, call: Call) -> Answer:
    """Send a call to Graph, the content host, the upload host, sign-in or the admin side."""
    first, _, rest = call.path.lstrip("/").partition("/")
    if first == "v1.0" or (first == "beta" and rest.endswith("/createLink")):
        call.beta = first == "beta"
        call.path = "/" + rest
        return await sim.handle(call)
    if first in ("_content", "_upload"):
        call.path = "/" + rest
        return await sim.handle_preauthorised(call, first)
    if first == "_sim":
        call.path = "/" + rest
        return await admin.answer(call)
    return await sign_in(sim, call, unquote(first), rest)


async def sign_in(sim: Simulator, call: Call, tenant: str, rest: str) -> Answer:
    """Answer what the sign-in host answers."""
    where = f"{call.method} {rest}".lower()
    if where == "post oauth2/v2.0/token":
        return await signin.token(sim, tenant, call)
    if where == "post oauth2/v2.0/devicecode":
        return await device.start(sim, tenant, call)
    if where == "get discovery/v2.0/keys":
        return answer_json(sim.signer.jwks(sim.issuer), Cache_Control="max-age=86400, private")
    if where == "get v2.0/.well-known/openid-configuration":
        return discovery.discovery(sim, tenant)
    if where == "get discovery/instance":
        return discovery.instance_discovery(sim, tenant)
    return await consent_pages.answer(sim, call, tenant, rest)


async def respond(sim: Simulator, request: web.Request, result: Answer) -> web.StreamResponse:
    """Write an answer, or drop the connection where a scripted fault says so."""
    if result.cut is not None:
        return await _cut(request, result)
    if result.stream is None:
        sim.stats.bytes_out += len(result.body)
        response = web.Response(status=result.status, body=result.body, headers=result.headers)
        if (
            len(result.body) > 1400
            and "gzip" in request.headers.get("Accept-Encoding", "")
            and (result.headers.get("Content-Type", "").startswith("application/json"))
        ):
            response.enable_compression(web.ContentCoding.gzip)
        return response
    streaming = web.StreamResponse(status=result.status, headers=result.headers)
    streaming.content_length = result.length
    await streaming.prepare(request)
    async for piece in result.stream:
        sim.stats.bytes_out += len(piece)
        await streaming.write(piece)
    await streaming.write_eof()
    return streaming


async def _cut(request: web.Request, result: Answer) -> web.StreamResponse:
    """Send the head and some bytes, then reset; nothing at all when the cut is at 0."""
    streaming = web.StreamResponse(status=result.status, headers=result.headers)
    left = result.cut or 0
    if left:
        size = result.length if result.stream is not None else len(result.body)
        streaming.content_length = size
        await streaming.prepare(request)
        if result.stream is None:
            await streaming.write(result.body[:left])
        else:
            async for piece in result.stream:
                await streaming.write(piece[:left])
                left -= len(piece)
                if left <= 0:
                    break
        await asyncio.sleep(0.02)
    if request.transport is not None:
        request.transport.abort()
    return streaming
