/**
 * Hashes a request's body while the handler reads it: one that is too long for memory, or of unknown length.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpServerError, RequestParseError } from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { BodyDigest, type BodyPrint, unreadPrint } from "./bodyDigest.ts"

type Chunks = NonEmptyReadonlyArray<Uint8Array>
type Source = Pull.Pull<Chunks, HttpServerError>

/** How long to wait for the rest of a body that the handler has not read. A guess: enough for a slow uplink that is in use. */
const restTimeout = Duration.seconds(10)

/** @internal */
export class WatchedBody {
  readonly #request: HttpServerRequest.HttpServerRequest
  readonly #digest: BodyDigest
  readonly #scope = Scope.makeUnsafe()
  readonly #lock = Semaphore.makeUnsafe(1)
  #source: Source | undefined
  /** How the body ended. */
  #end: Cause.Cause<HttpServerError | Cause.Done> | undefined

  /** Only the first `limit` bytes are hashed. */
  constructor(request: HttpServerRequest.HttpServerRequest, boundary: string | undefined, limit: number) {
    this.#request = request
    this.#digest = new BodyDigest(boundary, limit)
  }

  /** The body for the handler. A second reader goes on where the first one has stopped. */
  get stream(): Stream.Stream<Uint8Array, HttpServerError> {
    return Stream.fromPull(Effect.succeed(this.#next))
  }

  /** Begins to read. Node discards a body that was not begun when the response is written. */
  get open(): Effect.Effect<void> {
    return Effect.suspend(() => this.#isReadElsewhere ? Effect.void : Effect.asVoid(this.#opened))
  }

  /** Reads up to `limit` bytes that the handler has not read. The result is the print of the body. */
  finish(limit: number): Effect.Effect<BodyPrint> {
    let left = limit
    const rest = this.#readWhile((size) => (left -= size) > 0)
    return Effect.suspend(() =>
      this.#isReadElsewhere
        ? Effect.succeed(unreadPrint)
        : Effect.andThen(Effect.timeoutOption(rest, restTimeout), this.#print)
    )
  }

  /** Reads as much as the comparison with another body needs. */
  get compared(): Effect.Effect<BodyPrint> {
    return Effect.andThen(this.#readWhile(() => !this.#digest.exceeded), this.#print)
  }

  #readWhile(goesOn: (size: number) => boolean): Effect.Effect<void> {
    const loop: Pull.Pull<void, HttpServerError> = Effect.flatMap(this.#next, (chunks) => {
      let size = 0
      for (const chunk of chunks) size += chunk.length
      return goesOn(size) ? loop : Effect.void
    })
    return Effect.asVoid(Effect.exit(Effect.interruptible(loop)))
  }

  get #print(): Effect.Effect<BodyPrint> {
    const end = Effect.suspend(() => {
      const isWhole = this.#end !== undefined && Pull.isDoneCause(this.#end)
      this.#end ??= Cause.fail(this.#over)
      return Effect.promise(() => this.#digest.end(isWhole))
    })
    return Effect.ensuring(this.#lock.withPermit(end), Scope.close(this.#scope, Exit.void))
  }

  get #over(): HttpServerError {
    const reason = new RequestParseError({ request: this.#request, description: "the request is over" })
    return new HttpServerError({ reason })
  }

  /** True if the handler reads the platform's own request: nothing else may read it then. */
  get #isReadElsewhere(): boolean {
    const source = this.#request.source as { readonly readableDidRead?: boolean; readonly bodyUsed?: boolean }
    return this.#source === undefined && (source.readableDidRead === true || source.bodyUsed === true)
  }

  get #opened(): Effect.Effect<Source> {
    return Effect.suspend(() =>
      this.#source !== undefined ? Effect.succeed(this.#source) : Stream.toPull(this.#request.stream).pipe(
        Scope.provide(this.#scope),
        Effect.tap((source) =>
          Effect.sync(() => {
            this.#source = source
          })
        )
      )
    )
  }

  /** The next chunks. Readers take turns: chunks are hashed before the next ones are read. */
  get #next(): Source {
    return this.#lock.withPermit(Effect.uninterruptibleMask((restore) => {
      if (this.#end !== undefined) return Effect.failCause(this.#end)
      return Effect.matchCauseEffect(Effect.flatMap(this.#opened, restore), {
        onFailure: (cause) => {
          // An interruption ends the reader, and not the body.
          if (!Cause.hasInterrupts(cause)) this.#end = cause
          return Effect.failCause(cause)
        },
        onSuccess: (chunks) => {
          const hashed = this.#hash(chunks)
          return hashed === undefined ? Effect.succeed(chunks) : Effect.as(Effect.promise(() => hashed), chunks)
        }
      })
    }))
  }

  #hash(chunks: Chunks): Promise<void> | undefined {
    for (let index = 0; index < chunks.length; index++) {
      const hashed = this.#digest.add(chunks[index]!)
      if (hashed !== undefined) return this.#hashRest(hashed, chunks.slice(index + 1))
    }
    return undefined
  }

  async #hashRest(hashed: Promise<void>, chunks: ReadonlyArray<Uint8Array>): Promise<void> {
    await hashed
    for (const chunk of chunks) await this.#digest.add(chunk)
  }
}
