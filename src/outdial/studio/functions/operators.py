"""Who may look after the functions of the whole environment, which belong to no organization."""

from outdial.studio.web.context import OrganizationContext, StudioCaller
from outdial.studio.web.errors import PermissionDenied


def is_platform_operator(caller: StudioCaller, role: str | None = None) -> bool:
    """Tell whether a caller looks after the environment.

    That is a holder of the secret key, a user whose app_metadata at Auth says `{"role": "platform"}`, which only the
    service can write, or one whose e-mail address or id OUTDIAL_STUDIO_OPERATORS names. On a local stack every owner of
    an organization counts (`role` is the caller's role where they are).
    """
    user = caller.identity.user
    if user is None:
        return True
    settings = caller.studio.settings
    if user.app_metadata.get("role") == "platform":
        return True
    if {str(user.id), (user.email or "").lower()} & set(settings.operators):
        return True
    return settings.is_local and role == "owner"


def require_platform_operator(context: OrganizationContext) -> None:
    """Raise Forbidden unless the caller looks after the environment."""
    if not is_platform_operator(context.caller, context.role):
        raise PermissionDenied(
            "Functions belong to the whole environment: this takes somebody whom OUTDIAL_STUDIO_OPERATORS names, or "
            "whose app_metadata at Auth has the role platform"
        )
