/**
 * Every example runs, prints what it should and ends by itself.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as path from "node:path"
import { bundle } from "../support/bundle.ts"

const root = path.join(import.meta.dirname, "../..")

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Options {
  readonly signal: AbortSignal
  /** What the example has printed when it gets SIGINT. */
  readonly stopAt?: string
  /** As its users run it, which takes longer. */
  readonly fromSource?: boolean
}

/** Runs an example. The child ends with the test at the latest. */
const run = async (example: string, { fromSource = false, signal, stopAt }: Options): Promise<Ended> => {
  const source = path.join(root, `examples/${example}.ts`)
  const program = fromSource ? ["--import", "tsx", source] : [await bundle(source)]
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, program, {
      cwd: root,
      env: { ...process.env, NODE_NO_WARNINGS: "1" },
      stdio: ["ignore", "pipe", "pipe"],
      signal,
      killSignal: "SIGKILL"
    })
    let stdout = ""
    let stderr = ""
    let stopped = false
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      // Once: a second signal ends a program at once, in the moment between its last line and its end.
      if (stopAt === undefined || stopped || !stdout.includes(stopAt)) return
      stopped = true
      child.kill("SIGINT")
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })
}

/** What each example prints, among other lines and in this order. */
const expected: Record<string, ReadonlyArray<string | RegExp>> = {
  "api-on-server": ["book 1: Frankenstein", "book 2: Middlemarch", /^book 7: there is none \(404/],
  "api-on-client": ["the lamp in the kitchen is at 80%", "the lamp in the kitchen is at 30%"],
  "both-at-once": [
    "the server says: Welcome, Ada!",
    /^500 more at once took \d+ ms$/,
    "on one socket: 501 calls of the client, 501 of the server"
  ],
  "events-and-registry": [
    "+ buoy-1 (north)",
    "+ buoy-2 (south)",
    /^- buoy-2: closed by the remote end, 1001/,
    "- buoy-1: closed by the local end, 4321 \"please come again\"",
    "+ buoy-1 (north)"
  ],
  "typed-metadata-and-auth": [
    "no token: UNAUTHENTICATED (a token is needed)",
    /^no name: METADATA_INVALID \(name: /,
    /dialling with a stale token/,
    /dialling with a fresh token/,
    "a token that expired: connected",
    /^press-1 of Acme has been running since/
  ],
  streaming: [
    "down  90 °C",
    "down  overheated at 120 °C",
    "up    100000 samples recorded",
    "both  0 °C?",
    "both  … is 32 °F",
    "both  32 °C?",
    "both  … is 89.6 °F"
  ],
  chatter: [
    "ada writes     hello",
    "ada hears      hello",
    "ada writes     is anybody there?",
    "ada hears      is anybody there?",
    "bob is told    added: goodbye",
    "bob has sent   bob is (6 bytes), goodbye (7 bytes)",
    "the history    {\"message\":\"hello\"}",
    "the history    {\"message\":\"goodbye\"}"
  ],
  "upload-with-progress": [/25 %/, /50 %/, /75 %/, /100 %/, "200: 16777216 bytes received"],
  "openapi-fetch": ["the main valve is shut", "the main valve is open", "there is no valve called back"],
  hono: [/^200 application\/json {"hello":"hub"}$/, "the app received 100000 bytes", "3 …", "2 …", "1 …", /^404 /],
  "existing-servers": ["the site answers /welcome", "the lamp is on", "the camera shows /garden?size=small"],
  "fleet-migration": [
    "3 pumps read: 3 on v1, 0 on v2",
    "pump-1 has been updated and speaks v2",
    "3 pumps read: 2 on v1, 1 on v2",
    "3 pumps read: 0 on v1, 3 on v2",
    "12 readings, none failed"
  ],
  "rolling-restart": [
    "coffee by the first kitchen",
    "the first kitchen is baking",
    "SIGTERM: the first kitchen takes no more orders",
    "coffee by the second kitchen, while the bread is in the oven",
    "bread by the first kitchen",
    "the first kitchen is closed"
  ],
  "own-parts": [
    "{\"name\":\"lamp\"} is connected",
    "a device calls the hub",
    "a device gets the same 1000000 bytes back",
    "the hub calls a device",
    "the hub gets the same 1000000 bytes back",
    /^a ping was answered within \d+ ms$/,
    "another connection, after the first was closed",
    "the hub gets the same 1000000 bytes back"
  ],
  "child-over-stdio": [
    "the child answers: HELLO",
    "the child has crashed with 7; the outcome of the call: unknown",
    "another child answers: HELLO AGAIN",
    "that child has ended with 0"
  ],
  "websocket-through-cuts": [
    "the network broke 10 times",
    "1000 messages have come back, in order",
    "the WebSocket was opened 1 time, on a connection that is open"
  ],
  "shell-on-a-device": ["the shell prints: this is device", "the shell prints: 42", "the shell prints: 2"],
  demo: [
    /event +kitchen +connected/,
    /hub → kitchen +GET \/temperature +19.5 °C/,
    /kitchen → hub +GET \/target +21 °C/,
    /100 % +96.0 MiB/,
    /event +kitchen +interrupted/,
    /event +kitchen +resumed after/,
    /hub → kitchen +POST \/calibration +done/,
    /calls +55 by the hub +2 by the devices/,
    /resumed +1/
  ],
  "three-nodes": [
    /^node a asks: door \([abc]\), fan \([abc]\), gate \([abc]\), lamp \([abc]\), pump \([abc]\), valve \([abc]\)$/,
    "node c leaves",
    /^node b asks: door \([ab]\), fan \([ab]\), gate \([ab]\), lamp \([ab]\), pump \([ab]\), valve \([ab]\)$/,
    "node a calls the fan"
  ]
}

const assertLines = (stdout: string, lines: ReadonlyArray<string | RegExp>): void => {
  const printed = stdout.split("\n")
  let at = 0
  for (const line of lines) {
    const found = printed.findIndex((text, index) =>
      index >= at && (typeof line === "string" ? text === line : line.test(text))
    )
    assert.isAtLeast(found, 0, `${line} is missing, or not behind the lines before it, in:\n${stdout}`)
    at = found + 1
  }
}

describe.concurrent("examples", () => {
  for (const [example, lines] of Object.entries(expected)) {
    it(
      `${example}.ts prints what the documentation says, and exits with 0`,
      { timeout: 60_000 },
      async ({ signal }) => {
        const { code, stderr, stdout } = await run(example, { signal })
        assert.strictEqual(stderr, "")
        assertLines(stdout, lines)
        assert.strictEqual(code, 0)
      }
    )
  }

  it("demo.ts exits with 130 when it is interrupted with Ctrl+C", { timeout: 60_000 }, async ({ signal }) => {
    const { code, stderr, stdout } = await run("demo", { signal, stopAt: "The same socket", fromSource: true })
    assert.strictEqual(stderr, "")
    assert.notInclude(stdout, "That was:")
    assert.strictEqual(code, 130)
  })
})
