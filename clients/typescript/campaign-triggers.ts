// A client for campaign-trigger, the function of Outdial that runs campaigns.
// One file without dependencies: copy it into a project, or build it as a package.
// SPDX-License-Identifier: MIT

/** Status of a campaign. A newer server may have more statuses than this file. */
export type CampaignStatus =
  | "draft"
  | "scheduled"
  | "active"
  | "pausing"
  | "paused"
  | "completed"
  | "cancelling"
  | "cancelled"
  | (string & {});

/** Counts of a campaign at the time of the response. */
export interface Progress {
  total: number;
  finished: number;
  liveCalls: number;
  /** Contacts by status. */
  contacts: Record<string, number>;
  /** Calls by status. */
  calls: Record<string, number>;
  /** Calls by outcome. */
  outcomes: Record<string, number>;
  attempts: number;
  costCents: number;
  durationMs: number;
}

/** Status of the campaign after the action; `changed` is false if the campaign already had it. */
export interface CampaignResult {
  action: string;
  campaignId: string;
  status: CampaignStatus;
  changed: boolean;
  progress: Progress;
}

/** A contact to add. Agent variables are texts, numbers and booleans; `not_before` is a time with a zone. */
export interface NewContact {
  phone: string;
  variables?: Record<string, string | number | boolean>;
  not_before?: string;
  /** 1 to 9; 9 goes first. */
  priority?: number;
  /** Other fields of a contact, such as name and email. */
  [field: string]: unknown;
}

/** What became of one contact; a refused one has a kind and a reason. */
export interface ContactAddition {
  status: "added" | "already_there" | "refused" | (string & {});
  campaignContactId: string | null;
  contactStatus: string | null;
  kind: string | null;
  reason: string | null;
}

/** How many contacts were added, and a result for each, in the order of the request. */
export interface ContactsResult {
  action: string;
  campaignId: string;
  added: number;
  alreadyThere: number;
  refused: number;
  results: ContactAddition[];
}

/** Ids of the campaigns that were due and are now started. */
export interface ScheduleResult {
  action: string;
  started: string[];
}

/** Options of one request: a signal that aborts it, and its timeout (Infinity for none). */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface AddOptions extends CallOptions {
  /** Country of numbers without a country code, such as US. */
  defaultRegion?: string | undefined;
}

export interface CancelOptions extends CallOptions {
  /** Also end live calls. */
  hangUp?: boolean | undefined;
}

/** Every method rejects with CampaignTriggerError only. Repeating an action is safe. */
export interface CampaignTriggers {
  /** Start a draft or a scheduled campaign; a draft whose time has not come becomes scheduled. */
  startCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Pause an active campaign: it reads pausing while requests are in flight, then paused. */
  pauseCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Resume a paused campaign. */
  resumeCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Cancel a campaign permanently. */
  cancelCampaign(campaignId: string, options?: CancelOptions): Promise<CampaignResult>;
  /** Let an open campaign complete once its contacts are finished. */
  closeCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Add 1 to 1,000 contacts to a campaign. A refused contact does not stop the others, and none is added twice. */
  addContacts(campaignId: string, contacts: readonly NewContact[], options?: AddOptions): Promise<ContactsResult>;
  /** Make an active campaign due now; `size` (1 to 1,000) sets the number of calls in its next batch. */
  processBatch(campaignId: string, size?: number, options?: CallOptions): Promise<CampaignResult>;
  /** Start the scheduled campaigns that are due: in one organization, or in all where the caller may. */
  checkScheduledCampaigns(organizationId?: string, options?: CallOptions): Promise<ScheduleResult>;
}

/** The part of a supabase-js client that this file uses. */
export interface SupabaseClientLike {
  functions: {
    invoke(
      name: string,
      options: { body: Record<string, unknown>; signal: AbortSignal },
    ): Promise<{ data: unknown; error: unknown }>;
  };
}

/** Send requests through a supabase-js client, as its signed-in user. */
export interface SupabaseOptions {
  supabase: SupabaseClientLike;
  /** Timeout of a request; 30 seconds by default. */
  timeoutMs?: number | undefined;
}

/** Send requests with fetch. A back end passes a secret key of the project as `apikey`, and no token. */
export interface FetchOptions {
  /** URL of the project, such as https://abc.supabase.co */
  url: string;
  /** A user's access token. */
  token?: string | undefined;
  /** Returns the access token for each request, if it changes. */
  getToken?: (() => string | Promise<string>) | undefined;
  apikey?: string | undefined;
  /** Replaces the global fetch. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Timeout of a request; 30 seconds by default. */
  timeoutMs?: number | undefined;
}

/**
 * The request failed, or its outcome is unknown.
 *
 * `status` is the HTTP status, null without a response. `code` is the server's, or one of this file's: NETWORK_ERROR,
 * TIMEOUT, ABORTED, INVALID_RESPONSE, TOKEN_UNAVAILABLE, INVALID_REQUEST, NOT_CONFIGURED, HTTP_<status>. `details`
 * are the other fields of the response, and `retry_after` in seconds if the server sent one. After NETWORK_ERROR,
 * TIMEOUT and ABORTED, the action may have happened.
 */
export class CampaignTriggerError extends Error {
  readonly status: number | null;
  readonly code: string;
  readonly details: Record<string, unknown>;

  constructor(
    message: string,
    fields: { code: string; status?: number | null; details?: Record<string, unknown>; cause?: unknown },
  ) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = "CampaignTriggerError";
    this.status = fields.status ?? null;
    this.code = fields.code;
    this.details = fields.details ?? {};
  }
}

/** Create a client over supabase-js or fetch. Throws TypeError for unusable options. */
export function createCampaignTriggers(options: SupabaseOptions | FetchOptions): CampaignTriggers {
  const send = "supabase" in options ? overSupabase(options.supabase) : overFetch(options);
  const defaultTimeoutMs = options.timeoutMs ?? 30_000;

  async function request<R>(body: RequestBody, read: (body: unknown) => R | undefined, call: CallOptions = {}): Promise<R> {
    const response = await bounded((signal) => send(body, signal), call.signal, call.timeoutMs ?? defaultTimeoutMs);
    const result = read(response);
    if (result === undefined) throw invalidResponse(200);
    return result;
  }
  const campaignAction = (action: string, campaign_id: string, call?: CallOptions, fields: object = {}) =>
    request({ action, campaign_id, ...fields }, readCampaign, call);

  return {
    startCampaign: (id, call) => campaignAction("start_campaign", id, call),
    pauseCampaign: (id, call) => campaignAction("pause_campaign", id, call),
    resumeCampaign: (id, call) => campaignAction("resume_campaign", id, call),
    cancelCampaign: (id, call) => campaignAction("cancel_campaign", id, call, { hang_up: call?.hangUp ?? false }),
    closeCampaign: (id, call) => campaignAction("close_campaign", id, call),
    addContacts: (campaign_id, contacts, call) =>
      request(
        { action: "add_contacts", campaign_id, contacts, default_region: call?.defaultRegion },
        readContacts,
        call,
      ),
    processBatch: async (id, size, call) => {
      // JSON has no such numbers: they would arrive as null, which means the campaign's own batch size.
      if (size !== undefined && !Number.isFinite(size)) {
        throw invalid(`The size of a batch must be from 1 to 1000, not ${size}`);
      }
      return campaignAction("process_batch", id, call, { batch_size: size });
    },
    checkScheduledCampaigns: (organization_id, call) =>
      request({ action: "schedule_check", organization_id }, readSchedule, call),
  };
}

let configured: CampaignTriggers | undefined;

/** Configure `campaignTriggers`. Call it once, when the application starts. */
export function configureCampaignTriggers(options: SupabaseOptions | FetchOptions): CampaignTriggers {
  configured = createCampaignTriggers(options);
  return configured;
}

/**
 * A client for the whole application, configured by `configureCampaignTriggers` or else by the environment.
 *
 * From the environment it takes NEXT_PUBLIC_SUPABASE_URL and NEXT_PUBLIC_SUPABASE_ANON_KEY (or _PUBLISHABLE_KEY), the
 * same names with VITE_, or SUPABASE_URL and SUPABASE_ANON_KEY. In a browser it acts as the user whose session
 * supabase-js keeps in localStorage. On a server with SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY it acts with
 * that key, which has access to every organization: check the permissions of your users first.
 */
export const campaignTriggers: CampaignTriggers = {
  startCampaign: async (...args) => current().startCampaign(...args),
  pauseCampaign: async (...args) => current().pauseCampaign(...args),
  resumeCampaign: async (...args) => current().resumeCampaign(...args),
  cancelCampaign: async (...args) => current().cancelCampaign(...args),
  closeCampaign: async (...args) => current().closeCampaign(...args),
  addContacts: async (...args) => current().addContacts(...args),
  processBatch: async (...args) => current().processBatch(...args),
  checkScheduledCampaigns: async (...args) => current().checkScheduledCampaigns(...args),
};

function current(): CampaignTriggers {
  if (configured !== undefined) return configured;
  // Next.js and Vite replace these expressions when they build, so each name is written in full.
  const url = firstOf([
    () => process.env.NEXT_PUBLIC_SUPABASE_URL,
    () => (import.meta as ViteMeta).env?.VITE_SUPABASE_URL,
    () => process.env.SUPABASE_URL,
  ]);
  const secretKey = firstOf([() => process.env.SUPABASE_SECRET_KEY, () => process.env.SUPABASE_SERVICE_ROLE_KEY]);
  const publicKey = firstOf([
    () => process.env.NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY,
    () => process.env.NEXT_PUBLIC_SUPABASE_PUBLISHABLE_DEFAULT_KEY,
    () => process.env.NEXT_PUBLIC_SUPABASE_ANON_KEY,
    () => (import.meta as ViteMeta).env?.VITE_SUPABASE_PUBLISHABLE_KEY,
    () => (import.meta as ViteMeta).env?.VITE_SUPABASE_PUBLISHABLE_DEFAULT_KEY,
    () => (import.meta as ViteMeta).env?.VITE_SUPABASE_ANON_KEY,
    () => process.env.SUPABASE_PUBLISHABLE_KEY,
    () => process.env.SUPABASE_ANON_KEY,
  ]);
  const apikey = secretKey ?? publicKey;
  if (url === undefined || apikey === undefined) {
    throw notConfigured(
      "Set NEXT_PUBLIC_SUPABASE_URL and NEXT_PUBLIC_SUPABASE_ANON_KEY (VITE_... with Vite), " +
        "or call configureCampaignTriggers({ supabase }) before using campaignTriggers",
    );
  }
  try {
    return createCampaignTriggers({ url, apikey, token: secretKey === undefined ? storedToken(url) : undefined });
  } catch (cause) {
    throw notConfigured(`The environment does not configure campaignTriggers: ${(cause as TypeError).message}`, cause);
  }
}

function firstOf(settings: readonly (() => string | undefined)[]): string | undefined {
  for (const read of settings) {
    try {
      const value = read()?.trim();
      if (value) return value;
    } catch {
      // Browsers have no `process`.
    }
  }
  return undefined;
}

/** The access token of the session that supabase-js keeps in localStorage, if there is one. */
function storedToken(url: string): string | undefined {
  try {
    const key = `sb-${new URL(url).hostname.split(".")[0]}-auth-token`;
    const session: unknown = JSON.parse(globalThis.localStorage.getItem(key) ?? "null");
    const token = isRecord(session) ? session["access_token"] : undefined;
    return typeof token === "string" && SENDABLE.test(token) ? token : undefined;
  } catch {
    return undefined;
  }
}

function notConfigured(message: string, cause?: unknown): CampaignTriggerError {
  return new CampaignTriggerError(message, { code: "NOT_CONFIGURED", cause });
}

/** What Vite puts into `import.meta`. */
interface ViteMeta {
  env?: Partial<
    Record<
      | "VITE_SUPABASE_URL"
      | "VITE_SUPABASE_PUBLISHABLE_KEY"
      | "VITE_SUPABASE_PUBLISHABLE_DEFAULT_KEY"
      | "VITE_SUPABASE_ANON_KEY",
      string
    >
  >;
}

/** The part of Node's `process` that this file uses. */
declare const process: {
  env: Partial<
    Record<
      | "NEXT_PUBLIC_SUPABASE_URL"
      | "NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY"
      | "NEXT_PUBLIC_SUPABASE_PUBLISHABLE_DEFAULT_KEY"
      | "NEXT_PUBLIC_SUPABASE_ANON_KEY"
      | "SUPABASE_URL"
      | "SUPABASE_SECRET_KEY"
      | "SUPABASE_SERVICE_ROLE_KEY"
      | "SUPABASE_PUBLISHABLE_KEY"
      | "SUPABASE_ANON_KEY",
      string
    >
  >;
};

type RequestBody = Record<string, unknown>;

/** Sends a request body and returns the parsed response; throws CampaignTriggerError otherwise. */
type Send = (body: RequestBody, signal: AbortSignal) => Promise<unknown>;

const SLUG = "campaign-trigger";
// Keys and tokens are printable ASCII without spaces. For other values, fetch would print the secret in its error.
const SENDABLE = /^[\x21-\x7e]+$/;

function overSupabase(supabase: SupabaseClientLike): Send {
  if (typeof supabase?.functions?.invoke !== "function") {
    throw new TypeError("supabase must be a supabase-js client: createClient(url, key)");
  }
  return async (body, signal) => {
    const { data, error } = await orNetworkError(() => supabase.functions.invoke(SLUG, { body, signal }));
    if (error === null || error === undefined) return data;
    // supabase-js keeps an error response in `context`, with its body unread.
    const context: unknown = isRecord(error) ? error["context"] : undefined;
    if (isResponse(context)) throw await errorFrom(context);
    if (error instanceof SyntaxError) throw invalidResponse(200, error);
    throw networkError(context ?? error);
  };
}

function overFetch(options: FetchOptions): Send {
  const { token, getToken, apikey } = options;
  const url = functionUrl(options.url);
  if (token === undefined && getToken === undefined && apikey === undefined) {
    throw new TypeError("Pass a token or getToken (a user's access token), or an apikey (a secret key of the project)");
  }
  for (const [name, value] of Object.entries({ token, apikey })) {
    if (value !== undefined && !SENDABLE.test(value)) {
      throw new TypeError(`${name} is empty or contains a character that cannot be sent in a header`);
    }
  }
  return async (body, signal) => {
    const bearer = getToken === undefined ? token : await currentToken(getToken);
    const headers: Record<string, string> = { "Content-Type": "application/json", Accept: "application/json" };
    if (apikey !== undefined) headers["apikey"] = apikey;
    if (bearer !== undefined) headers["Authorization"] = `Bearer ${bearer}`;
    const fetch = options.fetch ?? globalThis.fetch;
    // Redirects are not followed, so no other server receives the token.
    const request: RequestInit = { method: "POST", headers, body: JSON.stringify(body), signal, redirect: "error" };
    const response = await orNetworkError(() => fetch(url, request));
    if (!response.ok) throw await errorFrom(response);
    const text = await orNetworkError(() => response.text());
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw invalidResponse(response.status, error);
    }
  };
}

function functionUrl(project: string): string {
  const base = String(project)
    .replace(/\/+$/, "")
    .replace(/\/functions\/v1$/, "");
  if (!/^https?:\/\/[^/@]+(\/|$)/.test(base)) {
    throw new TypeError("url must be the project's URL, such as https://abc.supabase.co");
  }
  return `${base}/functions/v1/${SLUG}`;
}

async function currentToken(getToken: () => string | Promise<string>): Promise<string> {
  let token: unknown;
  try {
    token = await getToken();
  } catch (cause) {
    throw new CampaignTriggerError("No token for campaign-trigger: getToken failed", {
      code: "TOKEN_UNAVAILABLE",
      cause,
    });
  }
  if (typeof token === "string" && SENDABLE.test(token)) return token;
  throw new CampaignTriggerError("No token for campaign-trigger: getToken returned no usable token", {
    code: "TOKEN_UNAVAILABLE",
  });
}

/** Run until done, aborted or timed out, even if `run` ignores the signal. */
async function bounded<T>(
  run: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal | undefined,
  timeoutMs: number,
): Promise<T> {
  if (!(timeoutMs > 0)) throw invalid(`timeoutMs must be a number of milliseconds above 0, not ${timeoutMs}`);
  const controller = new AbortController();
  let reject: (error: CampaignTriggerError) => void = () => {};
  const ended = new Promise<never>((_, rejected) => {
    reject = rejected;
  });
  const stop = (message: string, code: string, cause?: unknown) => {
    reject(new CampaignTriggerError(message, { code, cause }));
    controller.abort();
  };
  const onAbort = () => stop("The request was aborted", "ABORTED", signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const onTimeout = () => stop(`No response within ${timeoutMs} ms`, "TIMEOUT");
  // Timers cannot count longer: no limit.
  const timer = timeoutMs < 2 ** 31 ? setTimeout(onTimeout, timeoutMs) : undefined;
  try {
    if (signal?.aborted) onAbort();
    return await Promise.race([ended, controller.signal.aborted ? ended : run(controller.signal)]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function errorFrom(response: ResponseLike): Promise<CampaignTriggerError> {
  const { status } = response;
  const read: unknown = await response
    .text()
    .then((text) => JSON.parse(text) as unknown)
    .catch(() => undefined);
  const { error, code, message, msg, ...details } = isRecord(read) ? read : {};
  const text = [message, error, msg].find((value) => typeof value === "string");
  const retryAfter = response.headers.get("retry-after");
  if (retryAfter !== null && /^\d+(\.\d+)?$/.test(retryAfter)) details["retry_after"] = Number(retryAfter);
  return new CampaignTriggerError(String(text ?? `The server responded ${status} without a reason`), {
    code: String(code ?? response.headers.get("sb-error-code") ?? `HTTP_${status}`),
    status,
    details,
  });
}

async function orNetworkError<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw networkError(error);
  }
}

function networkError(cause: unknown): CampaignTriggerError {
  // Node puts the useful message one level below "fetch failed".
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const message = reason instanceof Error ? reason.message || reason.name : String(reason);
  return new CampaignTriggerError(`No response from the server: ${message}`, { code: "NETWORK_ERROR", cause });
}

function invalid(message: string): CampaignTriggerError {
  return new CampaignTriggerError(message, { code: "INVALID_REQUEST" });
}

function invalidResponse(status: number, cause?: unknown): CampaignTriggerError {
  return new CampaignTriggerError("The response is not from campaign-trigger; check the URL", {
    code: "INVALID_RESPONSE",
    status,
    cause,
  });
}

/** The part of a Response that this file uses. */
interface ResponseLike {
  status: number;
  headers: { get(name: string): string | null };
  text(): Promise<string>;
}

function isResponse(value: unknown): value is ResponseLike {
  return isRecord(value) && typeof value["status"] === "number" && typeof value["text"] === "function";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is Record<string, number> {
  return isRecord(value) && Object.values(value).every((count) => typeof count === "number");
}

function readCampaign(body: unknown): CampaignResult | undefined {
  if (!isRecord(body)) return undefined;
  const { action, campaign_id: campaignId, status, changed } = body;
  const progress = readProgress(body["progress"]);
  if (typeof action !== "string" || typeof campaignId !== "string" || typeof status !== "string") return undefined;
  if (typeof changed !== "boolean" || progress === undefined) return undefined;
  return { action, campaignId, status, changed, progress };
}

function readContacts(body: unknown): ContactsResult | undefined {
  if (!isRecord(body)) return undefined;
  const { action, campaign_id: campaignId, added, already_there: alreadyThere, refused, results } = body;
  if (typeof action !== "string" || typeof campaignId !== "string" || !Array.isArray(results)) return undefined;
  if (typeof added !== "number" || typeof alreadyThere !== "number" || typeof refused !== "number") return undefined;
  if (!results.every((each) => isRecord(each) && typeof each["status"] === "string")) return undefined;
  const read = results.map((each: Record<string, any>) => ({
    status: each["status"],
    campaignContactId: each["campaign_contact_id"] ?? null,
    contactStatus: each["contact_status"] ?? null,
    kind: each["kind"] ?? null,
    reason: each["reason"] ?? null,
  }));
  return { action, campaignId, added, alreadyThere, refused, results: read };
}

function readProgress(body: unknown): Progress | undefined {
  if (!isRecord(body)) return undefined;
  const { contacts, calls, outcomes, total, finished, live_calls, attempts, cost_cents, duration_ms } = body;
  const numbers = { total, finished, liveCalls: live_calls, attempts, costCents: cost_cents, durationMs: duration_ms };
  if (!isCounts(contacts) || !isCounts(calls) || !isCounts(outcomes)) return undefined;
  if (!Object.values(numbers).every((value) => typeof value === "number")) return undefined;
  return { ...(numbers as Record<keyof typeof numbers, number>), contacts, calls, outcomes };
}

function readSchedule(body: unknown): ScheduleResult | undefined {
  if (!isRecord(body)) return undefined;
  const { action, started } = body;
  if (typeof action !== "string" || !Array.isArray(started)) return undefined;
  return started.every((id) => typeof id === "string") ? { action, started } : undefined;
}
