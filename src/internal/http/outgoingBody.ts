/**
 * Converts every kind of `HttpBody` to bytes in memory or to a stream of bytes, and sends it.
 */
import * as Effect from "effect/Effect"
import type * as HttpBody from "effect/http/HttpBody"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream } from "../streams/stream.ts"
import { toBytes, UnusableBody } from "./chunks.ts"
import type { Room } from "./room.ts"
import { TakenOver } from "./takenOver.ts"

/** @internal */
export type OutgoingBody =
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array; readonly contentType?: string | undefined }
  | {
    readonly _tag: "Stream"
    readonly stream: Stream.Stream<Uint8Array, unknown>
    readonly contentType?: string | undefined
  }

const empty: OutgoingBody = { _tag: "Bytes", bytes: new Uint8Array(0) }

/**
 * Converts a body. `contentType` is what the kind of the body implies; the message may have another one. The result is an
 * `UnusableBody` if the body is neither bytes nor text.
 *
 * @internal
 */
export const fromHttpBody = (body: HttpBody.HttpBody): OutgoingBody | UnusableBody => {
  switch (body._tag) {
    case "Empty":
      return empty
    case "Uint8Array":
      return body.body instanceof Uint8Array ? { _tag: "Bytes", bytes: body.body } : fromBytes(body.body)
    case "Stream":
      return { _tag: "Stream", stream: body.stream }
    case "FormData":
      return fromBodyInit(body.formData)
    case "Raw":
      return fromRaw(body.body)
  }
}

const fromBytes = (body: unknown): OutgoingBody | UnusableBody => {
  const bytes = toBytes(body)
  return bytes === undefined ? new UnusableBody("body", body) : { _tag: "Bytes", bytes }
}

const fromRaw = (body: unknown): OutgoingBody | UnusableBody => {
  if (body === null || body === undefined) return empty
  if (body instanceof Response) return body.body === null ? empty : fromReadable(body.body)
  if (body instanceof ReadableStream) return fromReadable(body)
  // Streams of Node, above all.
  if (Predicate.hasProperty(body, Symbol.asyncIterator)) {
    return { _tag: "Stream", stream: Stream.fromAsyncIterable(body as AsyncIterable<Uint8Array>, (cause) => cause) }
  }
  return isBodyInit(body) ? fromBodyInit(body) : fromBytes(body)
}

/** The kinds that the platform can serialise. It would convert other objects to the text "[object Object]". */
const isBodyInit = (body: unknown): body is ArrayBuffer | Blob | FormData | URLSearchParams =>
  body instanceof ArrayBuffer || body instanceof Blob || body instanceof FormData || body instanceof URLSearchParams

/** Forms up to this are sent as bytes, with their length. */
const maxFormInMemory = 1024 * 1024

/** A form as bytes if it is small, or else as a stream. @internal */
export const fromForm = (form: FormData): Effect.Effect<OutgoingBody> => {
  let size = 0
  form.forEach((value) => {
    size += typeof value === "string" ? value.length : value.size
  })
  if (size > maxFormInMemory) return Effect.sync(() => fromBodyInit(form))
  const response = new Response(form)
  return Effect.map(Effect.promise(() => response.arrayBuffer()), (buffer) => ({
    _tag: "Bytes",
    bytes: new Uint8Array(buffer),
    contentType: response.headers.get("content-type") ?? undefined
  }))
}

const fromReadable = (readable: ReadableStream<Uint8Array>, releaseLockOnEnd = false): OutgoingBody => ({
  _tag: "Stream",
  stream: Stream.fromReadableStream({ evaluate: () => readable, onError: (cause) => cause, releaseLockOnEnd })
})

const fromBodyInit = (body: BodyInit): OutgoingBody => {
  // A `Response` serialises forms and blobs, and knows their content type.
  const response = new Response(body)
  return {
    // The stream is not cancelled, which would free nothing: its bytes are in memory. Undici closes such a stream a moment
    // after its last bytes, and throws where nobody can catch it if the stream was cancelled before.
    ...(response.body === null ? empty : fromReadable(response.body, true)),
    contentType: response.headers.get("content-type") ?? undefined
  }
}

/** Releases a body that will not be sent. @internal */
export const cancel = (body: HttpBody.HttpBody): void => {
  if (body._tag !== "Raw") return
  if (body.body instanceof TakenOver) body.body.cancel()
  else if (body.body instanceof ReadableStream) body.body.cancel().catch(() => {})
  else if (Predicate.hasProperty(body.body, "destroy") && Predicate.isFunction(body.body.destroy)) body.body.destroy()
}

/** The body has not the length that its sender has declared. */
class LengthMismatch extends Error {
  constructor(actual: number, declared: number) {
    super(
      `the body has ${actual > declared ? "more than " : "only "}${
        Math.min(actual, declared)
      } bytes, content-length says ${declared}`
    )
  }
}

/** Sends a stream to its end, as fast as the peer's credit allows. @internal */
export const send = (
  mux: Multiplexed,
  stream: HttpStream,
  body: Stream.Stream<Uint8Array, unknown>,
  declared: number | undefined,
  room: Room
): Effect.Effect<void, unknown> => {
  return Effect.flatMap(
    Stream.runForEachArray(body, (chunks) => {
      let writable = true
      for (const chunk of chunks) {
        const bytes = toBytes(chunk)
        if (bytes === undefined) return Effect.fail(new UnusableBody("chunk", chunk))
        room.written += bytes.length
        const { written } = room
        if (declared !== undefined && written > declared) return Effect.fail(new LengthMismatch(written, declared))
        writable = mux.write(stream, bytes)
      }
      if (writable) return Effect.void
      room.isFull = true
      return room.whenFree
    }),
    () => {
      const { written } = room
      if (declared !== undefined && written < declared) return Effect.fail(new LengthMismatch(written, declared))
      mux.finish(stream)
      return Effect.void
    }
  )
}
