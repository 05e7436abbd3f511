/**
 * Converts an Effect stream to a body of the Fetch Standard.
 */
import type * as Context from "effect/Context"
import * as Stream from "effect/Stream"

const broken = (cause: unknown): TypeError =>
  cause instanceof TypeError ? cause : new TypeError("terminated", { cause })

/** The error that a body has failed with. @internal */
export interface Failure {
  thrown?: { readonly error: unknown }
}

/**
 * Each part is read when the reader asks for it, so that no part is lost when `signal` is aborted. The reader then fails with
 * the signal's reason. If the stream fails, the reader fails with a `TypeError`.
 *
 * @internal
 */
export const toReadable = (
  stream: Stream.Stream<Uint8Array, unknown>,
  signal: AbortSignal | undefined,
  context: Context.Context<never>,
  failure: Failure = {}
): ReadableStream<Uint8Array> => {
  const body = new Body(stream, context, failure)
  // The signal may live as long as the program, and must not keep a response that is not read.
  const reference = new WeakRef(body)
  const onAbort = () => reference.deref()?.fail(signal!.reason)
  body.onEnd = () => signal?.removeEventListener("abort", onAbort)
  const readable = new ReadableStream(body, { highWaterMark: 0 })
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener("abort", onAbort, { once: true })
  return readable
}

type Reader = "arrayBuffer" | "blob" | "bytes" | "formData" | "json" | "text"

/** Taken once: `@hono/node-server` puts a class of its own in the place of the global, whose methods are for its own objects. */
const platform = Response.prototype

/** The methods of this platform that read a body whole. Older ones have no `bytes`. @internal */
export const readers = (["arrayBuffer", "blob", "bytes", "formData", "json", "text"] as const)
  .filter((name) => name in platform)

/**
 * Reads a body whole. Rejects with the error of the body: the methods of browsers reject with their own `TypeError`, which does
 * not tell the cause.
 *
 * @internal
 */
export const readWith = async (name: Reader, body: Response, failure: Failure): Promise<unknown> => {
  const isUnread = !body.bodyUsed && body.body?.locked !== true
  try {
    return await (platform[name] as () => Promise<unknown>).call(body)
  } catch (cause) {
    throw isUnread && failure.thrown !== undefined ? failure.thrown.error : cause
  }
}

/** No fiber lives between two reads, so a reader that stops reading leaves none behind. */
class Body implements UnderlyingDefaultSource<Uint8Array> {
  onEnd: () => void = () => {}
  readonly #parts: AsyncIterator<Uint8Array>
  readonly #failure: Failure
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #isRead = false
  #isOver = false

  constructor(stream: Stream.Stream<Uint8Array, unknown>, context: Context.Context<never>, failure: Failure) {
    this.#parts = Stream.toAsyncIterableWith(stream, context)[Symbol.asyncIterator]()
    this.#failure = failure
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller
  }

  async pull(): Promise<void> {
    this.#isRead = true
    try {
      const { done, value } = await this.#parts.next()
      if (this.#isOver) return
      if (done !== true) return this.#controller.enqueue(value)
      this.#end()
      this.#controller.close()
    } catch (cause) {
      if (this.#isOver) return
      this.#end()
      this.#error(broken(cause))
    }
  }

  cancel(): void {
    this.#end()
    // A stream that was not read is begun as well: only its finalizers release what it would have read.
    if (!this.#isRead) this.#parts.next().catch(() => {})
    this.#parts.return!().catch(() => {})
  }

  fail(reason: unknown): void {
    if (this.#isOver) return
    this.#error(reason)
    this.cancel()
  }

  #error(reason: unknown): void {
    this.#failure.thrown = { error: reason }
    this.#controller.error(reason)
  }

  #end(): void {
    this.#isOver = true
    this.onEnd()
  }
}
