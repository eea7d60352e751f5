// Signs in with supabase-js like a browser, and prints the result of each step.
//   node auth.mjs URL KEY EMAIL PASSWORD
import { createClient } from "@supabase/supabase-js";

const [url, key, email, password] = process.argv.slice(2);
const realtime = { transport: class {} }; // Node 20 has no WebSocket, and none is needed here
const auth = { autoRefreshToken: false, persistSession: false };
const supabase = createClient(url, key, { realtime, auth });

const wrong = await supabase.auth.signInWithPassword({ email, password: "wrong" });
const signedIn = await supabase.auth.signInWithPassword({ email, password });
const user = await supabase.auth.getUser();
const claims = await supabase.auth.getClaims();
const refreshed = await supabase.auth.refreshSession();
const updated = await supabase.auth.updateUser({ data: { colour: "green" } });
const signedOut = await supabase.auth.signOut();
const afterwards = await supabase.auth.getUser(refreshed.data.session?.access_token);

console.log(
  JSON.stringify({
    wrong: { code: wrong.error?.code, status: wrong.error?.status, name: wrong.error?.name },
    signedIn: { email: signedIn.data.user?.email, error: signedIn.error },
    user: { id: user.data.user?.id, error: user.error },
    claims: { sub: claims.data?.claims.sub, alg: claims.data?.header.alg, error: claims.error },
    refreshed: {
      differs: refreshed.data.session?.refresh_token !== signedIn.data.session?.refresh_token,
      error: refreshed.error,
    },
    updated: { metadata: updated.data.user?.user_metadata, error: updated.error },
    signedOut: { error: signedOut.error },
    afterwards: { code: afterwards.error?.code, status: afterwards.error?.status },
  }),
);
