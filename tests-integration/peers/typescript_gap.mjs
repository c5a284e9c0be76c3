// One client of the TypeScript SDK with its defaults, for typescript_gap.py: each line that it reads is a cue, and each that it
// writes is what happened, as JSON, with the time in milliseconds since 1970.
//
//   node typescript_gap.mjs MODULES (sdk1 | sdk2 | sdk2-modern) URL

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, kind, url] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } = load();

const client = new Client(
  { name: `gap-${kind}`, version: "1.0.0" },
  {
    listChanged: { tools: { onChanged: (error, tools) => say("changed", { error: tell(error), tools: names(tools) }) } },
    ...(kind === "sdk2-modern" && { versionNegotiation: { mode: "auto" } }),
  },
);

const cues = {
  // The host is there. The second call never ends by itself.
  begin: async () => {
    await timed("first list", list);
    await timed("first call", () => note(`${kind} first`));
    timed("running call", () => note(`${kind} running`, "begin"));
  },
  // The host is gone.
  ask: async () => {
    timed("call at once", () => note(`${kind} at once`));
    const progress = [];
    const options = { onprogress: ({ message }) => progress.push(message), resetTimeoutOnProgress: true };
    timed("call with progress", () => note(`${kind} with progress`, "note", options), { progress });
  },
  list: async () => {
    await list(); // opens the connection
    const took = [];
    for (let round = 0; round < 20; round++) {
      const start = performance.now();
      await list();
      took.push(performance.now() - start);
    }
    say("lists", { took });
    await timed("ping", () => client.ping());
  },
  late: async () => timed("late call", () => note(`${kind} late`)),
  // The host is back.
  end: async () => {
    await timed("last list", list);
    await timed("last call", () => note(`${kind} last`));
    await client.close();
    process.exit();
  },
};

await client.connect(new StreamableHTTPClientTransport(new URL(url)));
say("connected", { era: client.getProtocolEra?.() ?? "legacy" });
for await (const cue of createInterface({ input: process.stdin }))
  cues[cue]().catch((error) => say("broken", { error: tell(error) }));

function load() {
  const require = createRequire(`${modules}/`);
  if (kind !== "sdk1") return require("@modelcontextprotocol/client");
  return {
    ...require("@modelcontextprotocol/sdk/client/index.js"),
    ...require("@modelcontextprotocol/sdk/client/streamableHttp.js"),
  };
}

// Asks the server in any case: the second SDK may have an answer of its own.
async function list() {
  return names((await client.listTools(undefined, { cacheMode: "refresh" })).tools);
}

async function note(text, name = "note", options = undefined) {
  const params = { name, arguments: { text } };
  const result = await (kind === "sdk1" ? client.callTool(params, undefined, options) : client.callTool(params, options));
  return result.content[0].text;
}

async function timed(what, work, more = {}) {
  const start = performance.now();
  const ended = await work().then(
    (result) => ({ result }),
    (error) => ({ error: tell(error) }),
  );
  say(what, { took: performance.now() - start, ...ended, ...more });
}

function tell(error) {
  return error && { name: error.name, code: error.code, message: error.message, data: error.data };
}

function names(tools) {
  return tools?.map((tool) => tool.name);
}

function say(what, more) {
  console.log(JSON.stringify({ at: Date.now(), what, ...more }));
}
