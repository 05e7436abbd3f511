/**
 * One trace with one peer: the runner's links, what it has counted on them, and the handshakes of either role.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type Deviation, deviation, type End } from "./end.ts"
import { filled, matches } from "./values.ts"

type Json = Readonly<Record<string, unknown>>

/** Opens a link to the peer, or waits for the one that the peer opens. @internal */
export type NextLink = Effect.Effect<End, Deviation>

/** Room for whatever a trace has a peer send; no head table, so that no frame depends on another. */
const settings = { headTableSize: 0, streamWindow: 1 << 20, connectionWindow: 1 << 24 }

const session = { windowMillis: 60_000, replayBuffer: 1 << 20 }

/** @internal */
export class Conversation {
  /** That of the runner. */
  readonly role: "client" | "server"
  readonly #nextLink: NextLink
  readonly #name: string
  #end: End | undefined
  /** Links of the connection, the latest one last. */
  readonly links: Array<End> = []
  /** Counted messages of the peer, in order, as they were on the links before the present one. */
  readonly #before: Array<Uint8Array> = []
  readonly #sentBefore: Array<Uint8Array> = []
  /** All counted messages that the peer had sent when the link before the present one was left. */
  seen: ReadonlyArray<Uint8Array> = []
  /** What the peer has said in its last handshake. */
  said: Json = {}
  #offered = 0
  /** Both have said that they keep one. */
  hasSession = false
  /** Attempts of this runner to resume, and the highest number of the peer's. */
  #attempt = 0
  /** Credit of the connection that the peer has given. */
  credit = 0
  /** Streams that the runner has opened. */
  streams = 0

  constructor(role: "client" | "server", nextLink: NextLink, name: string) {
    this.role = role
    this.#nextLink = nextLink
    this.#name = name
  }

  get end(): End {
    if (this.#end === undefined) throw new Error(`${this.#name}: a step needs a link, and there is none`)
    return this.#end
  }

  /** Counted messages of the peer, from the first one of the connection. */
  get received(): ReadonlyArray<Uint8Array> {
    return [...this.#before, ...this.#end?.received ?? []]
  }

  /** How many of them arrived on links before the present one. */
  get kept(): number {
    return this.#before.length
  }

  get sent(): ReadonlyArray<Uint8Array> {
    return [...this.#sentBefore, ...this.#end?.sent ?? []]
  }

  get variables(): Json {
    const welcome = this.said as { readonly connectionId?: unknown; readonly session?: Json; readonly settings?: Json }
    return {
      received: this.received.length,
      sent: this.sent.length,
      connectionId: welcome.connectionId,
      token: welcome.session?.token,
      epoch: welcome.session?.epoch,
      limit: welcome.settings?.maxConcurrentStreams ?? 100,
      attempt: this.#attempt,
      name: this.#name
    }
  }

  /** So many messages count as received and sent on the links before the next one. */
  #keep(keepReceived: number, keepSent: number): void {
    if (this.received.length > this.seen.length) this.seen = this.received
    const received = this.received.slice(0, keepReceived)
    const sent = this.sent.slice(0, keepSent)
    this.#before.splice(0, this.#before.length, ...received)
    this.#sentBefore.splice(0, this.#sentBefore.length, ...sent)
  }

  get open(): Effect.Effect<End, Deviation> {
    return Effect.map(this.#nextLink, (end) => {
      this.#end = end
      this.links.push(end)
      if (this.hasSession) this.#acknowledge(end)
      return end
    })
  }

  /** The next handshake text of the peer, which has a type. */
  text(pattern: Json): Effect.Effect<Json, Deviation> {
    const what = `the text ${JSON.stringify(pattern)}`
    return this.end.take(what, (event) => {
      if (event._tag !== "Text") return undefined
      const message: unknown = JSON.parse(event.text)
      return Predicate.isObject(message) && matches(message, filled(pattern, this.variables))
        ? message as Json
        : undefined
    })
  }

  /** PINGs of the peer are answered with an ACK as well. */
  #acknowledge(end: End): void {
    this.hasSession = true
    end.acknowledged = () => this.received.length
  }

  #noteSaid(said: Json): void {
    this.said = said
    const window = (said.settings as Json | undefined)?.connectionWindow
    this.credit = typeof window === "number" ? window : 1_048_576
  }

  /** A first handshake, as it should be, with other members where the trace has them. */
  handshake(members: Json): Effect.Effect<void, Deviation> {
    return Effect.gen({ self: this }, function*() {
      const end = this.#end ?? (yield* this.open)
      const own = filled(members, this.variables) as Json
      const mine = { ...own, settings: { ...settings, ...own.settings as Json } }
      if (this.role === "client") {
        const { session, ...rest } = mine as Json
        end.send(JSON.stringify({ type: "hello", version: 2, ...rest, ...session === null ? undefined : { session } }))
        this.#noteSaid(yield* this.text({ type: "welcome" }))
        if (this.said.session !== undefined) this.#acknowledge(end)
        end.send(`{"type":"ready"}`)
      } else {
        const hello = yield* this.text({ type: "hello" })
        this.#noteSaid(hello)
        const welcome = this.welcome(mine, hello, false)
        if (welcome.session !== undefined) this.#acknowledge(end)
        end.send(JSON.stringify({ type: "welcome", version: 2, ...welcome }))
        yield* this.text({ type: "ready" })
      }
    })
  }

  /** What a server that goes on with a connection, or begins one, says. */
  welcome(members: Json, hello: Json, resumed: boolean): Json {
    this.#offered++
    const offer = hello.session === undefined || members.session === null
      ? undefined
      : { ...session, token: `token ${this.#offered}`, epoch: "of the runner", ...members.session as Json }
    return { connectionId: this.#name, resumed, ...members, session: offer }
  }

  /**
   * A handshake that resumes the connection on another link. `resume` and `members` change what the runner says. Without `ready` it
   * ends with the welcome.
   */
  resume(resume: Json, members: Json, ready: boolean): Effect.Effect<void, Deviation> {
    return this.role === "client"
      ? this.#resumeAsClient(resume, members, ready)
      : this.#resumeAsServer(resume, members, ready)
  }

  #resumeAsClient(changed: Json, members: Json, ready: boolean): Effect.Effect<void, Deviation> {
    return Effect.gen({ self: this }, function*() {
      this.#attempt++
      const { attempt, connectionId, epoch, received, token } = this.variables
      const resume = { connectionId, epoch, received, token, attempt, ...filled(changed, this.variables) as Json }
      this.#keep(Number(resume.received), this.sent.length)
      const end = yield* this.open
      end.send(JSON.stringify({ type: "hello", version: 2, settings, session, resume, ...members }))
      if (!ready) return
      const welcome = yield* this.text({ type: "welcome", resumed: true, connectionId: resume.connectionId })
      this.said = welcome
      const has = (welcome.session as Json | undefined)?.received
      if (typeof has !== "number") return yield* deviation("expected session.received in a welcome that resumes")
      yield* this.#checkCount(has)
      end.send(`{"type":"ready"}`)
    })
  }

  /** A peer can't have received more counted messages than were sent. */
  #checkCount(received: number): Effect.Effect<void, Deviation> {
    const sent = this.sent.length
    return received > sent ? deviation(`expected a count of ${sent} at most, received ${received}`) : Effect.void
  }

  #resumeAsServer(changed: Json, members: Json, ready: boolean): Effect.Effect<void, Deviation> {
    return Effect.gen({ self: this }, function*() {
      const before = this.variables
      const [received, sent] = [this.received.length, this.sent.length]
      this.#keep(received, sent)
      const end = yield* this.open
      const hello = yield* this.text({
        type: "hello",
        resume: { connectionId: this.#name, received: { is: "number" } }
      })
      const { attempt, received: has, token } = hello.resume as Json
      yield* this.#checkCount(Number(has))
      if (token !== `token ${this.#offered}`) {
        return yield* deviation(`expected the last token, received ${String(token)}`)
      }
      if (attempt !== undefined && !(Number(attempt) > this.#attempt)) {
        return yield* deviation(`expected an attempt above ${this.#attempt}, received ${String(attempt)}`)
      }
      this.#attempt = Number(attempt ?? this.#attempt)
      this.#keep(Number(filled(changed.received ?? before.received, before)), Number(has))
      const told = { received: this.received.length, ...filled(changed, before) as Json }
      const mine = { settings, ...members, session: { ...told, ...members.session as Json } }
      this.said = hello
      end.send(JSON.stringify({ type: "welcome", version: 2, ...this.welcome(mine, hello, true) }))
      if (ready) yield* this.text({ type: "ready" })
    })
  }
}
