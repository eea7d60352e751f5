"""Exports of results: one row per contact in three formats, imported again, and found by an erasure."""

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from python_calamine import CalamineWorkbook

from outdial.campaigns.importing.columns import find_columns
from outdial.campaigns.results.columns import CONTACT_COLUMNS, MOST_COLUMNS, RESULT_COLUMNS, result_columns
from outdial.clock import VirtualClock
from outdial.jobs import tables
from outdial.jobs.csv_cells import PlainPhone
from outdial.jobs.export_job import ExportJob
from outdial.jobs.tables import LONGEST_CELL, FileFormat, WorkbookTable, open_table
from outdial.jobs.worker import JobWorker
from tests.support.factories import (
    NOW,
    Campaign,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_tenant,
)
from tests.support.jobs import export_row, exported, store_export, working
from tests.support.postgres import Scratch

REACHED = "+12125550101"
PENDING = "+12125550102"


@pytest.fixture
async def worker(database: Scratch) -> AsyncIterator[JobWorker]:
    async with working(database) as found:
        yield found


@pytest.fixture
async def campaign(connection: asyncpg.Connection) -> Campaign:
    """Ann was reached on the second of three calls, Bob was not called, and Cleo was erased."""
    campaign = await create_campaign(connection, await create_tenant(connection))
    organization_id = campaign.tenant.organization_id
    ann = await create_contact(
        connection, organization_id, phone=REACHED, name="Ann", external_id="=1+1", country="US", region="NY"
    )
    variables = {"Account Tier": "gold", "country": "USA", "result_status": "mine", "due": -5}
    entry = await create_campaign_contact(
        connection,
        campaign,
        ann,
        status="completed",
        attempts=2,
        call_count=3,
        last_outcome="no_answer",
        callback_at=NOW + timedelta(days=1),
        variables=json.dumps(variables),
    )
    analysis = {
        "call_summary": "Wants a call\ntomorrow",
        "user_sentiment": "Positive",
        "call_successful": True,
        "custom_analysis_data": {"interest": 7, "callback_at": "tomorrow at 3pm", "tags": ["a", "b"]},
    }
    ended = {"status": "ended", "request_deadline": None, "next_check_at": None}
    await create_call(connection, entry, **ended, outcome="busy", cost_cents=1, duration_ms=0)
    await create_call(
        connection,
        entry,
        **ended,
        attempt_number=2,
        outcome="answered",
        cost_cents=12.5,
        duration_ms=61_000,
        transcript="Agent: Hello",
        recording_url="https://example.test/a.wav",
        analysis=json.dumps(analysis),
    )
    await create_call(
        connection,
        entry,
        **ended,
        attempt_number=3,
        outcome="no_answer",
        requested_at=NOW + timedelta(hours=1),
        duration_ms=0,
        analysis=json.dumps({"call_successful": False, "user_sentiment": "Unknown"}),
    )
    bob = await create_contact(connection, organization_id, phone=PENDING, name="Bob")
    await create_campaign_contact(connection, campaign, bob, variables='{"due": 3}')
    cleo = await create_contact(connection, organization_id, phone="+12125550103", name="Cleo")
    await create_campaign_contact(connection, campaign, cleo)
    await connection.execute("update contacts set erased_at = $1 where id = $2", NOW, cleo.id)
    return campaign


async def run_export(
    worker: JobWorker,
    connection: asyncpg.Connection,
    campaign: Campaign,
    file_format: FileFormat,
    include: tuple[str, ...] = (),
    **filters: str,
) -> bytes:
    export_id = await store_export(
        connection,
        campaign.tenant.organization_id,
        "results",
        json.dumps({"campaign_id": str(campaign.id), "time_zone": "America/New_York", **filters}),
        file_format=file_format,
        include=include,
    )
    await worker.run_once()
    row = await export_row(connection, export_id)
    assert row.status == "completed", row.error
    content = await connection.fetch(
        "select content from export_chunks where export_id = $1 and number < 1000000000 order by number", export_id
    )
    file = b"".join(each["content"] for each in content)
    assert row.size == len(file)
    return file


async def test_results_have_one_row_per_contact_with_its_last_call_and_its_last_conversation(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    await connection.execute(
        "insert into call_reviews (organization_id, call_id, reviewed_by, reviewed_at, note)"
        " select organization_id, id, 'ada@example.com', now(), 'polite' from calls where transcript is not null"
    )
    text = (await run_export(worker, connection, campaign, "csv")).decode("utf-8-sig")
    ann, bob = csv.DictReader(io.StringIO(text))

    assert list(ann) == [
        *CONTACT_COLUMNS,
        *RESULT_COLUMNS,
        "analysis.callback_at",
        "analysis.interest",
        "analysis.tags",
        "Account Tier",
        "due",
        "variable.result_status",
    ]
    assert ann == ann | {
        "phone": REACHED,
        "name": "Ann",
        "external_id": "'=1+1",
        "country": "USA",
        "region": "NY",
        "result_status": "completed",
        "result_attempts": "2",
        "result_calls": "3",
        "result_outcome": "no_answer",
        "result_last_call_at": "2026-03-10T14:00:00-04:00",
        "result_duration_ms": "0",
        "result_talk_ms": "61000",
        "result_cost_cents": "13.5000",
        "result_callback_at": "2026-03-11T13:00:00-04:00",
        "result_voicemail_left_at": "",
        "result_summary": "Wants a call\ntomorrow",
        "result_sentiment": "Positive",
        "result_success": "true",
        "result_reviewed_by": "ada@example.com",
        "result_review_note": "polite",
        "analysis.callback_at": "tomorrow at 3pm",
        "analysis.interest": "7",
        "analysis.tags": '["a","b"]',
        "Account Tier": "gold",
        "due": "-5",
        "variable.result_status": "mine",
    }
    assert (bob["phone"], bob["result_status"], bob["result_calls"], bob["due"]) == (PENDING, "pending", "0", "3")
    assert {name: bob[name] for name in bob if name.startswith("analysis.")} == dict.fromkeys(
        ("analysis.callback_at", "analysis.interest", "analysis.tags"), ""
    )


async def test_json_lines_keep_types_and_a_workbook_keeps_text(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    extras = ("transcript", "recording")
    lines = (await run_export(worker, connection, campaign, "jsonl", extras)).decode().splitlines()
    ann, bob = map(json.loads, lines)
    assert (ann["analysis.interest"], ann["analysis.tags"], ann["result_success"]) == (7, ["a", "b"], True)
    assert (ann["result_cost_cents"], ann["due"], ann["external_id"]) == (13.5, -5, "=1+1")
    assert (ann["result_transcript"], ann["result_recording_url"]) == ("Agent: Hello", "https://example.test/a.wav")
    assert bob["result_summary"] is None

    book = await run_export(worker, connection, campaign, "xlsx", extras)
    header, *rows = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_index(0).to_python()
    assert list(header) == list(ann)
    first = dict(zip(header, rows[0], strict=True))
    assert (first["phone"], first["external_id"], first["due"]) == (REACHED, "=1+1", -5)
    assert (first["result_success"], first["result_last_call_at"]) == (True, "2026-03-10T14:00:00-04:00")
    assert (len(rows), first["result_summary"]) == (2, "Wants a call\ntomorrow")


async def test_a_variable_with_the_name_of_a_phone_column_is_no_phone(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    variables = '{"from_number": "=HYPERLINK(1)", "country": "=1+1"}'
    await connection.execute("update campaign_contacts set variables = $1 where phone = $2", variables, REACHED)

    text = (await run_export(worker, connection, campaign, "csv")).decode("utf-8-sig")
    ann, bob = csv.DictReader(io.StringIO(text))
    assert (ann["phone"], ann["from_number"], ann["country"]) == (REACHED, "'=HYPERLINK(1)", "'=1+1")
    assert (bob["phone"], bob["from_number"]) == (PENDING, "")
    _, second = (await run_export(worker, connection, campaign, "jsonl")).splitlines()
    assert json.loads(second)["from_number"] is None


@pytest.mark.parametrize(
    ("filters", "phones"),
    [
        ({"status": "completed"}, [REACHED]),
        ({"outcome": "no_answer"}, [REACHED]),
        ({"outcome": "busy"}, []),
        ({"search": "aN"}, [REACHED]),
        ({"search": "212 555"}, [REACHED, PENDING]),
        ({"search": "%"}, []),
        ({"phone": "1212555"}, [REACHED, PENDING]),
        ({"phone_ends": "02"}, [PENDING]),
        ({"name": "BO"}, [PENDING]),
        ({"external_id": "=1+1"}, [REACHED]),
        ({"name": "Ann", "status": "pending"}, []),
    ],
)
async def test_results_take_the_filters_of_the_list(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign, filters: dict[str, str], phones: list[str]
) -> None:
    lines = (await run_export(worker, connection, campaign, "jsonl", **filters)).splitlines()
    assert [json.loads(line)["phone"] for line in lines] == phones


def test_an_import_leaves_the_results_out_and_keeps_the_variables() -> None:
    columns = result_columns(
        ["interest", "Rate"],
        ["Account Tier", "account_tier", "phone", "due", "country", " "],
        with_transcript=True,
        with_recording=True,
    )
    found = find_columns(columns.header)

    assert [name for name, _ in found.variables] == ["country", "region", "postal_code", "Account Tier", "due"]
    assert set(CONTACT_COLUMNS) <= set(found.fields)
    assert "result_summary" in dict(find_columns(["phone", "result_summary"]).variables), "not a file of results"


async def test_more_variables_than_a_file_has_columns_fail_the_export_with_the_reason(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    many = json.dumps({f"v{number}": 1 for number in range(MOST_COLUMNS)})
    await connection.execute("update campaign_contacts set variables = $1 where phone = $2", many, PENDING)
    export_id = await store_export(
        connection, campaign.tenant.organization_id, "results", json.dumps({"campaign_id": str(campaign.id)})
    )
    await worker.run_once()
    row = await export_row(connection, export_id)
    assert row.status == "failed"
    assert row.error is not None
    assert row.error.startswith("The campaign has 3 analysis fields and 10,00"), row.error
    assert row.error.endswith("a file has at most 10,000 columns")


async def test_an_xlsx_file_is_found_by_the_phones_in_it(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    await run_export(worker, connection, campaign, "xlsx")
    found = "select count(*) from export_chunks where position(convert_to($1, 'UTF8') in content) > 0"
    assert await connection.fetchval(found, REACHED) == 1
    assert await connection.fetchval(found, "+12125550999") == 0


async def test_a_run_of_an_xlsx_export_that_is_stopped_leaves_no_temporary_file(
    worker: JobWorker,
    connection: asyncpg.Connection,
    campaign: Campaign,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned = tmp_path / "outdial-export-of-a-killed-process"
    abandoned.mkdir()
    organization_id = campaign.tenant.organization_id
    export_id = await store_export(
        connection, organization_id, "results", json.dumps({"campaign_id": str(campaign.id)}), file_format="xlsx"
    )
    worker._stopping.set()
    await ExportJob(worker._database, VirtualClock(NOW), worker._stopping, chunk_size=1).run(export_id, organization_id)

    assert (await export_row(connection, export_id)).status == "running", "another worker continues it"
    assert os.listdir(tmp_path) == []


async def test_no_transaction_is_open_while_a_workbook_is_finished(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, loop = WorkbookTable.finish, asyncio.get_running_loop()
    query = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
    found: list[int] = []

    def finishing(table: WorkbookTable) -> None:
        found.append(asyncio.run_coroutine_threadsafe(connection.fetchval(query), loop).result())
        finish(table)

    monkeypatch.setattr(WorkbookTable, "finish", finishing)
    await run_export(worker, connection, campaign, "xlsx")
    assert found == [0], "the database ends a transaction that is idle for long"


async def test_every_kind_of_export_has_every_format(
    worker: JobWorker, connection: asyncpg.Connection, campaign: Campaign
) -> None:
    organization_id = campaign.tenant.organization_id
    for kind in ("contacts", "calls", "do_not_call"):
        export_id = await store_export(connection, organization_id, kind, file_format="jsonl")
        await worker.run_once()
        rows = [json.loads(line) for line in (await exported(connection, export_id)).splitlines()]
        assert len(rows) == (await export_row(connection, export_id)).rows
        assert all(row["phone"].startswith("+") for row in rows), rows


def test_a_workbook_never_runs_text_and_continues_on_another_sheet(tmp_path: Path) -> None:
    table = WorkbookTable(["phone", "text", "number"], tmp_path, sheet_rows=3)
    cells: list[Any] = ["=1+1", "https://example.test", "12", "x" * (LONGEST_CELL + 1), "\x07bell"]
    for cell in cells:
        table.add([PlainPhone("+12125550100"), cell, 2**60])
    assert table.take() == b"+12125550100\n" * 5
    table.finish()
    (tmp_path / "copy.xlsx").write_bytes(b"".join(table.pieces()))

    book = CalamineWorkbook.from_path(tmp_path / "copy.xlsx")
    sheets = [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]
    assert [len(rows) for rows in sheets] == [3, 3, 2]
    assert all(rows[0] == ["phone", "text", "number"] for rows in sheets)
    written = [row[1] for rows in sheets for row in rows[1:]]
    assert written[:3] == cells[:3]
    assert (len(str(written[3])), str(written[3])[-6:]) == (LONGEST_CELL, " [cut]")
    assert sheets[0][1][2] == str(2**60), "a double would change it"


def test_a_directory_in_use_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_table("xlsx", ["phone"]) as table:
        tables.delete_abandoned()
        assert len(os.listdir(tmp_path)) == 1
        table.finish()
        assert b"".join(table.pieces())[:2] == b"PK"
    assert os.listdir(tmp_path) == []
