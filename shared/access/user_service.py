"""Use cases of the partner's users: add, edit, bulk edit, delete, and tie to a first sign-in.

Every change is decided on the whole state and committed under its stamp; a lost race decides
again. `holder` is always the grants of who asks: nobody gives more than they hold.
"""

from collections.abc import Sequence

from shared.access import role_repository as rows
from shared.access import role_rules as rules
from shared.access.model import Scope
from shared.access.role_model import Grants, User, fresh
from shared.access.role_repository import Change, State
from shared.kit.clock import Clock
from shared.kit.errors import Invalid, NotFound
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.seeds import made_id
from shared.kit.tables import Table

# Users changed in one commit.
MOST_AT_ONCE = 90


class Users:
    """The verbs on users."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    async def add_user(
        self,
        scope: Scope,
        holder: Grants,
        *,
        email: str,
        first_name: str,
        last_name: str,
        role_ids: Sequence[str],
        tenant_id: str,
        object_id: str | None = None,
        created_by: str = "",
    ) -> User:
        """Add a user of the partner's tenant (ROL-12)."""
        user_id, now = made_id("user"), self._clock.now()

        def decide(state: State) -> tuple[User, list[Change]]:
            if (made := state.users.get(user_id)) is not None:
                return made, []  # this request died and is repeated
            user = User(
                user_id=user_id,
                email=rules.decide_email(email, state.users.values()),
                first_name=first_name,
                last_name=last_name,
                role_ids=rules.decide_role_ids(role_ids, state.roles),
                tenant_id=tenant_id.lower(),
                object_id=object_id.lower() if object_id else None,
                created_at=now,
                created_by=created_by,
            )
            rules.check_roles_given(holder, user.role_ids, state.roles, state.groups)
            return user, [rows.add(scope, user)]

        return await rows.change(self._table, scope, decide)

    async def edit_user(
        self,
        scope: Scope,
        holder: Grants,
        user_id: str,
        if_match: str | None,
        *,
        first_name: str,
        last_name: str,
        role_ids: Sequence[str],
    ) -> User:
        """Replace names and roles (ROL-13); only roles that are new to the user are given."""

        def decide(state: State) -> tuple[User, list[Change]]:
            old = _user(state, user_id)
            check_if_match(if_match, strong_etag(old.etag))
            user = _with_roles(state, holder, old, role_ids)
            user = fresh(user, first_name=first_name, last_name=last_name)
            after = {**state.users, user_id: user}
            rules.check_administrators(state.users.values(), after.values())
            return user, [rows.put(scope, user)]

        return await rows.change(self._table, scope, decide)

    async def set_roles(
        self, scope: Scope, holder: Grants, user_ids: Sequence[str], role_ids: Sequence[str]
    ) -> dict[str, User | None]:
        """Bulk edit: the users hold exactly these roles afterwards (ROL-14, AMB-27).

        All or nothing, at most `MOST_AT_ONCE` users; None stands for an unknown user.
        """
        if len(set(user_ids)) > MOST_AT_ONCE:
            raise Invalid(f"At most {MOST_AT_ONCE} users at once.", pointer="/userIds")

        def decide(state: State) -> tuple[dict[str, User | None], list[Change]]:
            changed = {
                each: _with_roles(state, holder, state.users[each], role_ids)
                for each in user_ids
                if each in state.users
            }
            after = {**state.users, **changed}
            rules.check_administrators(state.users.values(), after.values())
            outcome: dict[str, User | None] = {each: changed.get(each) for each in user_ids}
            return outcome, [rows.put(scope, user) for user in changed.values()]

        return await rows.change(self._table, scope, decide)

    async def delete_user(self, scope: Scope, user_id: str, if_match: str | None) -> User:
        """Delete a user with the context they have open: access ends at once (ROL-15)."""

        def decide(state: State) -> tuple[User, list[Change]]:
            user = _user(state, user_id)
            check_if_match(if_match, strong_etag(user.etag))
            after = [each for each in state.users.values() if each.user_id != user_id]
            rules.check_administrators(state.users.values(), after)
            context = state.contexts.get(user_id)
            ended = [rows.remove(scope, context)] if context else []
            return user, [rows.remove(scope, user), *ended]

        return await rows.change(self._table, scope, decide)

    async def bind(self, scope: Scope, tenant_id: str, object_id: str, email: str) -> User | None:
        """First sign-in: tie the added user with this e-mail to the object id; None if unknown.

        Only within the tenant the user was added for, and once: later only the object id counts
        (marketplace-auth.md 3.1, rule 6).
        """

        def decide(state: State) -> tuple[User | None, list[Change]]:
            for user in state.users.values():
                is_theirs = user.email == email.lower() and user.tenant_id == tenant_id.lower()
                if is_theirs and user.object_id is None:
                    bound = fresh(user, object_id=object_id.lower())
                    return bound, [rows.put(scope, bound)]
            return None, []

        return await rows.change(self._table, scope, decide)


def _with_roles(state: State, holder: Grants, user: User, role_ids: Sequence[str]) -> User:
    wanted = rules.decide_role_ids(role_ids, state.roles)
    given = [each for each in wanted if each not in user.role_ids]
    rules.check_roles_given(holder, given, state.roles, state.groups)
    return fresh(user, role_ids=wanted)


def _user(state: State, user_id: str) -> User:
    if user_id not in state.users:
        raise NotFound("There is no such user.")
    return state.users[user_id]
