// Drives the studio through the types that openapi-typescript generates; prints what it saw as JSON.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const [url, token, reviewed] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${token}` } });

function ok<Data>(result: { data?: Data; error?: unknown; response: Response }): Data {
  if (!result.response.ok) throw new Error(`${result.response.status} ${JSON.stringify(result.error)}`);
  return result.data as Data;
}

const me = ok(await client.GET("/api/v1/me"));
const path = { organization_id: me.organizations[0]!.id };
const campaign = ok(
  await client.POST("/api/v1/organizations/{organization_id}/campaigns", {
    params: { path },
    body: {
      name: "Spring",
      retell_agent_id: "agent_1",
      from_number: "+12125550100",
      calling_hours: { weekdays: [["09:00", "17:00"]], excluded_dates: ["2026-12-25"] },
      retry_policy: { busy: { delays: ["10m"], max_attempts: 2 } },
    },
  }),
);
const copy = ok(
  await client.POST("/api/v1/organizations/{organization_id}/campaigns/{campaign_id}/duplicate", {
    params: { path: { ...path, campaign_id: campaign.id } },
    body: {},
  }),
);
const job = ok(
  await client.POST("/api/v1/organizations/{organization_id}/imports", {
    params: { path },
    body: { campaign_id: copy.id, file_name: "people.csv" },
  }),
);
const file = new Blob(["phone\n+12127009901\nbad\n"]);
const uploaded = ok(
  await client.PUT("/api/v1/organizations/{organization_id}/imports/{import_id}/file", {
    params: { path: { ...path, import_id: job.id } },
    body: { file: file as unknown as string },
    bodySerializer: (body) => {
      const form = new FormData();
      form.set("file", (body as { file: unknown }).file as Blob, "people.csv");
      return form;
    },
  }),
);
const preview = ok(
  await client.POST("/api/v1/organizations/{organization_id}/imports/{import_id}/preview", {
    params: { path: { ...path, import_id: job.id } },
  }),
);
const [campaign_id, campaign_contact_id] = reviewed!.split("/") as [string, string];
const decided = ok(
  await client.POST(
    "/api/v1/organizations/{organization_id}/campaigns/{campaign_id}/contacts/{campaign_contact_id}/decision",
    { params: { path: { ...path, campaign_id, campaign_contact_id } }, body: { decision: "completed", note: "reached" } },
  ),
);
const removed = await client.DELETE("/api/v1/organizations/{organization_id}/campaigns/{campaign_id}", {
  params: { path: { ...path, campaign_id: copy.id } },
});
const missing = await client.GET("/api/v1/organizations/{organization_id}/campaigns/{campaign_id}", {
  params: { path: { ...path, campaign_id: copy.id } },
});
const hours: string | undefined = campaign.calling_hours.weekdays?.[0]?.[0];

console.log(
  JSON.stringify({
    kind: me.kind,
    opens: hours,
    attempts: campaign.retry_policy.busy?.max_attempts,
    copy: copy.name,
    uploaded: uploaded.status,
    good_rows: preview.good_rows,
    refused: preview.refused.map((row) => row.line),
    decided: [decided.contact.status, decided.decided?.note],
    removed: removed.response.status,
    missing: missing.error?.code,
  }),
);
