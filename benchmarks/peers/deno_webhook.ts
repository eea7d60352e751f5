// The retell-webhook function as a careful author of Supabase Edge Functions would write it: one transaction per event,
// prepared statements, and independent statements pipelined, so that an event takes four round trips.
import postgres from "postgres";

const KEYS = await Promise.all(
  Deno.env.get("RETELL_WEBHOOK_SECRET")!.split(",").map((secret) =>
    crypto.subtle.importKey("raw", new TextEncoder().encode(secret.trim()), { name: "HMAC", hash: "SHA-256" }, false, [
      "verify",
    ])
  ),
);
const TOLERANCE_MS = 300_000;
const SIGNATURE = /^v=([0-9]{1,16}),d=([0-9a-f]{64})$/;

const sql = postgres({
  host: Deno.env.get("PGHOST"),
  port: Number(Deno.env.get("PGPORT")),
  database: Deno.env.get("PGDATABASE"),
  username: "outdial_webhook",
  max: Number(Deno.env.get("POOL_SIZE") ?? 16),
  prepare: true,
  onnotice: () => {},
});

const PROGRESS: Record<string, number> = { placing: 0, unknown: 0, placed: 1, ongoing: 2, ended: 3 };
const REACHED: Record<string, string> = { call_started: "ongoing", call_ended: "ended", call_analyzed: "ended" };
const OUTCOMES: Record<string, { outcome: string; contact: string }> = {
  user_hangup: { outcome: "answered", contact: "completed" },
  agent_hangup: { outcome: "answered", contact: "completed" },
  inactivity: { outcome: "answered", contact: "completed" },
  max_duration_reached: { outcome: "answered", contact: "completed" },
  voicemail_reached: { outcome: "voicemail", contact: "retry" },
  dial_no_answer: { outcome: "no_answer", contact: "retry" },
  dial_busy: { outcome: "busy", contact: "retry" },
  invalid_destination: { outcome: "invalid_number", contact: "failed" },
};
const RETRY_MS: Record<string, number> = { voicemail: 4 * 3_600_000, no_answer: 1_800_000, busy: 600_000 };

// deno-lint-ignore no-explicit-any
type Call = Record<string, any>;

async function isSigned(body: Uint8Array<ArrayBuffer>, header: string | null): Promise<boolean> {
  const match = SIGNATURE.exec(header ?? "");
  if (!match || Math.abs(Date.now() - Number(match[1])) > TOLERANCE_MS) return false;
  const timestamp = new TextEncoder().encode(String(Number(match[1])));
  const message = new Uint8Array(body.length + timestamp.length);
  message.set(body);
  message.set(timestamp, body.length);
  const digest = Uint8Array.from(match[2].match(/../g)!, (pair) => parseInt(pair, 16));
  for (const key of KEYS) {
    if (await crypto.subtle.verify("HMAC", key, digest, message)) return true;
  }
  return false;
}

function moment(milliseconds: number | undefined): Date | null {
  return milliseconds === undefined ? null : new Date(milliseconds);
}

async function handle(event: string, call: Call, body: Uint8Array<ArrayBuffer>): Promise<void> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  const now = new Date();
  await sql.begin(async (tx) => {
    // The call is locked first: its foreign key would let two events of one call wait for each other.
    const [[row], stored] = await Promise.all([
      tx`
        select c.id, c.status, c.outcome, c.campaign_id, c.campaign_contact_id, cc.status as contact_status,
          cc.attempts, m.max_attempts
        from calls c
        join campaign_contacts cc on cc.id = c.campaign_contact_id
        join campaigns m on m.id = c.campaign_id
        where c.retell_call_id = ${call.call_id}
          or c.retell_call_id is null and c.id = ${call.metadata?.call_id ?? null}::uuid
        for update of c, cc`,
      tx`
        insert into webhook_events (source, credential, retell_call_id, event, body, body_sha256, status, received_at,
          applied_at, next_try_at, organization_id, call_id)
        select 'webhook', 'default', ${call.call_id}, ${event}, ${body}, ${hash},
          case when c.id is null then 'unmatched' else 'applied' end, ${now},
          case when c.id is null then null else ${now}::timestamptz end, ${now}, c.organization_id, c.id
        from (select) as one
        left join calls c on c.retell_call_id = ${call.call_id}
          or c.retell_call_id is null and c.id = ${call.metadata?.call_id ?? null}::uuid
        on conflict (retell_call_id, event, body_sha256, credential) do nothing
        returning id`,
    ]);
    if (stored.length === 0 || !row || !(event in REACHED)) return;
    await Promise.all(changes(tx, row, event, call, now));
  });
}

function changes(tx: postgres.TransactionSql, row: Call, event: string, call: Call, now: Date) {
  const target = REACHED[event];
  const status = PROGRESS[target] > (PROGRESS[row.status] ?? 3) ? target : row.status;
  const known = status === "ended" ? OUTCOMES[call.disconnection_reason] : undefined;
  const analysis = call.call_analysis ? tx.json(call.call_analysis) : null;
  const done = status === "ended" && analysis !== null;
  const statements = [tx`
    update calls
    set status = ${status}, retell_call_id = coalesce(retell_call_id, ${call.call_id}),
      outcome = coalesce(outcome, ${known?.outcome ?? null}),
      disconnection_reason = coalesce(${call.disconnection_reason ?? null}, disconnection_reason),
      started_at = coalesce(${moment(call.start_timestamp)}, started_at),
      ended_at = coalesce(${moment(call.end_timestamp)}, ended_at),
      duration_ms = coalesce(${call.duration_ms ?? null}, duration_ms),
      cost_cents = coalesce(${call.call_cost?.combined_cost ?? null}, cost_cents),
      transcript = coalesce(${call.transcript ?? null}, transcript),
      recording_url = coalesce(${call.recording_url ?? null}, recording_url),
      public_log_url = coalesce(${call.public_log_url ?? null}, public_log_url),
      analysis = coalesce(${analysis}, analysis),
      next_check_at = ${done ? null : new Date(now.getTime() + 60_000)}, checks = 0,
      placed_at = coalesce(placed_at, ${now}), updated_at = ${now}
    where id = ${row.id}`];
  if (known && row.outcome === null && ["calling", "pending", "review"].includes(row.contact_status)) {
    const attempts = row.attempts + 1;
    const again = known.contact === "retry" && attempts < row.max_attempts;
    const contact = again ? "pending" : known.contact === "retry" ? "failed" : known.contact;
    const nextAttemptAt = again ? new Date(now.getTime() + RETRY_MS[known.outcome] * (1 + Math.random() / 10)) : null;
    statements.push(
      tx`
        update campaign_contacts
        set status = ${contact}, attempts = ${attempts}, faults = 0, last_outcome = ${known.outcome},
          next_attempt_at = coalesce(${nextAttemptAt}, next_attempt_at), updated_at = ${now}
        where id = ${row.campaign_contact_id}`,
      tx`
        update campaigns set next_batch_at = ${now}
        where id = ${row.campaign_id} and status in ('active', 'pausing', 'cancelling') and next_batch_at > ${now}`,
    );
  }
  return statements;
}

async function serve(request: Request): Promise<Response> {
  if (request.method !== "POST") return Response.json({ error: "Method not allowed" }, { status: 405 });
  const body = new Uint8Array(await request.arrayBuffer());
  if (!(await isSigned(body, request.headers.get("x-retell-signature")))) {
    return Response.json({ error: "Invalid signature" }, { status: 401 });
  }
  try {
    const { event, call } = JSON.parse(new TextDecoder().decode(body));
    await handle(event, call, body);
    return Response.json({ success: true, event });
  } catch (error) {
    console.error(error);
    return Response.json({ error: "Internal server error" }, { status: 500 });
  }
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`http://127.0.0.1:${port}`),
}, serve);
