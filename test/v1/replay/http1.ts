/**
 * HTTP/1.1 out of WebSocket messages, for both ends of a transcript: nothing of what is tested is used.
 */

export interface Message {
  /** The request line or the status line. */
  readonly start: string
  readonly fields: ReadonlyArray<readonly [name: string, value: string]>
  /** The last one: a handler's own comes before it. */
  readonly id: string | undefined
  body: Buffer
  whole: boolean
}

export const valuesOf = ({ fields }: Message, name: string): ReadonlyArray<string> =>
  fields.flatMap(([own, value]) => own === name ? [value] : [])

export const methodOf = ({ start }: Message): string => start.split(" ")[0]!
export const targetOf = ({ start }: Message): string => start.split(" ")[1]!
export const statusOf = ({ start }: Message): number => Number(start.split(" ")[1])

const nothing = Buffer.alloc(0)

type State =
  | { readonly _tag: "head" }
  | { readonly _tag: "length" | "chunk"; left: number }
  | { readonly _tag: "chunkEnd" | "size" | "trailers" | "endless" }

/** Start line and fields. */
const strictly = /^([^\r\n]+)\r\n((?:[^\r\n]+\r\n)*)\r\n/
const leniently = /^(?:\r?\n)*([^\r\n]+)\r?\n((?:[^\r\n]+\r?\n)*)\r?\n/

const isBodiless = (method: string, status: number): boolean => method === "HEAD" || status === 204 || status === 304

export class Reader {
  /** Interim responses left out. */
  readonly messages: Array<Message> = []
  readonly #requestMethod: ((id: string | undefined, index: number) => string) | undefined
  readonly #recovers: boolean
  #rest: Buffer = nothing
  #state: State = { _tag: "head" }

  /**
   * Of responses if it is given: the method that the response is for. `recovers`: there may be empty lines, and chunked
   * responses without an end, as in the transcripts.
   */
  constructor(recovers: boolean, requestMethod?: (id: string | undefined, index: number) => string) {
    this.#requestMethod = requestMethod
    this.#recovers = recovers
  }

  /** A message has begun and not ended. */
  get busy(): boolean {
    return this.#state._tag !== "head" || this.#rest.length > 0
  }

  /** Answers whether bytes of one message come behind the end of another. */
  push(data: Buffer): boolean {
    const before = this.messages.length
    const wasBusy = this.busy
    if (this.#recovers && this.#state._tag === "size" && data.toString("latin1", 0, 5) === "HTTP/") {
      this.#state = { _tag: "head" }
    }
    this.#rest = Buffer.concat([this.#rest, data])
    while (this.#step());
    const begun = this.messages.length - before + (this.#state._tag === "head" && this.#rest.length > 0 ? 1 : 0)
    const ended = this.messages.slice(wasBusy ? Math.max(0, before - 1) : before).some(({ whole }) => whole)
    return begun > 1 || (wasBusy && before > 0 && begun > 0 && ended)
  }

  #take(count: number): Buffer {
    const taken = this.#rest.subarray(0, count)
    this.#rest = this.#rest.subarray(taken.length)
    return taken
  }

  #line(): string | undefined {
    const end = this.#rest.indexOf("\n")
    return end === -1 ? undefined : this.#take(end + 1).toString("latin1").replace(/\r?\n$/, "")
  }

  #end(): void {
    this.messages.at(-1)!.whole = true
    this.#state = { _tag: "head" }
  }

  /** Answers whether there may be more to do. */
  #step(): boolean {
    const state = this.#state
    switch (state._tag) {
      case "head":
        return this.#head()
      case "endless":
        this.messages.at(-1)!.body = Buffer.concat([this.messages.at(-1)!.body, this.#take(this.#rest.length)])
        return false
      case "length":
      case "chunk": {
        const message = this.messages.at(-1)!
        const part = this.#take(state.left)
        message.body = Buffer.concat([message.body, part])
        state.left -= part.length
        if (state.left > 0) return false
        if (state._tag === "length") this.#end()
        else this.#state = { _tag: "chunkEnd" }
        return true
      }
      default: {
        const line = this.#line()
        if (line === undefined) return false
        if (state._tag === "chunkEnd") {
          if (line !== "") throw new Error(`behind a chunk: ${line}`)
          this.#state = { _tag: "size" }
        } else if (state._tag === "size") {
          if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`no size of a chunk: ${line}`)
          const left = parseInt(line, 16)
          this.#state = left === 0 ? { _tag: "trailers" } : { _tag: "chunk", left }
        } else if (line === "") {
          this.#end()
        }
        return true
      }
    }
  }

  #head(): boolean {
    const text = this.#rest.toString("latin1")
    const match = (this.#recovers ? leniently : strictly).exec(text)
    if (match === null) {
      if (this.#recovers && /^[\r\n]*$/.test(text)) this.#rest = nothing
      return false
    }
    this.#take(match[0].length)
    const fields = match[2]!.split(/\r?\n/).filter((line) => line !== "").map((line) => {
      const colon = line.indexOf(":")
      if (colon < 1) throw new Error(`no field: ${line}`)
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    })
    const id = fields.findLast(([name]) => name === "x-correlation-id")?.[1]
    const message: Message = { start: match[1]!, fields, id, body: nothing, whole: false }
    const isResponse = this.#requestMethod !== undefined
    if (isResponse && statusOf(message) < 200) return true
    const method = isResponse ? this.#requestMethod(id, this.messages.length) : methodOf(message)
    this.messages.push(message)
    const [length] = valuesOf(message, "content-length")
    const isChunked = valuesOf(message, "transfer-encoding").includes("chunked")
    if (isResponse && isBodiless(method, statusOf(message))) this.#end()
    else if (isChunked) this.#state = { _tag: "size" }
    else if (length !== undefined) this.#state = { _tag: "length", left: Number(length) }
    else if (isResponse) this.#state = { _tag: "endless" }
    else this.#end()
    return true
  }
}
