// Invokes functions with supabase-js like a browser, and prints the result of each call.
//   node invoke.mjs URL KEY '[{"slug": "hello", "options": {"body": {...}}}, ...]'
import { createClient } from "@supabase/supabase-js";

const [url, key, calls] = process.argv.slice(2);
const realtime = { transport: class {} }; // Node 20 has no WebSocket, and none is needed here
const supabase = createClient(url, key, { realtime });

const results = [];
for (const { slug, options } of JSON.parse(calls)) {
  const { data, error } = await supabase.functions.invoke(slug, options);
  if (error === null) {
    results.push({ data });
    continue;
  }
  const response = error.context instanceof Response ? error.context : null;
  results.push({
    error: error.name,
    message: error.message,
    status: response && response.status,
    headers: response && Object.fromEntries(response.headers),
    body: response && (await response.text()),
  });
}
console.log(JSON.stringify(results));
