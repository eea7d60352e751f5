"""Platform operators: they manage functions, which belong to the whole environment."""

from outdial.studio.web.context import OrganizationContext, is_platform_operator
from outdial.studio.web.errors import PermissionDenied


def require_platform_operator(context: OrganizationContext) -> None:
    """Raise PermissionDenied unless the caller is a platform operator."""
    if not is_platform_operator(context.caller, context.role):
        raise PermissionDenied(
            "Only platform operators can manage functions: add the user to OUTDIAL_STUDIO_OPERATORS, or set role to "
            "platform in their app_metadata in Auth"
        )
