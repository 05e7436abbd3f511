/**
 * Responses whose body writes itself to the stream of its exchange, without passing through Effect's streams.
 */
import type * as Effect from "effect/Effect"
import type { HttpServerError } from "effect/http/HttpServerError"
import type { Fields } from "../frame/Frame.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream } from "../streams/stream.ts"
import type { Room } from "./room.ts"

/** What such a body needs of the exchange that it answers. @internal */
export interface Answered {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  /** Shows a drain how far the reader of the answer has come. */
  room: Room | undefined
}

/** The body of `HttpServerResponse.raw`. @internal */
export abstract class TakenOver {
  /** The single `set-cookie` fields: the headers of a response have one value for each name. */
  abstract readonly cookies: ReadonlyArray<string>

  /** Sends the head with these fields, and the body to its end. `isBodiless`: the head is all. */
  abstract respond(
    exchange: Answered,
    status: number,
    fields: Fields,
    isBodiless: boolean
  ): Effect.Effect<void, HttpServerError>

  /** The response is not sent: another one is, or none. */
  abstract cancel(): void
}
