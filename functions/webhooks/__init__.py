"""Doors for calls from outside that carry no token of ours: verify, persist, answer."""

from fastapi import APIRouter

from functions.webhooks import consent, orders

ROUTERS: list[APIRouter] = [consent.router, orders.router]
