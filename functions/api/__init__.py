"""The partner API: one router per resource, bound one function per operation."""

from functions.api.activity import router as activity
from functions.api.api_clients import router as api_clients
from functions.api.api_keys import router as api_keys
from functions.api.audit import router as audit
from functions.api.batch_edits import router as batch_edits
from functions.api.billing import router as billing
from functions.api.catalogue import router as catalogue
from functions.api.channels import router as channels
from functions.api.consent import router as consent
from functions.api.contexts import router as contexts
from functions.api.costs import router as costs
from functions.api.coverage import router as coverage
from functions.api.customer_access import router as customer_access
from functions.api.customer_groups import router as customer_groups
from functions.api.customer_licences import leavers as customer_leavers
from functions.api.customer_licences import router as customer_licences
from functions.api.customer_services import router as customer_services
from functions.api.customers import router as customers
from functions.api.documents import router as documents
from functions.api.drills import router as drills
from functions.api.exports import router as exports
from functions.api.finding import router as finding
from functions.api.keeping import router as keeping
from functions.api.ledger import router as ledger
from functions.api.licence_adjustments import router as licence_adjustments
from functions.api.licence_interventions import router as licence_interventions
from functions.api.licence_reports import router as licence_reports
from functions.api.mail_previews import router as mail_previews
from functions.api.notices import router as notices
from functions.api.notifications import router as notifications
from functions.api.objects import router as objects
from functions.api.onboarding import router as onboarding
from functions.api.operations import router as operations
from functions.api.orders import router as orders
from functions.api.partners import router as partners
from functions.api.permissions import router as permissions
from functions.api.policies import router as policies
from functions.api.pool_previews import router as pool_previews
from functions.api.pools import router as pools
from functions.api.recovery_keys import router as recovery_keys
from functions.api.reported_jobs import router as reported_jobs
from functions.api.repositories import router as repositories
from functions.api.resellers import router as resellers
from functions.api.restores import router as restores
from functions.api.roles import router as roles
from functions.api.routing import Router
from functions.api.service_starts import router as service_starts
from functions.api.session_lists import router as session_lists
from functions.api.session_logs import router as session_logs
from functions.api.sessions import router as sessions
from functions.api.status import router as status
from functions.api.subscriptions import previews as subscription_previews
from functions.api.subscriptions import router as subscriptions
from functions.api.tenant_licences import router as tenant_licences
from functions.api.usage import router as usage
from functions.api.usage_books import router as usage_books
from functions.api.usage_exports import router as usage_exports
from functions.api.usage_submissions import router as usage_submissions
from functions.api.users import router as users

ROUTERS: list[Router] = [
    documents,
    partners,
    permissions,
    roles,
    users,
    customer_groups,
    api_clients,
    api_keys,
    contexts,
    customers,
    customer_access,
    onboarding,
    consent,
    operations,
    policies,
    sessions,
    session_lists,
    session_logs,
    objects,
    mail_previews,
    finding,
    coverage,
    recovery_keys,
    repositories,
    keeping,
    restores,
    exports,
    drills,
    reported_jobs,
    service_starts,
    notifications,
    status,
    catalogue,
    batch_edits,
    pools,
    pool_previews,
    resellers,
    subscription_previews,
    subscriptions,
    customer_services,
    customer_licences,
    customer_leavers,
    licence_reports,
    licence_interventions,
    ledger,
    licence_adjustments,
    notices,
    activity,
    tenant_licences,
    orders,
    channels,
    usage,
    usage_books,
    usage_exports,
    usage_submissions,
    billing,
    costs,
    audit,
]
"""Every resource of the API, mounted under the prefix."""
