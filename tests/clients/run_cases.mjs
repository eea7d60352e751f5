// Runs each attempt with the compiled campaign-triggers and prints the results with Python's names.
//   node run_cases.mjs COMPILED.js fetch|supabase < [[attempt, ...], ...]
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { createClient } from "@supabase/supabase-js";

const [compiled, transport] = process.argv.slice(2);
const { createCampaignTriggers, CampaignTriggerError } = await import(pathToFileURL(compiled));

function triggersOf({ url, apikey, token, timeout_ms: timeoutMs }) {
  if (transport === "fetch") return createCampaignTriggers({ url, apikey, token: token ?? undefined, timeoutMs });
  const realtime = { transport: class {} }; // Node 20 has no WebSocket, and this script needs none
  const accessToken = token === null ? undefined : async () => token;
  return createCampaignTriggers({ supabase: createClient(url, apikey, { realtime, accessToken }), timeoutMs });
}

// Methods with more arguments than the campaign's id.
const METHODS = {
  cancel_campaign: (triggers, of) => triggers.cancelCampaign(of.campaign_id, { hangUp: of.hang_up }),
  add_contacts: (triggers, of) =>
    triggers.addContacts(of.campaign_id, of.contacts, { defaultRegion: of.default_region }),
  process_batch: (triggers, of) => triggers.processBatch(of.campaign_id, of.size),
  check_scheduled_campaigns: (triggers, of) => triggers.checkScheduledCampaigns(of.organization_id),
};

function callMethod(name, triggers, of) {
  const camelCase = name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  return METHODS[name] ? METHODS[name](triggers, of) : triggers[camelCase](of.campaign_id);
}

function withPythonNames({ campaignId: campaign_id, progress, ...rest }) {
  if (rest.alreadyThere !== undefined) {
    const { alreadyThere: already_there, results, ...counts } = rest;
    return { ...counts, campaign_id, already_there, results: results.map(({ status, kind }) => ({ status, kind })) };
  }
  if (progress === undefined) return rest;
  const { liveCalls: live_calls, costCents: cost_cents, durationMs: duration_ms, ...counts } = progress;
  return { ...rest, campaign_id, progress: { ...counts, live_calls, cost_cents, duration_ms } };
}

async function runAttempt(attempt) {
  try {
    return { result: withPythonNames(await callMethod(attempt.method, triggersOf(attempt), attempt.arguments)) };
  } catch (error) {
    if (!(error instanceof CampaignTriggerError)) throw error;
    const { status, code, message, details } = error;
    return { error: { status, code, message, details } };
  }
}

const all = [];
for (const attempts of JSON.parse(readFileSync(0, "utf8"))) {
  const one = [];
  for (const attempt of attempts) one.push(await runAttempt(attempt));
  all.push(one);
}
console.log(JSON.stringify(all));
