/**
 * Which tests are to kill the mutants of a folder: the quick ones that call it directly, then those that reach it through
 * others. Sweeps, measurements, browsers and other processes are left out.
 */

const hostile = [
  "credit",
  "floods",
  "frames",
  "goAway",
  "leavingClients",
  "leavingServers",
  "liveErrors",
  "resets",
  "responses",
  "resume",
  "clientResume",
  "serverCalls",
  "streams"
].map((name) => `hostile/${name}.test.ts`)

export const targets: Readonly<Record<string, ReadonlyArray<string>>> = {
  frame: ["frame"],
  streams: ["streams", "session", ...hostile],
  session: ["session"],
  link: [
    "link",
    "testing/LinkConformance.test.ts",
    "Link.test.ts",
    "handshake",
    "node/hangUps.test.ts",
    "connection/fullLink.test.ts",
    "connection/sender.test.ts",
    "server/upgrades.test.ts",
    "hostile/upgrades.test.ts",
    "hostile/upgradeRequests.test.ts"
  ],
  connection: [
    "connection",
    "Connection.test.ts",
    "Heartbeat.test.ts",
    "Limits.test.ts",
    "session",
    "observe",
    ...hostile
  ],
  server: [
    "server",
    "SwaggerSocketServer.test.ts",
    "Link.test.ts",
    "Quotas.test.ts",
    "quota",
    "handshake",
    "session",
    "observe",
    ...hostile
  ],
  client: [
    "client",
    "Link.test.ts",
    "observe",
    "handshake",
    "hostile/clientResume.test.ts",
    "hostile/goAway.test.ts",
    "hostile/leavingServers.test.ts",
    "SwaggerSocketServer.test.ts"
  ]
}

/** Thousands of calls each. */
export const leftOut: ReadonlySet<string> = new Set(["test/streams/abandonedBodies.test.ts"])

/** Sources that only tests and types use. */
export const notMutated: ReadonlySet<string> = new Set(["src/internal/frame/Frame.ts"])
