// Starts, pauses, resumes and cancels campaigns of Outdial by way of its function campaign-trigger.
// One file without dependencies: copy it into a project, or build it as the package beside it.
// SPDX-License-Identifier: MIT

/** Where a campaign stands. A newer server may know more states than this file. */
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

/** How far a campaign has come, as counted when it was asked. */
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

/** The campaign is in `status` now; `changed` tells whether it was not so before. */
export interface CampaignResult {
  action: string;
  campaignId: string;
  status: CampaignStatus;
  changed: boolean;
  progress: Progress;
}

/** The campaigns that were due and have been started. */
export interface ScheduleResult {
  action: string;
  started: string[];
}

/** For one request: a signal that ends it, and how long it may take (Infinity: as long as it likes). */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface CancelOptions extends CallOptions {
  /** End the calls under way as well. */
  hangUp?: boolean | undefined;
}

/** Every method rejects with a CampaignTriggerError and nothing else; asking twice does no harm. */
export interface CampaignTriggers {
  /** Start a draft or a scheduled campaign; a draft whose time has not come becomes scheduled. */
  startCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Pause an active campaign: it reads pausing while requests are in flight, then paused. */
  pauseCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Let a paused campaign go on. */
  resumeCampaign(campaignId: string, options?: CallOptions): Promise<CampaignResult>;
  /** Cancel a campaign for good. */
  cancelCampaign(campaignId: string, options?: CancelOptions): Promise<CampaignResult>;
  /** Make an active campaign due at once, with `size` calls (1 to 1,000) in its next batch where given. */
  processBatch(campaignId: string, size?: number, options?: CallOptions): Promise<CampaignResult>;
  /** Start the scheduled campaigns whose time has come, of one organization or of all that the caller may run. */
  checkScheduledCampaigns(organizationId?: string, options?: CallOptions): Promise<ScheduleResult>;
}

/** What this file uses of a supabase-js client. */
export interface SupabaseClientLike {
  functions: {
    invoke(
      name: string,
      options: { body: Record<string, unknown>; signal: AbortSignal },
    ): Promise<{ data: unknown; error: unknown }>;
  };
}

/** Requests go through a supabase-js client, as the user who is signed in there. */
export interface SupabaseOptions {
  supabase: SupabaseClientLike;
  /** How long a request may take: 30 seconds unless told otherwise. */
  timeoutMs?: number | undefined;
}

/** Requests go through fetch. A back end gives a secret key of the project as `apikey`, and no token. */
export interface FetchOptions {
  /** The address of the project, such as https://abc.supabase.co */
  url: string;
  /** A user's access token. */
  token?: string | undefined;
  /** Gives the access token for each request, where it changes. */
  getToken?: (() => string | Promise<string>) | undefined;
  apikey?: string | undefined;
  /** In place of the global fetch. */
  fetch?: typeof globalThis.fetch | undefined;
  /** How long a request may take: 30 seconds unless told otherwise. */
  timeoutMs?: number | undefined;
}

/**
 * What was asked for was not done, or nobody knows whether it was.
 *
 * `status` is the HTTP status, null when no answer came. `code` is the server's, or one of this file's: NETWORK_ERROR,
 * TIMEOUT, ABORTED, UNREADABLE_ANSWER, TOKEN_UNAVAILABLE, INVALID_REQUEST, NOT_CONFIGURED, HTTP_<status>. `details`
 * are the other fields of the answer, as `status` of a campaign whose state does not allow it, and `retry_after` in
 * seconds where the server sent one. After NETWORK_ERROR, TIMEOUT and ABORTED it may have been done all the same.
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

/** Return the methods over a supabase-js client, or over fetch; throws TypeError when the options do not suffice. */
export function createCampaignTriggers(options: SupabaseOptions | FetchOptions): CampaignTriggers {
  const send = "supabase" in options ? overSupabase(options.supabase) : overFetch(options);
  const standing = options.timeoutMs ?? 30_000;

  async function ask<R>(order: Order, read: (body: unknown) => R | undefined, call: CallOptions = {}): Promise<R> {
    const body = await bounded((signal) => send(order, signal), call.signal, call.timeoutMs ?? standing);
    const result = read(body);
    if (result === undefined) throw unreadable(200);
    return result;
  }
  const about = (action: string, campaign_id: string, call?: CallOptions, fields: object = {}) =>
    ask({ action, campaign_id, ...fields }, readCampaign, call);

  return {
    startCampaign: (id, call) => about("start_campaign", id, call),
    pauseCampaign: (id, call) => about("pause_campaign", id, call),
    resumeCampaign: (id, call) => about("resume_campaign", id, call),
    cancelCampaign: (id, call) => about("cancel_campaign", id, call, { hang_up: call?.hangUp ?? false }),
    processBatch: async (id, size, call) => {
      // JSON has no such numbers: they would arrive as null, which asks for a batch of the campaign's own size.
      if (size !== undefined && !Number.isFinite(size)) {
        throw invalid(`The size of a batch must be from 1 to 1000, not ${size}`);
      }
      return about("process_batch", id, call, { batch_size: size });
    },
    checkScheduledCampaigns: (organization_id, call) =>
      ask({ action: "schedule_check", organization_id }, readSchedule, call),
  };
}

let configured: CampaignTriggers | undefined;

/** Say once, where the application starts, how `campaignTriggers` reaches the server. */
export function configureCampaignTriggers(options: SupabaseOptions | FetchOptions): CampaignTriggers {
  configured = createCampaignTriggers(options);
  return configured;
}

/** The methods for everywhere in an application that has called `configureCampaignTriggers`. */
export const campaignTriggers: CampaignTriggers = {
  startCampaign: async (...args) => current().startCampaign(...args),
  pauseCampaign: async (...args) => current().pauseCampaign(...args),
  resumeCampaign: async (...args) => current().resumeCampaign(...args),
  cancelCampaign: async (...args) => current().cancelCampaign(...args),
  processBatch: async (...args) => current().processBatch(...args),
  checkScheduledCampaigns: async (...args) => current().checkScheduledCampaigns(...args),
};

function current(): CampaignTriggers {
  if (configured !== undefined) return configured;
  throw new CampaignTriggerError("Call configureCampaignTriggers({ supabase }) once before campaignTriggers is used", {
    code: "NOT_CONFIGURED",
  });
}

type Order = Record<string, unknown>;

/** Sends an order and gives the body of a good answer, parsed; throws CampaignTriggerError for all else. */
type Send = (order: Order, signal: AbortSignal) => Promise<unknown>;

const SLUG = "campaign-trigger";
// Whatever else a header may hold, keys and tokens consist of these. Fetch would print a bad one in its error.
const SENDABLE = /^[\x21-\x7e]+$/;

function overSupabase(supabase: SupabaseClientLike): Send {
  if (typeof supabase?.functions?.invoke !== "function") {
    throw new TypeError("supabase must be a client of supabase-js: createClient(url, key)");
  }
  return async (order, signal) => {
    const { data, error } = await orLost(() => supabase.functions.invoke(SLUG, { body: order, signal }));
    if (error === null || error === undefined) return data;
    // The client keeps a refusal in `context`, where the reason is still to be read.
    const context: unknown = isRecord(error) ? error["context"] : undefined;
    if (isAnswer(context)) throw await refusal(context);
    if (error instanceof SyntaxError) throw unreadable(200, error);
    throw lost(context ?? error);
  };
}

function overFetch(options: FetchOptions): Send {
  const { token, getToken, apikey } = options;
  const url = addressOf(options.url);
  if (token === undefined && getToken === undefined && apikey === undefined) {
    throw new TypeError("Give a token or getToken (a user's access token), or an apikey (a secret key of the project)");
  }
  for (const [name, value] of Object.entries({ token, apikey })) {
    if (value !== undefined && !SENDABLE.test(value)) {
      throw new TypeError(`${name} is empty, or holds a space, a line break or another sign that cannot be sent`);
    }
  }
  return async (order, signal) => {
    const bearer = getToken === undefined ? token : await given(getToken);
    const headers: Record<string, string> = { "Content-Type": "application/json", Accept: "application/json" };
    if (apikey !== undefined) headers["apikey"] = apikey;
    if (bearer !== undefined) headers["Authorization"] = `Bearer ${bearer}`;
    const fetch = options.fetch ?? globalThis.fetch;
    // A token is for one server only: no redirect is followed.
    const request: RequestInit = { method: "POST", headers, body: JSON.stringify(order), signal, redirect: "error" };
    const response = await orLost(() => fetch(url, request));
    if (!response.ok) throw await refusal(response);
    const text = await orLost(() => response.text());
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw unreadable(response.status, error);
    }
  };
}

function addressOf(project: string): string {
  const base = String(project)
    .replace(/\/+$/, "")
    .replace(/\/functions\/v1$/, "");
  if (!/^https?:\/\/[^/@]+(\/|$)/.test(base)) {
    throw new TypeError("url must be the address of the project, such as https://abc.supabase.co");
  }
  return `${base}/functions/v1/${SLUG}`;
}

async function given(getToken: () => string | Promise<string>): Promise<string> {
  let token: unknown;
  try {
    token = await getToken();
  } catch (cause) {
    throw new CampaignTriggerError("No token to call campaign-trigger with: getToken failed", {
      code: "TOKEN_UNAVAILABLE",
      cause,
    });
  }
  if (typeof token === "string" && SENDABLE.test(token)) return token;
  throw new CampaignTriggerError("No token to call campaign-trigger with: getToken gave none that can be sent", {
    code: "TOKEN_UNAVAILABLE",
  });
}

/** Let `run` take until the signal or the time ends it, even where it takes no notice of that. */
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
  const late = () => stop(`No answer within ${timeoutMs} ms`, "TIMEOUT");
  // A longer time than timers can count is no limit.
  const timer = timeoutMs < 2 ** 31 ? setTimeout(late, timeoutMs) : undefined;
  try {
    if (signal?.aborted) onAbort();
    return await Promise.race([ended, controller.signal.aborted ? ended : run(controller.signal)]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function refusal(response: Answer): Promise<CampaignTriggerError> {
  const { status } = response;
  const read: unknown = await response
    .text()
    .then((text) => JSON.parse(text) as unknown)
    .catch(() => undefined);
  const { error, code, message, msg, ...details } = isRecord(read) ? read : {};
  const said = [message, error, msg].find((text) => typeof text === "string");
  const retryAfter = response.headers.get("retry-after");
  if (retryAfter !== null && /^\d+(\.\d+)?$/.test(retryAfter)) details["retry_after"] = Number(retryAfter);
  return new CampaignTriggerError(String(said ?? `The server answered ${status} and did not say why`), {
    code: String(code ?? response.headers.get("sb-error-code") ?? `HTTP_${status}`),
    status,
    details,
  });
}

async function orLost<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw lost(error);
  }
}

function lost(cause: unknown): CampaignTriggerError {
  // Node puts the reason that a person wants to read one level below "fetch failed".
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const told = reason instanceof Error ? reason.message || reason.name : String(reason);
  return new CampaignTriggerError(`No answer from the server: ${told}`, { code: "NETWORK_ERROR", cause });
}

function invalid(message: string): CampaignTriggerError {
  return new CampaignTriggerError(message, { code: "INVALID_REQUEST" });
}

function unreadable(status: number, cause?: unknown): CampaignTriggerError {
  return new CampaignTriggerError("The answer is not one of campaign-trigger: does the URL lead there?", {
    code: "UNREADABLE_ANSWER",
    status,
    cause,
  });
}

/** What this file uses of a Response. */
interface Answer {
  status: number;
  headers: { get(name: string): string | null };
  text(): Promise<string>;
}

function isAnswer(value: unknown): value is Answer {
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
