"""The partner API: one router per resource, bound one function per operation."""

from fastapi import APIRouter

ROUTERS: list[APIRouter] = []
"""Every resource of the API, mounted under the prefix."""
