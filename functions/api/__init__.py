"""The partner API: one router per resource, bound one function per operation."""

from fastapi import APIRouter

from functions.api.consent import router as consent
from functions.api.customers import router as customers
from functions.api.documents import router as documents
from functions.api.objects import router as objects
from functions.api.onboarding import router as onboarding
from functions.api.operations import router as operations
from functions.api.partners import router as partners
from functions.api.policies import router as policies
from functions.api.restores import router as restores
from functions.api.sessions import router as sessions

ROUTERS: list[APIRouter] = [
    documents,
    partners,
    customers,
    onboarding,
    consent,
    operations,
    policies,
    sessions,
    objects,
    restores,
]
"""Every resource of the API, mounted under the prefix."""
