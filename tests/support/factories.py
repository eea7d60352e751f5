"""Factories for rows, inserted as the superuser. Columns that a test does not set get defaults."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.db.session import Connection
from outdial.domain.ids import new_id
from outdial.domain.location import KEYS_VERSION
from outdial.retell.simulator.script import MAGIC

# A Tuesday: 13:00 in New York, 10:00 in Los Angeles.
NOW = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)
ALL_DAY = '{"every_day": [["00:00", "24:00"]]}'

CLAIM_DECISION = '{"rule_ids": [], "number_choice": "only_number", "budget": {}}'
"""What the database requires of the decision of a call that a dialer inserts."""

ERASURE_SECRETS = ("a key of tests that is long enough: 0123456789",)
ERASURE_KEYS = ErasureKeys(ERASURE_SECRETS)
ENCRYPTION_SECRETS = ("another key of tests that is long enough: 0123456789",)

_blocks = count(1)
# A magic number has webhooks that are late, missing or in another order.
_phones = (phone for number in count(5_550_101) if (phone := f"+1212{number:07}")[-4:] not in MAGIC)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with its provider account."""

    organization_id: UUID
    provider_account_id: UUID
    credential: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign of `tenant`."""

    id: UUID
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of an organization."""

    id: UUID
    organization_id: UUID
    phone: str
    zone_key: str


@dataclass(frozen=True, slots=True)
class CampaignContact:
    """A contact in a campaign."""

    id: UUID
    campaign: Campaign
    contact: Contact


async def insert(connection: Connection, table: str, **columns: object) -> None:
    """Insert one row into `table` of the schema public; JSON columns take text."""
    names = ", ".join(columns)
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await connection.execute(f"insert into public.{table} ({names}) values ({places})", *columns.values())  # noqa: S608


def new_phone() -> str:
    """Return a new phone number on every call, never a magic one."""
    return next(_phones)


async def create_user(connection: Connection, *, email: str | None = None) -> UUID:
    """Create a user of the schema auth, whose email address is confirmed."""
    user_id = new_id(NOW)
    await connection.execute(
        "insert into auth.users (id, email, email_confirmed_at) values ($1, $2, $3)",
        user_id,
        email or f"{user_id.hex}@example.com",
        NOW,
    )
    return user_id


async def add_factor(connection: Connection, user_id: UUID) -> UUID:
    """Give a user an authenticator app as their second factor. Return the factor's id."""
    await connection.execute(
        "insert into auth.mfa_factors (id, user_id, factor_type, status, secret, created_at, updated_at)"
        " values ($1, $2, 'totp', 'verified', 'secret', $3, $3)",
        factor_id := new_id(NOW),
        user_id,
        NOW,
    )
    return factor_id


async def create_member(
    connection: Connection, organization_id: UUID, role: str = "operator", *, user_id: UUID | None = None
) -> UUID:
    """Add a user to the organization, a new one by default. Return the user's id."""
    user_id = user_id or await create_user(connection)
    await insert(connection, "organization_members", organization_id=organization_id, user_id=user_id, role=role)
    return user_id


async def create_tenant(
    connection: Connection,
    *,
    credential: str = "default",
    name: str = "Acme",
    daily_call_cap: int = 3,
    **account: object,
) -> Tenant:
    """Create an organization with one provider account. A second tenant needs another credential."""
    tenant = Tenant(new_id(NOW), new_id(NOW), credential)
    await insert(
        connection,
        "organizations",
        id=tenant.organization_id,
        name=name,
        daily_call_cap=daily_call_cap,
        created_at=NOW,
    )
    await create_provider_account(
        connection, tenant.organization_id, id=tenant.provider_account_id, credential=credential, **account
    )
    return tenant


async def create_provider_account(connection: Connection, organization_id: UUID, **columns: object) -> UUID:
    """Create a provider account, by default with 20 concurrent calls and 100 per second. Return its id."""
    account_id = new_id(NOW)
    defaults = {
        "id": account_id,
        "organization_id": organization_id,
        "name": "Retell",
        "credential": f"account_{account_id.hex}",
        "concurrency_limit": 20,
        "calls_per_second": 100.0,
        "created_at": NOW,
    }
    row = defaults | columns
    await insert(connection, "provider_accounts", **row)
    assert isinstance(row["id"], UUID)
    return row["id"]


async def create_campaign(connection: Connection, tenant: Tenant, **columns: object) -> Campaign:
    """Create a campaign, by default active, due now, and open around the clock."""
    campaign = Campaign(new_id(NOW), tenant)
    defaults = {
        "id": campaign.id,
        "organization_id": tenant.organization_id,
        "provider_account_id": tenant.provider_account_id,
        "name": "Spring",
        "status": "active",
        "retell_agent_id": "agent_1",
        "from_number": "+12125550000",
        "calling_hours": ALL_DAY,
        "next_batch_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    await insert(connection, "campaigns", **(defaults | columns))
    return campaign


async def create_contact(connection: Connection, organization_id: UUID, **columns: object) -> Contact:
    """Create a contact with a new phone number, by default in New York."""
    defaults = {
        "id": new_id(NOW),
        "organization_id": organization_id,
        "phone": new_phone(),
        "name": "Ada",
        "zone_key": "America/New_York",
        "zone_source": "number",
        # Dialers leave the keys of these contacts as they are.
        "keys_version": KEYS_VERSION,
        "created_at": NOW,
        "updated_at": NOW,
    }
    row = defaults | columns
    await insert(connection, "contacts", **row)
    assert isinstance(row["id"], UUID)
    return Contact(row["id"], organization_id, str(row["phone"]), str(row["zone_key"]))


async def create_campaign_contact(
    connection: Connection, campaign: Campaign, contact: Contact | None = None, **columns: object
) -> CampaignContact:
    """Add a contact to the campaign, a new one by default: pending and due now."""
    contact = contact or await create_contact(connection, campaign.tenant.organization_id)
    entry = CampaignContact(new_id(NOW), campaign, contact)
    defaults = {
        "id": entry.id,
        "organization_id": contact.organization_id,
        "campaign_id": campaign.id,
        "contact_id": contact.id,
        "phone": contact.phone,
        "zone_key": contact.zone_key,
        "next_attempt_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    await insert(connection, "campaign_contacts", **(defaults | columns))
    return entry


async def create_call(connection: Connection, entry: CampaignContact, **columns: object) -> UUID:
    """Create a call as a claim does: `placing`, first attempt. The contact's row is not changed."""
    call_id = new_id(NOW)
    tenant = entry.campaign.tenant
    defaults = {
        "id": call_id,
        "organization_id": tenant.organization_id,
        "campaign_id": entry.campaign.id,
        "campaign_contact_id": entry.id,
        "contact_id": entry.contact.id,
        "provider_account_id": tenant.provider_account_id,
        "attempt_number": 1,
        "phone": entry.contact.phone,
        "from_number": "+12125550000",
        "request": "{}",
        "decision": "{}",
        "requested_at": NOW,
        "request_deadline": NOW + timedelta(seconds=35),
        "next_check_at": NOW + timedelta(seconds=35),
        "created_at": NOW,
        "updated_at": NOW,
    }
    row = defaults | columns
    await insert(connection, "calls", **row)
    assert isinstance(row["id"], UUID)
    return row["id"]


async def create_calling(
    connection: Connection, campaign: Campaign, contact: Contact | None = None, **call: object
) -> tuple[CampaignContact, UUID]:
    """Add a contact that is on its first call. Return it with the call's id."""
    entry = await create_campaign_contact(connection, campaign, contact, status="calling", call_count=1)
    return entry, await create_call(connection, entry, **call)


async def create_test_call(connection: Connection, campaign: Campaign, **columns: object) -> UUID:
    """Create a test call of the campaign to the requester's own phone, by default sent now. Return its id."""
    id_ = new_id(NOW)
    defaults = {
        "id": id_,
        "organization_id": campaign.tenant.organization_id,
        "campaign_id": campaign.id,
        "provider_account_id": campaign.tenant.provider_account_id,
        "phone": "+14155550142",
        "is_own_phone": True,
        "status": "sent",
        "requested_by": "service",
        "requested_at": NOW,
        "sent_at": NOW,
    }
    await insert(connection, "test_calls", **(defaults | columns))
    return id_


async def fill_campaign(
    connection: Connection,
    campaign: Campaign,
    size: int,
    *,
    zones: tuple[str, ...] = ("America/New_York",),
    block: int | None = None,
) -> None:
    """Add `size` new contacts with two statements, spread over `zones` and due one second apart from NOW.

    Their phones, on which the simulator's outcomes depend, are those of `block`, or of a new one.
    """
    tenant = campaign.tenant
    first = next(_blocks) if block is None else block
    await connection.execute(
        """
        insert into contacts (organization_id, phone, name, zone_key, zone_source, keys_version, external_id,
          created_at, updated_at)
        select $1, '+44' || (7000000000 + $5::bigint * 10000000 + n), 'Contact ' || n,
          ($2::text[])[1 + n % cardinality($2::text[])], 'number', $7, $6, $4, $4
        from generate_series(1, $3::integer) as n
        """,
        tenant.organization_id,
        list(zones),
        size,
        NOW,
        first,
        campaign.id.hex,
        KEYS_VERSION,
    )
    await connection.execute(
        """
        insert into campaign_contacts (organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at,
          created_at, updated_at)
        select organization_id, $2, id, phone, zone_key,
          $3::timestamptz + row_number() over (order by phone) * interval '1 second', $3, $3
        from contacts where organization_id = $1 and external_id = $4
        """,
        tenant.organization_id,
        campaign.id,
        NOW,
        campaign.id.hex,
    )
