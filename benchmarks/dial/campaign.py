"""Campaigns of the benchmark, in the row order that an import produces: chunk by chunk."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from outdial.domain.geography.area_zones import zones_of_region
from outdial.domain.geography.regions import REGIONS, TERRITORIES
from outdial.domain.location import KEYS_VERSION

# Several, so that each dialer gets one and prepares its statements.
WARM_UPS = [UUID(int=0x7 << 76 | 0b10 << 62 | n) for n in range(10, 14)]
WARM_UP_CONTACTS = 200
MEASURED = UUID(int=0x7 << 76 | 0b10 << 62 | 3)
KEY = "key_benchmark_3f9d2c7a81"

_ORGANIZATION, _ACCOUNT = (UUID(int=0x7 << 76 | 0b10 << 62 | n) for n in (1, 2))
_PLACES = [
    ("|".join(sorted(zones_of_region(region.code))), region.jurisdiction)
    for region in REGIONS
    if region.country == "US" and region.code not in TERRITORIES
]
"""The keys of the 50 states and the District of Columbia."""


async def seed(connection: asyncpg.Connection, contacts: int, batch_size: int) -> None:
    """Insert draft campaigns: the warm-up campaigns and one with `contacts`. The account limits never apply."""
    await connection.execute("insert into organizations (id, name) values ($1, 'Harbor Dental')", _ORGANIZATION)
    await connection.execute(
        "insert into provider_accounts (id, organization_id, name, concurrency_limit, calls_per_second)"
        " values ($1, $2, 'Retell', 1000000, 100000)",
        *(_ACCOUNT, _ORGANIZATION),
    )
    # The rows are right by construction; 2,000,000 foreign keys need not be looked up.
    await connection.execute("set session_replication_role = replica")
    first = 0
    for campaign, size in (*((campaign, WARM_UP_CONTACTS) for campaign in WARM_UPS), (MEASURED, contacts)):
        await connection.execute(
            """
            insert into campaigns (id, organization_id, provider_account_id, name, retell_agent_id, from_number,
              batch_size, calling_hours, dynamic_variables)
            values ($1, $2, $3, 'Recall', 'agent_1', '+12125550000', $4, '{"every_day": [["00:00", "24:00"]]}',
              '{"practice": "Harbor Dental", "offer": "a check-up"}')
            """,
            *(campaign, _ORGANIZATION, _ACCOUNT, batch_size),
        )
        await _import(connection, campaign, first, size)
        first += size


async def activate(connection: asyncpg.Connection, campaigns: Sequence[UUID]) -> None:
    """Start campaigns, and notify the dialers."""
    await connection.execute(
        "update campaigns set status = 'active', next_batch_at = clock_timestamp(), started_at = clock_timestamp()"
        " where id = any ($1)",
        campaigns,
    )
    await connection.execute("select pg_notify('outdial_campaigns', id::text) from unnest($1::uuid[]) as id", campaigns)


async def _import(connection: asyncpg.Connection, campaign: UUID, first: int, size: int) -> None:
    await connection.execute(
        """
        insert into contacts (id, organization_id, phone, name, email, company, zone_key, jurisdiction_key, zone_source,
          keys_version, attributes)
        select uuidv7(), $1, '+1212' || lpad(n::text, 7, '0'), 'Person ' || n, 'p' || n || '@example.com',
          'Firm ' || n % 997, ($4::text[])[1 + n % cardinality($4::text[])],
          ($5::text[])[1 + n % cardinality($5::text[])], 'region', $6,
          jsonb_build_object('city', 'New York', 'last_visit', '2026-03-' || lpad((1 + n % 28)::text, 2, '0'))
        from generate_series($2::integer, $2 + $3 - 1) as n
        """,
        *(_ORGANIZATION, first, size, [zone_key for zone_key, _ in _PLACES], [key for _, key in _PLACES]),
        # Without the version of the keys, the dialer would compute them again.
        KEYS_VERSION,
    )
    # An import stores 2,000 rows at a time, all due from the same moment on.
    await connection.execute(
        """
        insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, jurisdiction_key,
          next_attempt_at, variables)
        select uuidv7(), $1, $2, k.id, k.phone, k.zone_key, k.jurisdiction_key,
          now() - interval '1 hour' + (row_number() over (order by k.id) / 2000) * interval '100 ms', '{"visits": 2}'
        from contacts k
        where k.organization_id = $1 and not exists (select from campaign_contacts cc where cc.contact_id = k.id)
        order by k.id
        """,
        *(_ORGANIZATION, campaign),
    )
