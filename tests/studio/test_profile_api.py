"""GET /me: who calls, and the organizations they work for."""

from tests.support.studio import ClientFor
from tests.support.two_organizations import TwoOrganizations


async def test_a_user_sees_their_organizations_and_a_back_end_sees_all(
    two_organizations: TwoOrganizations, client_for: ClientFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    operator = own.users["operator"]

    me = (await (await client_for(operator)).get("/api/v1/me")).json()
    service = (await (await client_for(None)).get("/api/v1/me")).json()
    outsider = (await (await client_for(own.users["outsider"])).get("/api/v1/me")).json()

    assert me == {
        "kind": "user",
        "user_id": str(operator),
        "email": f"{operator.hex}@example.com",
        "is_platform_operator": False,
        "organizations": [{"id": str(own.tenant.organization_id), "name": "Acme", "role": "operator"}],
    }
    assert (service["kind"], service["user_id"], service["is_platform_operator"]) == ("service", None, True)
    ids = {organization["id"] for organization in service["organizations"]}
    assert ids == {str(own.tenant.organization_id), str(other.tenant.organization_id)}
    assert outsider["organizations"] == []
