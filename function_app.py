"""The app: registers every blueprint, nothing else."""

import azure.durable_functions as df
import azure.functions as func

from functions.api.app import api
from functions.binding import bind
from functions.timers.adjust_licences import blueprint as adjust_licences
from functions.timers.expire_exports import blueprint as expire_exports
from functions.timers.expire_licences import blueprint as expire_licences
from functions.timers.finish_transfers import blueprint as finish_transfers
from functions.timers.keep_audit import blueprint as keep_audit
from functions.timers.keep_usage import blueprint as keep_usage
from functions.timers.keep_vaults import blueprint as keep_every_vault
from functions.timers.notice_licences import blueprint as notice_licences
from functions.timers.reap_answers import blueprint as reap_answers
from functions.timers.reconcile_orders import blueprint as reconcile_orders
from functions.timers.start_due_backups import blueprint as start_due_backups
from functions.timers.start_due_drills import blueprint as start_due_drills
from functions.timers.watch_jobs import blueprint as watch_jobs
from functions.timers.watch_sessions import blueprint as watch_sessions
from orchestrations.backup import blueprint as backup
from orchestrations.batch_edit import blueprint as batch_edit
from orchestrations.drill import blueprint as drill
from orchestrations.export import blueprint as export
from orchestrations.keep import blueprint as keep
from orchestrations.onboarding import blueprint as onboarding
from orchestrations.orders import blueprint as orders
from orchestrations.restore import blueprint as restore
from orchestrations.usage import blueprint as usage

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

TIMERS = (
    start_due_backups,
    watch_sessions,
    watch_jobs,
    keep_every_vault,
    keep_audit,
    reap_answers,
    expire_exports,
    start_due_drills,
    expire_licences,
    adjust_licences,
    finish_transfers,
    notice_licences,
    reconcile_orders,
    keep_usage,
)

for blueprint in (
    bind(api),
    *TIMERS,
    onboarding,
    backup,
    restore,
    export,
    drill,
    batch_edit,
    orders,
    keep,
    usage,
):
    app.register_functions(blueprint)
