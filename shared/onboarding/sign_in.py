"""How the customer's administrator lets us in: an admin-consent link, or a device code."""

from typing import TYPE_CHECKING

from shared.consent import repository as consents
from shared.consent import rules as consent_rules
from shared.consent import service as consent
from shared.kit.errors import Forbidden
from shared.kit.operations import StepState
from shared.onboarding import rules
from shared.onboarding.inputs import Answer, OnboardingJob
from shared.onboarding.model import OnboardingRun, SignIn, SignInWay, Stage, StepName
from shared.onboarding.progress import move, run_of

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class ConsentDeclined(Forbidden):
    """The administrator declined; nothing was granted."""

    code, title = "CONSENT_DECLINED", "The administrator declined"


async def ask(deps: "Deps", job: OnboardingJob) -> Answer:
    """Issue a link or a code, or hand out again the one that can still be used (ONB-38)."""
    run = await run_of(deps, job)
    current = run.sign_in
    if current is None or current.state != "waiting" or current.expires_at <= deps.clock.now():
        if run.plan.sign_in is SignInWay.ADMIN_CONSENT:
            current = await _new_link(deps, run)
        else:
            current = await _new_code(deps, run)
    await move(
        deps,
        job,
        StepName.SIGN_IN,
        StepState.RUNNING,
        _invitation(current),
        sign_in=current,
        stage=Stage.AWAITING_SIGN_IN,
    )
    return Answer(
        outcome="waiting",
        expires_at=current.expires_at,
        look_seconds=current.interval_seconds,
    )


async def look(deps: "Deps", job: OnboardingJob) -> Answer:
    """Whether the administrator has let us in. Nothing a call-back says is believed (M40)."""
    run = await run_of(deps, job)
    current = run.sign_in
    if current is None or current.state == "done":
        return Answer(outcome="done" if current else "waiting")
    if current.way is SignInWay.ADMIN_CONSENT:
        arrived = await _link_answered(deps, run, current)
    else:
        arrived = await _code_entered(deps, run, current)
    if not arrived:
        return Answer(outcome="waiting")
    done = current.model_copy(update={"state": "done", "secret": None, "link": None})
    await move(
        deps,
        job,
        StepName.SIGN_IN,
        StepState.SUCCEEDED,
        "The administrator has answered.",
        sign_in=done,
        stage=Stage.CONNECTING,
    )
    return Answer(outcome="done")


async def expire(deps: "Deps", job: OnboardingJob) -> Answer:
    """Say that the link or code has run out and how to get another (ONB-38)."""
    run = await run_of(deps, job)
    expired = run.sign_in.model_copy(update={"state": "expired"}) if run.sign_in else None
    await move(
        deps,
        job,
        StepName.SIGN_IN,
        StepState.RUNNING,
        "The link or code has expired. Issue a new one with POST onboarding:renewSignIn.",
        sign_in=expired,
    )
    return Answer(outcome="waiting")


def _invitation(current: SignIn) -> str:
    if current.way is SignInWay.ADMIN_CONSENT:
        return "A Global Administrator of the customer has to open the link and accept."
    return (
        f"A Global Administrator of the customer has to enter the code {current.user_code} "
        f"at {current.verification_uri}."
    )


async def _new_link(deps: "Deps", run: OnboardingRun) -> SignIn:
    url, link = await consent.create_link(
        deps,
        partner_id=run.partner_id,
        customer_id=run.customer_id,
        tenant_id=run.plan.tenant_id,
        run_id=run.run_id,
        created_by=run.created_by,
    )
    return SignIn(
        way=SignInWay.ADMIN_CONSENT,
        link=url,
        expires_at=link.expires_at,
        interval_seconds=max(1, round(deps.settings.consent_poll_seconds)),
        secret=link.state,
    )


async def _new_code(deps: "Deps", run: OnboardingRun) -> SignIn:
    from shared.microsoft365.signin import DeviceSignIn

    code = await DeviceSignIn(deps.settings).start(run.plan.tenant_id)
    return SignIn(
        way=SignInWay.DEVICE_CODE,
        user_code=code.user_code,
        verification_uri=code.verification_uri,
        expires_at=code.expires,
        interval_seconds=max(1, code.interval_s),
        secret=code.device_code,
    )


async def _link_answered(deps: "Deps", run: OnboardingRun, current: SignIn) -> bool:
    """The call-back came, or the grant is there without one: a redirect can get lost."""
    link = await consents.find_link(deps.tables, current.secret or "")
    if link is not None and link.outcome == "declined":
        said = link.detail.rstrip(". ") or "declined"
        raise ConsentDeclined(f"Microsoft said: {said}. Start again when the customer agrees.")
    if link is not None and link.outcome == "accepted":
        return True
    health = await consent.check_tenant(
        deps, run.customer_id, run.plan.tenant_id, run.plan.services
    )
    return consent_rules.is_proof(health)


async def _code_entered(deps: "Deps", run: OnboardingRun, current: SignIn) -> bool:
    """Poll once; on success create our service principal and grant its roles, then forget.

    The administrator's token lives inside this function only (microsoft365.md section 12 B).
    """
    from shared.microsoft365 import permissions
    from shared.microsoft365.errors import SignInDeclined, SignInExpired
    from shared.microsoft365.provisioning import Provisioning
    from shared.microsoft365.signin import DeviceSignIn

    try:
        admin = await DeviceSignIn(deps.settings).poll(run.plan.tenant_id, current.secret or "")
    except SignInDeclined as declined:
        raise ConsentDeclined("The administrator declined the sign-in.") from declined
    except SignInExpired:
        # Either the time is over, or an earlier delivery of this activity used the code up.
        health = await consent.check_tenant(
            deps, run.customer_id, run.plan.tenant_id, run.plan.services
        )
        return consent_rules.is_proof(health)
    if admin is None:
        return False
    try:
        if not admin.is_privileged:
            raise rules.NotGlobalAdmin(f"{admin.upn} is no Global Administrator of the tenant.")
        if admin.tenant_id.lower() != run.plan.tenant_id:
            raise rules.NotGlobalAdmin(f"{admin.upn} belongs to another tenant.")
        chosen = consent_rules.workloads(run.plan.services or consent_rules.WORKLOADS)
        provisioning = Provisioning(deps.settings, admin)
        await provisioning.grant(deps.settings.reader_client_id, permissions.needed(chosen))
    finally:
        admin.drop()
    return True
