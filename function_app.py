"""The app: registers every blueprint, nothing else."""

import azure.durable_functions as df
import azure.functions as func

from functions.api.app import api
from functions.binding import bind
from functions.timers.start_due_backups import blueprint as start_due_backups
from orchestrations.backup import blueprint as backup
from orchestrations.onboarding import blueprint as onboarding
from orchestrations.restore import blueprint as restore

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for blueprint in (bind(api), start_due_backups, onboarding, backup, restore):
    app.register_functions(blueprint)
