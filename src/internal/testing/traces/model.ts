/**
 * Traces: what both ends of a connection say, step by step, as the files of `conformance/traces` have them (PROTOCOL.md, "Traces"). A
 * runner takes one side, and the peer under test is the other.
 */
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import { ErrorCode } from "../../frame/codes.ts"

const Json = Schema.Record(Schema.String, Schema.Unknown)

const Code = Schema.Literals(Object.keys(ErrorCode) as ReadonlyArray<keyof typeof ErrorCode>)

const Hex = Schema.String.check(Schema.isPattern(/^(?:[0-9a-f]{2} ?)*$/))

/** Streams count from 1: those of the runner are positive, those of the peer negative. */
const StreamNumber = Schema.Int

const Step = Schema.Union([
  // What the runner does.
  Schema.Struct({ open: Json }),
  Schema.Struct({ handshake: Json }),
  Schema.Struct({ resume: Json, members: Schema.optionalKey(Json), ready: Schema.optionalKey(Schema.Boolean) }),
  Schema.Struct({ text: Schema.Unknown }),
  Schema.Struct({ binary: Hex, times: Schema.optionalKey(Schema.Int) }),
  Schema.Struct({ frames: Schema.Array(Json), times: Schema.optionalKey(Schema.Int) }),
  Schema.Struct({ body: Schema.Struct({ stream: StreamNumber, bytes: Schema.Int }) }),
  Schema.Struct({ requestsBeyondLimit: Schema.String }),
  Schema.Struct({ close: Schema.Int }),
  Schema.Struct({ drop: Schema.Literal(true) }),
  // What the peer has to do.
  Schema.Struct({ expectText: Json }),
  Schema.Struct({ expectFrame: Json }),
  Schema.Struct({ expectLater: Json }),
  Schema.Struct({
    expectResponse: Schema.Struct({
      stream: StreamNumber,
      status: Schema.Int,
      body: Schema.optionalKey(Schema.String),
      bytes: Schema.optionalKey(Schema.Int)
    })
  }),
  Schema.Struct({ expectData: Schema.Struct({ stream: StreamNumber, bytes: Schema.Int }) }),
  Schema.Struct({ expectReset: Schema.Struct({ stream: StreamNumber, code: Code }) }),
  Schema.Struct({ expectError: Code, orClose: Schema.optionalKey(Schema.Int) }),
  Schema.Struct({ expectClose: Schema.Array(Schema.Int), without: Schema.optionalKey(Schema.String) }),
  Schema.Struct({ expectReplay: Schema.Int }),
  Schema.Struct({ expectHello: Json }),
  Schema.Struct({ quiet: Schema.Literal(true) }),
  Schema.Struct({ alive: Schema.Literal(true) })
])

/** @internal */
export type Step = typeof Step.Type

/** What a peer may be without. @internal */
export const needs = ["session", "calls", "drain", "upgrade"] as const

const Trace = Schema.Struct({
  name: Schema.NonEmptyString,
  section: Schema.NonEmptyString,
  requirements: Schema.Array(Schema.NonEmptyString),
  peer: Schema.Literals(["server", "client", "either"]),
  needs: Schema.optionalKey(Schema.Array(Schema.Literals(needs))),
  steps: Schema.Array(Step)
})

/** @internal */
export type Trace = typeof Trace.Type

const File = Schema.fromJsonString(
  Schema.Struct({ description: Schema.NonEmptyString, traces: Schema.Array(Trace) })
)

const folder = new URL("../../../../conformance/traces/", import.meta.url)

const decodeFile = Schema.decodeUnknownSync(File, { onExcessProperty: "error" })

/** All traces, in the order of the files. @internal */
export const loadTraces = (): ReadonlyArray<Trace & { readonly file: string }> =>
  Fs.readdirSync(folder).filter((name) => name.endsWith(".json")).sort().flatMap((file) =>
    decodeFile(Fs.readFileSync(new URL(file, folder), "utf8")).traces.map((trace) => ({ ...trace, file }))
  )
