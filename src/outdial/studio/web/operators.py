"""Platform operators: they manage functions, which belong to the whole environment."""

from outdial.studio.web.context import OrganizationContext, StudioCaller
from outdial.studio.web.errors import PermissionDenied


def is_platform_operator(caller: StudioCaller, role: str | None = None) -> bool:
    """Return whether a caller is a platform operator.

    Platform operators are callers with the secret key, users whose app_metadata at Auth is `{"role": "platform"}`
    (only the service can write it), and users listed by id or confirmed email address in OUTDIAL_STUDIO_OPERATORS. On a
    local stack, every owner of an organization is one too; `role` is the caller's role in the organization.
    """
    user = caller.identity.user
    if user is None:
        return True
    settings = caller.studio.settings
    if user.app_metadata.get("role") == "platform":
        return True
    # Someone may have signed up with the address before it was listed.
    names = {str(user.id), (user.email or "").lower()} if user.is_email_confirmed else {str(user.id)}
    if names & set(settings.operators):
        return True
    return settings.is_local and role == "owner"


def require_platform_operator(context: OrganizationContext) -> None:
    """Raise PermissionDenied unless the caller is a platform operator."""
    if not is_platform_operator(context.caller, context.role):
        raise PermissionDenied(
            "Only platform operators can manage functions: add the user to OUTDIAL_STUDIO_OPERATORS, or set role to "
            "platform in their app_metadata in Auth"
        )
