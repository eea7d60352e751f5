// Tests of what is specific to JavaScript: signals, sessions, options, the client for the whole application.
//   CAMPAIGN_TRIGGERS=COMPILED.js node --test campaign_triggers.test.mjs
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const { CampaignTriggerError, campaignTriggers, configureCampaignTriggers, createCampaignTriggers } = await import(
  pathToFileURL(process.env.CAMPAIGN_TRIGGERS)
);
const url = "https://abc.supabase.co";
const never = () => new Promise(() => {});
const progress = {
  total: 1, finished: 0, live_calls: 0, contacts: { pending: 1 }, calls: {}, outcomes: {}, attempts: 0,
  cost_cents: 0.5, duration_ms: 0,
};
const started = { success: true, action: "start_campaign", campaign_id: "c", status: "active", changed: true, progress };

function respondWith(body = started, requests = []) {
  return async (...request) => {
    requests.push(request);
    return new Response(JSON.stringify(body), { status: 200 });
  };
}

async function rejected(promise, code) {
  const error = await promise.then(
    () => assert.fail("it was fulfilled"),
    (reason) => reason,
  );
  assert.ok(error instanceof CampaignTriggerError, String(error));
  assert.equal(error.code, code);
  assert.equal(error.status, null);
  return error;
}

test("a request carries the token, the key and the body, and nothing else", async () => {
  const requests = [];
  const triggers = createCampaignTriggers({ url: `${url}/`, token: "t", apikey: "k", fetch: respondWith(started, requests) });
  const result = await triggers.startCampaign("c");
  await triggers.processBatch("c");
  const [[address, init], [, batch]] = requests;
  assert.equal(address, `${url}/functions/v1/campaign-trigger`);
  assert.deepEqual([init.method, init.redirect], ["POST", "error"]);
  assert.deepEqual([init.headers.Authorization, init.headers.apikey], ["Bearer t", "k"]);
  assert.deepEqual(JSON.parse(init.body), { action: "start_campaign", campaign_id: "c" });
  assert.deepEqual(JSON.parse(batch.body), { action: "process_batch", campaign_id: "c" });
  assert.deepEqual([result.campaignId, result.progress.costCents, result.progress.liveCalls], ["c", 0.5, 0]);
});

test("getToken is called for each request", async () => {
  const requests = [];
  let asked = 0;
  const getToken = async () => `token${++asked}`;
  const triggers = createCampaignTriggers({ url, getToken, fetch: respondWith(started, requests) });
  await triggers.startCampaign("c");
  await triggers.startCampaign("c");
  assert.deepEqual(requests.map(([, init]) => init.headers.Authorization), ["Bearer token1", "Bearer token2"]);
});

test("a failing getToken is a CampaignTriggerError without the secret", async () => {
  const cause = new Error("s3cret");
  const failing = { url, getToken: () => Promise.reject(cause), fetch: respondWith() };
  const error = await rejected(createCampaignTriggers(failing).startCampaign("c"), "TOKEN_UNAVAILABLE");
  assert.equal(error.cause, cause);
  assert.doesNotMatch(error.message, /s3cret/);
  for (const token of ["", "s3cret\n", null, undefined]) {
    const triggers = createCampaignTriggers({ url, getToken: () => token, fetch: respondWith() });
    assert.doesNotMatch((await rejected(triggers.startCampaign("c"), "TOKEN_UNAVAILABLE")).message, /s3cret/);
  }
});

test("a signal ends a request before it and while it is under way, over both transports", async () => {
  const supabase = { functions: { invoke: never } };
  for (const options of [{ supabase }, { url, token: "t", fetch: never }]) {
    const triggers = createCampaignTriggers(options);
    const reason = new Error("the page was left");
    assert.equal((await rejected(triggers.startCampaign("c", { signal: AbortSignal.abort(reason) }), "ABORTED")).cause, reason);
    const controller = new AbortController();
    const pending = triggers.pauseCampaign("c", { signal: controller.signal });
    controller.abort();
    await rejected(pending, "ABORTED");
  }
});

test("a signal that is aborted beforehand sends nothing", async () => {
  const requests = [];
  const triggers = createCampaignTriggers({ url, token: "t", fetch: respondWith(started, requests) });
  await rejected(triggers.startCampaign("c", { signal: AbortSignal.abort() }), "ABORTED");
  assert.deepEqual(requests, []);
});

test("a timeout works with transports that ignore signals, and aborts fetch", async () => {
  let passed;
  const fetch = (_, { signal }) => ((passed = signal), never());
  const triggers = createCampaignTriggers({ url, token: "t", timeoutMs: 5, fetch });
  await rejected(triggers.startCampaign("c"), "TIMEOUT");
  assert.equal(passed.aborted, true);
  const supabase = { functions: { invoke: never } };
  await rejected(createCampaignTriggers({ supabase }).startCampaign("c", { timeoutMs: 5 }), "TIMEOUT");
});

test("without a limit a request takes as long as it likes", async () => {
  const triggers = createCampaignTriggers({ url, token: "t", timeoutMs: Infinity, fetch: respondWith() });
  assert.equal((await triggers.startCampaign("c")).status, "active");
  await rejected(triggers.startCampaign("c", { timeoutMs: Number.NaN }), "INVALID_REQUEST");
});

test("a size that JSON cannot say is refused here, for it would arrive as none", async () => {
  const requests = [];
  const triggers = createCampaignTriggers({ url, token: "t", fetch: respondWith(started, requests) });
  for (const size of [Number.NaN, Infinity]) await rejected(triggers.processBatch("c", size), "INVALID_REQUEST");
  assert.deepEqual(requests, []);
});

test("a transport that throws is an error of the network, whatever it throws", async () => {
  const throwing = () => {
    throw new TypeError("no network here");
  };
  for (const options of [{ supabase: { functions: { invoke: throwing } } }, { url, token: "t", fetch: throwing }]) {
    const error = await rejected(createCampaignTriggers(options).startCampaign("c"), "NETWORK_ERROR");
    assert.match(error.message, /no network here/);
  }
});

test("unusable options throw at once, without secrets", () => {
  const wrong = [
    [{ url: "abc.supabase.co", token: "t" }, /project's URL/],
    [{ url: "https://user:s3cret@abc.supabase.co", token: "t" }, /project's URL/],
    [{ url }, /Pass a token/],
    [{ url, token: "" }, /token is empty/],
    [{ url, token: "s3cret\n" }, /token is empty or contains/],
    [{ url, apikey: "s3crét" }, /apikey is empty or contains/],
    [{ supabase: {} }, /supabase-js client/],
  ];
  for (const [options, says] of wrong) {
    assert.throws(
      () => createCampaignTriggers(options),
      (error) => error instanceof TypeError && says.test(error.message) && !/s3cr/.test(error.message),
    );
  }
});

// The names that Next.js and Vite give to settings of the browser, and those of a server.
const environments = {
  "Next.js": [{ NEXT_PUBLIC_SUPABASE_URL: url, NEXT_PUBLIC_SUPABASE_ANON_KEY: "anon" }, {}, "anon"],
  "Next.js, new keys": [
    { NEXT_PUBLIC_SUPABASE_URL: url, NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY: "sb_publishable_k" }, {}, "sb_publishable_k",
  ],
  Vite: [{}, { VITE_SUPABASE_URL: url, VITE_SUPABASE_ANON_KEY: "anon" }, "anon"],
  "Vite, new keys": [{}, { VITE_SUPABASE_URL: url, VITE_SUPABASE_PUBLISHABLE_KEY: "sb_publishable_k" }, "sb_publishable_k"],
  "a server": [{ SUPABASE_URL: url, SUPABASE_ANON_KEY: "anon", SUPABASE_SERVICE_ROLE_KEY: "service" }, {}, "service"],
};

for (const [name, [node, vite, apikey]] of Object.entries(environments)) {
  test(`without configuration, campaignTriggers takes URL and key from the environment of ${name}`, async (t) => {
    const requests = [];
    Object.assign(process.env, node);
    // Vite's server writes such a line into each module that reads import.meta.env.
    const source = `import.meta.env = ${JSON.stringify(vite)};\n${await readFile(process.env.CAMPAIGN_TRIGGERS, "utf8")}`;
    const fetch = globalThis.fetch;
    t.after(() => {
      for (const setting of Object.keys(node)) delete process.env[setting];
      globalThis.fetch = fetch;
    });
    globalThis.fetch = respondWith(started, requests);
    const module = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);

    assert.equal((await module.campaignTriggers.startCampaign("c")).status, "active");

    const [[address, init]] = requests;
    assert.equal(address, `${url}/functions/v1/campaign-trigger`);
    assert.deepEqual([init.headers.apikey, init.headers.Authorization], [apikey, undefined]);
  });
}

test("in a browser, campaignTriggers acts as the user whose session supabase-js keeps", async (t) => {
  const requests = [];
  const { fetch } = globalThis;
  process.env.NEXT_PUBLIC_SUPABASE_URL = url;
  process.env.NEXT_PUBLIC_SUPABASE_ANON_KEY = "anon";
  const storage = { "sb-abc-auth-token": JSON.stringify({ access_token: "user" }) };
  globalThis.localStorage = { getItem: (name) => storage[name] ?? null };
  globalThis.fetch = respondWith(started, requests);
  t.after(() => {
    delete process.env.NEXT_PUBLIC_SUPABASE_URL;
    delete process.env.NEXT_PUBLIC_SUPABASE_ANON_KEY;
    delete globalThis.localStorage;
    globalThis.fetch = fetch;
  });

  await campaignTriggers.startCampaign("c");
  storage["sb-abc-auth-token"] = "not json";
  await campaignTriggers.startCampaign("c");

  assert.deepEqual(requests.map(([, init]) => init.headers.Authorization), ["Bearer user", undefined]);
});

test("an environment without a usable URL is NOT_CONFIGURED, and the error names the settings", async (t) => {
  process.env.SUPABASE_SERVICE_ROLE_KEY = "s3cret";
  t.after(() => {
    delete process.env.SUPABASE_SERVICE_ROLE_KEY;
    delete process.env.SUPABASE_URL;
  });
  assert.match((await rejected(campaignTriggers.startCampaign("c"), "NOT_CONFIGURED")).message, /NEXT_PUBLIC_SUPABASE_URL/);
  process.env.SUPABASE_URL = "abc.supabase.co";
  const { message } = await rejected(campaignTriggers.startCampaign("c"), "NOT_CONFIGURED");
  assert.match(message, /project's URL/);
  assert.doesNotMatch(message, /s3cret/);
});

test("campaignTriggers requires configuration, and then works", async () => {
  await rejected(campaignTriggers.startCampaign("c"), "NOT_CONFIGURED");
  const requests = [];
  configureCampaignTriggers({ url, token: "t", fetch: respondWith(started, requests) });
  const methods = ["startCampaign", "pauseCampaign", "resumeCampaign", "cancelCampaign", "processBatch"];
  for (const method of methods) await campaignTriggers[method]("c");
  assert.deepEqual(
    requests.map(([, init]) => JSON.parse(init.body).action),
    methods.map((method) => method.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
  );
  configureCampaignTriggers({ url, token: "t", fetch: respondWith({ success: true, action: "schedule_check", started: ["c"] }) });
  assert.deepEqual(await campaignTriggers.checkScheduledCampaigns(), { action: "schedule_check", started: ["c"] });
});
