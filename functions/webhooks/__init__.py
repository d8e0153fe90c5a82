"""Doors for calls from outside that carry no token of ours: verify, persist, answer."""

from functions.api.routing import Router
from functions.webhooks import consent, orders

ROUTERS: list[Router] = [consent.router, orders.router]
