/**
 * A stream of Effect as a body of the Fetch Standard.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { Gate } from "../scheduling/gate.ts"

const broken = (cause: unknown): TypeError =>
  cause instanceof TypeError ? cause : new TypeError("terminated", { cause })

/** What a body has failed with, if it has. @internal */
export class Failure {
  isSet = false
  error: unknown = undefined

  set(error: unknown): void {
    this.isSet = true
    this.error = error
  }
}

/**
 * A part is read when somebody asks for it, so that nothing waits in here when the signal is aborted. Then the reader fails
 * with its reason. A stream that breaks is a `TypeError`.
 *
 * @internal
 */
export const toReadable = (
  stream: Stream.Stream<Uint8Array, unknown>,
  signal: AbortSignal | undefined,
  context: Context.Context<never>,
  failure: Failure = new Failure()
): ReadableStream<Uint8Array> => {
  const body = new Body(stream, context, failure)
  // The signal may live as long as the program; a response that nobody reads must not.
  const reference = new WeakRef(body)
  const onAbort = () => reference.deref()?.fail(signal!.reason)
  body.onEnd = () => signal?.removeEventListener("abort", onAbort)
  const readable = new ReadableStream(body, { highWaterMark: 0 })
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener("abort", onAbort, { once: true })
  return readable
}

const readers = ["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const

/**
 * What reads a body whole, for an object that has it. Each rejects with what the body has failed with: those of browsers reject
 * with a `TypeError` of their own that does not tell.
 *
 * @internal
 */
export const readersOf = (body: Response, failure: Failure): PropertyDescriptorMap => {
  const members: PropertyDescriptorMap = {}
  for (const name of readers) {
    // `bytes` is newer than the others.
    const read = Response.prototype[name] as (() => Promise<unknown>) | undefined
    if (read === undefined) continue
    members[name] = {
      value: async () => {
        const isUnread = !body.bodyUsed && body.body?.locked !== true
        try {
          return await read.call(body)
        } catch (cause) {
          throw isUnread && failure.isSet ? failure.error : cause
        }
      }
    }
  }
  return members
}

class Body implements UnderlyingDefaultSource<Uint8Array> {
  onEnd: () => void = () => {}
  readonly #stream: Stream.Stream<Uint8Array, unknown>
  readonly #context: Context.Context<never>
  readonly #failure: Failure
  readonly #gate = new Gate()
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #fiber: Fiber.Fiber<void, unknown> | undefined = undefined
  #isWanted = false
  #isOver = false

  constructor(stream: Stream.Stream<Uint8Array, unknown>, context: Context.Context<never>, failure: Failure) {
    this.#stream = stream
    this.#context = context
    this.#failure = failure
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller
  }

  pull(): void {
    this.#isWanted = true
    if (this.#fiber === undefined) this.#run()
    else this.#gate.notify()
  }

  cancel(): void {
    this.#stop()
  }

  fail(reason: unknown): void {
    if (this.#isOver) return
    this.#error(reason)
    this.#stop()
  }

  #error(reason: unknown): void {
    this.#failure.set(reason)
    this.#controller.error(reason)
  }

  /** The end of the stream's fiber lets go of what it reads. */
  #stop(): void {
    this.#end()
    if (this.#fiber === undefined) this.#run()
    this.#fiber?.interruptUnsafe()
  }

  #end(): void {
    this.#isOver = true
    this.onEnd()
  }

  #run(): void {
    this.#fiber = Effect.runForkWith(this.#context)(
      Stream.runForEach(this.#stream, (part) =>
        Effect.map(this.#gate.until(() => this.#isWanted), () => {
          if (this.#isOver) return
          this.#isWanted = false
          this.#controller.enqueue(part)
        }))
    )
    this.#fiber.addObserver((exit) => {
      if (this.#isOver) return
      this.#end()
      if (exit._tag === "Success") this.#controller.close()
      else this.#error(broken(Cause.squash(exit.cause)))
    })
  }
}
