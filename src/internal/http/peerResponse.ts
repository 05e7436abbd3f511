/**
 * A `Response` with what only the platform's own `fetch` can give: a URL, cookies in browsers, and the error of its body.
 */
import { type Failure, readers, readWith } from "./webBody.ts"

/** What a response says of its call. */
interface About {
  readonly url: string
  readonly redirected: boolean
}

/**
 * A body that is in memory, as the source of a stream. It has one reader: of the stream, or of the bytes.
 *
 * @internal
 */
export class WholeBody implements UnderlyingDefaultSource<Uint8Array> {
  readonly failure: Failure = {}
  readonly #bytes: Uint8Array
  readonly #signal: AbortSignal | undefined
  isRead = false

  /** Whoever reads it after `signal` is aborted fails with its reason. */
  constructor(bytes: Uint8Array, signal: AbortSignal | undefined) {
    this.#bytes = bytes
    this.#signal = signal
  }

  take(): Uint8Array {
    if (this.isRead) throw new TypeError("the body was read before")
    this.isRead = true
    this.#signal?.throwIfAborted()
    return this.#bytes
  }

  pull(controller: ReadableStreamDefaultController<Uint8Array>): void {
    try {
      const bytes = this.take()
      if (bytes.length > 0) controller.enqueue(bytes)
      controller.close()
    } catch (error) {
      this.failure.thrown = { error }
      controller.error(error)
    }
  }
}

const decoder = new TextDecoder()

/**
 * Its body is that of the platform, which functions such as `respondWith` read. But text and JSON of a body that is in memory are
 * read from there: a stream takes much longer.
 *
 * @internal
 */
export class PeerResponse extends Response {
  readonly #about: About
  readonly #headers: Headers
  readonly #failure: Failure
  #whole: WholeBody | undefined

  static {
    for (const name of readers) {
      Object.defineProperty(this.prototype, name, {
        configurable: true,
        writable: true,
        value(this: PeerResponse) {
          return this.#fromMemory(name) ?? readWith(name, this, this.#failure)
        }
      })
    }
  }

  /** `failure`: that of a body that is a stream. */
  constructor(
    body: WholeBody | ReadableStream<Uint8Array> | null,
    init: { readonly status: number; readonly headers: Headers },
    about: About,
    failure: Failure = {}
  ) {
    const whole = body instanceof WholeBody ? body : undefined
    super((whole === undefined ? body : new ReadableStream(whole, { highWaterMark: 0 })) as BodyInit, init)
    this.#about = about
    this.#headers = init.headers
    this.#failure = whole?.failure ?? failure
    this.#whole = whole
  }

  override get url(): string {
    return this.#about.url
  }

  override get redirected(): boolean {
    return this.#about.redirected
  }

  override get headers(): Headers {
    return this.#headers
  }

  override get bodyUsed(): boolean {
    return this.#whole?.isRead === true || super.bodyUsed
  }

  override clone(): Response {
    if (this.bodyUsed) throw new TypeError("the body was read before")
    const { status } = this
    const { body } = super.clone()
    // Both have a branch of the stream now.
    this.#whole = undefined
    return new PeerResponse(body, { status, headers: new Headers(this.#headers) }, this.#about, this.#failure)
  }

  /** Nothing where the body is not in memory, was read or cancelled, has a reader, or is wanted as something else. */
  #fromMemory(name: typeof readers[number]): Promise<unknown> | undefined {
    const whole = this.#whole
    if (whole === undefined || this.bodyUsed || (name !== "text" && name !== "json") || super.body?.locked === true) {
      return undefined
    }
    try {
      const text = decoder.decode(whole.take())
      return Promise.resolve(name === "text" ? text : JSON.parse(text))
    } catch (cause) {
      return Promise.reject(cause)
    }
  }
}
