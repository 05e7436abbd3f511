/**
 * A second implementation of PROTOCOL.md, in Python with nothing but its standard library: it passes all vectors and traces, and with a
 * fault put in it fails the traces about that. What two programs make of random bytes is the same. Where there is no `python3` these tests are skipped.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Conformance from "effect-swaggersocket/testing/Conformance"
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Path from "node:path"
import {
  listenForClients,
  runServerTraces,
  type TraceResult,
  tracesFor
} from "../../src/internal/testing/traces/run.ts"
import { everyOther, extent } from "../support/extent.ts"
import { Random } from "../support/random.ts"

const python = "python3"
const program = Path.join(import.meta.dirname, "peer.py")

const isSkipped = ChildProcess.spawnSync(python, ["--version"]).error !== undefined
if (isSkipped) {
  console.warn(`The peer in Python is not tried: there is no ${python}. To install it: apt-get install -y ${python}`)
}

/** Which traces each fault fails. Those of clients alone are tried with a client. */
const faults: Readonly<Record<string, string>> = {
  "any-ack": "An ACK above what was sent",
  "any-attempt": "An attempt with a number that was used",
  "any-id": "A REQUEST with the id of an open stream",
  "any-setting": "The setting maxFrameSize of 17407",
  "any-token": "A wrong token",
  "any-version": "Version 3 is VERSION_UNSUPPORTED",
  "attempts-of-one-number": "Attempts to resume have rising numbers",
  "bodies-everywhere": "A body byte with 204",
  "closed-answered-again": "DATA on a stream that has ended is answered with STREAM_CLOSED, once",
  "connection-credit-ignored": "DATA stays within the credit of the connection",
  "content-length-ignored": "A body shorter than content-length",
  "counts-link-messages": "Link messages are not counted",
  "endless-credit": "CREDIT of a stream above 2^31 - 1",
  "goaway-answered": "GOAWAY with an error is not answered with one, and the link is closed after a second",
  "goaway-ends-nothing": "Streams above the last stream id are closed",
  "goaway-raised": "A GOAWAY may be lowered, and not raised",
  "idle-ignored": "DATA on an idle stream",
  "no-ack": "An ACK comes with the answer to a PING",
  "no-credit-for-discarded": "Credit of the connection comes back for DATA that is thrown away",
  "no-goaway": "An empty message",
  "no-limit-of-streams": "Streams beyond maxConcurrentStreams are refused",
  "opens-after-goaway": "A peer opens no stream after GOAWAY",
  "pong-without-data": "PINGs are answered with their data, in order",
  "replays-all": "What was received is not sent again",
  "replays-nothing": "What was not received is sent again, byte for byte",
  "reset-answered": "RESET of a stream is not answered, and frames on it are ignored or answered once",
  "resumes-always": "A client that is REPLACED does not try to resume",
  "serves-while-it-drains": "A peer that drains lets calls finish, refuses others, and closes",
  "stream-credit-ignored": "DATA stays within the credit of its stream",
  "stream-window-ignored": "DATA beyond the credit of its stream",
  "wrong-close": "An empty message"
}
const ofClients = new Set(["attempts-of-one-number", "resumes-always"])

/** Runs the program; what it prints first is the URL of a server. */
const start = (args: ReadonlyArray<string>, fault?: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      ChildProcess.spawn(python, [program, ...args], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, MUTANT: fault, PYTHONDONTWRITEBYTECODE: "1" }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const serve = (fault?: string) =>
  Effect.flatMap(start(["serve"], fault), (child) =>
    Effect.callback<string>((resume) => {
      child.stdout.once("data", (line: Buffer) => resume(Effect.succeed(line.toString().trim())))
    }))

/** In a whole run all. */
const aQuarter = (peer: "client" | "server") => everyOther(everyOther(tracesFor(peer, ["upgrade"])))

/** A few bytes are others, more, or fewer; or another message stands behind. */
const mutated = (random: Random, message: string, vectors: ReadonlyArray<Conformance.Vector>): string => {
  let bytes = [...Buffer.from(message, "hex")]
  for (let change = random.int(3); change >= 0; change--) {
    const at = random.int(bytes.length + 1)
    const how = random.int(5)
    if (how === 4) bytes = [...bytes, ...Buffer.from(random.pick(random.pick(vectors).messages) ?? "", "hex")]
    else bytes.splice(at, how < 2 ? how : random.int(4), ...how < 2 ? [random.int(256)] : [])
  }
  return Buffer.from(bytes).toString("hex")
}

const failuresOf = (results: ReadonlyArray<TraceResult>) => results.filter(({ failure }) => failure !== undefined)

/** Faults at random, other ones in each run. */
const some = (count: number): ReadonlyArray<string> =>
  Object.keys(faults).map((fault) => [Math.random(), fault] as const).sort().slice(0, count).map(([, fault]) => fault)

describe.skipIf(isSkipped)("a peer in Python", () => {
  it.live("its codec passes all vectors", () =>
    Effect.gen(function*() {
      const { failures, passed } = yield* Conformance.run(yield* Conformance.fromCommand(python, [program, "codec"]))
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(passed, Conformance.cases(Conformance.standard).length)
    }))

  it.live("messages that were changed at random mean the same to it as to this package", () =>
    Effect.gen(function*() {
      const codec = yield* Conformance.fromCommand(python, [program, "codec"])
      const seed = Date.now() >>> 0
      const random = new Random(seed)
      const vectors = Conformance.load().flatMap(({ vectors }) => vectors).filter(({ messages }) =>
        messages.join("").length < 6000
      )
      for (let count = extent("FUZZ", 100, 20_000); count > 0; count--) {
        const { messages, settings } = random.pick(vectors)
        const changed = messages.map((message) => random.chance(0.5) ? mutated(random, message, vectors) : message)
        const [ours, theirs] = yield* Effect.all([
          Conformance.standard.decode(changed, settings),
          codec.decode(changed, settings)
        ])
        assert.deepStrictEqual(
          { ...theirs, error: theirs.error ?? undefined },
          { ...ours, error: ours.error },
          `seed ${seed}: ${changed.join(" ")}`
        )
      }
    }), 120_000)

  it.live("its server does what each trace says", () =>
    Effect.gen(function*() {
      const results = yield* runServerTraces(yield* serve(), aQuarter("server"))
      assert.deepStrictEqual(failuresOf(results), [])
    }))

  it.live("its client does what each trace says", () =>
    Effect.gen(function*() {
      const { port, results } = yield* listenForClients(0, aQuarter("client"))
      yield* start(["dial", ...Array.from({ length: 8 }, (_, lane) => `ws://127.0.0.1:${port}/${lane}`)])
      assert.deepStrictEqual(failuresOf(yield* results), [])
    }))

  for (const fault of some(extent("FAULTS", 1, Object.keys(faults).length))) {
    it.live(`with the fault ${fault} it does not do what "${faults[fault]}" says`, () =>
      Effect.gen(function*() {
        const role = ofClients.has(fault) ? "client" : "server"
        const traces = tracesFor(role).filter(({ name }) => name === faults[fault])
        assert.strictEqual(traces.length, 1)
        if (role === "server") {
          assert.isNotEmpty(failuresOf(yield* runServerTraces(yield* serve(fault), traces, "1500 millis")))
        } else {
          const { port, results } = yield* listenForClients(0, traces, "1500 millis")
          yield* start(["dial", `ws://127.0.0.1:${port}/`], fault)
          assert.isNotEmpty(failuresOf(yield* results))
        }
      }))
  }
})
