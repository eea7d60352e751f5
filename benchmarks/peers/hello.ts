// The same function as benchmarks/host/project.py has, on Deno.serve: the URL is the first line printed.
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "authorization, x-client-info, apikey, content-type",
  "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
};

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => console.log(`http://127.0.0.1:${port}`),
}, async (request) => {
  if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: CORS });
  if (request.method !== "POST") return Response.json({ error: "use POST" }, { status: 405, headers: CORS });
  try {
    const { name } = await request.json();
    return Response.json({ message: `Hello ${name}!` }, { headers: CORS });
  } catch {
    return Response.json({ error: "Send a JSON document as the body" }, { status: 400, headers: CORS });
  }
});
