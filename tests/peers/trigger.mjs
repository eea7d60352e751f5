// Signs in with supabase-js as each user in turn, runs a campaign action, and prints the results.
//   node trigger.mjs URL KEY PASSWORD '["viewer@example.com", ...]' '{"action": "start_campaign", ...}'
import { createClient } from "@supabase/supabase-js";

const [url, key, password, emails, body] = process.argv.slice(2);
const realtime = { transport: class {} }; // Node 20 has no WebSocket, and none is needed here
const auth = { autoRefreshToken: false, persistSession: false };

const results = {};
for (const email of JSON.parse(emails)) {
  const supabase = createClient(url, key, { realtime, auth });
  const signedIn = await supabase.auth.signInWithPassword({ email, password });
  const { data, error } = await supabase.functions.invoke("campaign-trigger", { body: JSON.parse(body) });
  results[email] = {
    user: signedIn.data.user?.email ?? signedIn.error.message,
    data,
    status: error?.context?.status ?? 200,
    error: error ? await error.context.json() : null,
  };
}
console.log(JSON.stringify(results));
