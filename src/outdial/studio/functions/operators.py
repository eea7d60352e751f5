"""Who may look after the functions of the whole environment, which belong to no organization."""

from outdial.studio.web.context import Member, Workplace
from outdial.studio.web.errors import Forbidden


def is_operator_of_platform(member: Member, role: str | None = None) -> bool:
    """Tell whether a caller looks after the environment.

    That is a holder of the secret key, a user whose app_metadata at Auth says `{"role": "platform"}`, which only the
    service can write, or one whose e-mail address or id OUTDIAL_STUDIO_OPERATORS names. On a local stack every owner of
    an organization counts (`role` is the caller's role where they are).
    """
    user = member.caller.user
    if user is None:
        return True
    settings = member.studio.settings
    if user.app_metadata.get("role") == "platform":
        return True
    if {str(user.id), (user.email or "").lower()} & set(settings.operators):
        return True
    return settings.is_local and role == "owner"


def require_platform(at: Workplace) -> None:
    """Raise Forbidden unless the caller looks after the environment."""
    if not is_operator_of_platform(at.member, at.role):
        raise Forbidden(
            "Functions belong to the whole environment: this takes somebody whom OUTDIAL_STUDIO_OPERATORS names, or "
            "whose app_metadata at Auth has the role platform"
        )
