/**
 * The vectors of PROTOCOL.md, "Conformance", as the files of the package have them.
 */
import * as Schema from "effect/Schema"
import * as Fs from "node:fs"
import { ErrorCode } from "../frame/codes.ts"

/** What a vector does not set. */
const defaults = { maxMessageSize: 65536, maxFrameSize: 32768, maxHeadSize: 16384, headTableSize: 4096 }

const Settings = Schema.Struct({
  maxMessageSize: Schema.optionalKey(Schema.Int),
  maxFrameSize: Schema.optionalKey(Schema.Int),
  maxHeadSize: Schema.optionalKey(Schema.Int),
  headTableSize: Schema.optionalKey(Schema.Int),
  upgrade: Schema.optionalKey(Schema.Int)
})

const Hex = Schema.String.check(Schema.isPattern(/^(?:[0-9a-f]{2})*$/))

const Frames = Schema.Array(Schema.Array(Schema.Record(Schema.String, Schema.Unknown)))

const ConnectionError = Schema.Struct({
  code: Schema.Literals(Object.keys(ErrorCode) as ReadonlyArray<keyof typeof ErrorCode>),
  scope: Schema.Literal("connection"),
  message: Schema.Int
})

const Vector = Schema.Struct({
  name: Schema.NonEmptyString,
  section: Schema.NonEmptyString,
  requirements: Schema.optionalKey(Schema.Array(Schema.NonEmptyString)),
  settings: Schema.optionalKey(Settings),
  messages: Schema.Array(Hex),
  frames: Schema.optionalKey(Frames),
  error: Schema.optionalKey(ConnectionError),
  canonical: Schema.optionalKey(Schema.Boolean)
})

const File = Schema.fromJsonString(
  Schema.Struct({ description: Schema.NonEmptyString, vectors: Schema.Array(Vector) })
)

/** What a decoder answers. */
export const Decoded = Schema.Struct({ frames: Frames, error: Schema.optionalKey(Schema.NullOr(ConnectionError)) })

/** What an encoder answers. */
export const Encoded = Schema.Struct({ messages: Schema.Array(Hex) })

const folder = new URL("../../../conformance/", import.meta.url)

const decodeFile = Schema.decodeUnknownSync(File, { onExcessProperty: "error" })

export const readFiles = () =>
  Fs.readdirSync(folder).filter((name) => name.endsWith(".json")).sort().map((name) => {
    const { description, vectors } = decodeFile(Fs.readFileSync(new URL(name, folder), "utf8"))
    return {
      name,
      description,
      vectors: vectors.map(({ canonical, error, frames, requirements, settings, ...vector }) => ({
        ...vector,
        requirements: requirements ?? [],
        settings: { ...defaults, ...settings },
        frames: frames ?? [],
        error,
        isCanonical: error === undefined && canonical !== false
      }))
    }
  })
