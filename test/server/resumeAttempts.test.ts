/**
 * All orders in which the attempts of one client to resume its connection can reach the server (PROTOCOL.md, "Resuming"):
 * what the client has given up may arrive, be authenticated, and be noticed as broken, at any later time. The server's side
 * is the one of this package; client, network and authentication are a model.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { Attachment } from "../../src/internal/connection/attachment.ts"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import type { Resume } from "../../src/internal/handshake/model.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { Party } from "../../src/internal/quota/party.ts"
import { InterruptedSessions } from "../../src/internal/server/interruptedSessions.ts"
import { KeptSession } from "../../src/internal/server/keptSession.ts"
import { KeptSessions } from "../../src/internal/server/keptSessions.ts"
import { Session } from "../../src/internal/session/session.ts"
import { Tokens } from "../../src/internal/session/token.ts"

type ToServer = { readonly _tag: "Hello"; readonly resume: Resume } | { readonly _tag: "Ready" }

type ToClient = { readonly _tag: "Welcome"; readonly token: string } | { readonly _tag: "Close"; readonly why: string }

type ServerState =
  | { readonly _tag: "Greeting" }
  | { readonly _tag: "Authenticating"; readonly resume: Resume }
  /** The connection acts on the rest of a message of an earlier link. */
  | { readonly _tag: "Settling"; readonly resume: Resume; readonly handshake: number }
  | { readonly _tag: "Welcomed"; readonly handshake: number }
  | { readonly _tag: "Live" }
  | { readonly _tag: "Closed" }

interface ModelLink {
  readonly toServer: Array<ToServer>
  readonly toClient: Array<ToClient>
  /** The client has given it up, or it has broken; what is on its way to the server may still arrive. */
  isAbandoned: boolean
  state: ServerState
}

const id = "the connection"

/** A client with a live link, and its server. */
class World {
  readonly links: Array<ModelLink> = [{ toServer: [], toClient: [], isAbandoned: false, state: { _tag: "Live" } }]
  readonly issued: Array<string> = []
  readonly tokens = new Tokens(this.issue())
  readonly sessions = new KeptSessions<null, null>(
    "epoch",
    new InterruptedSessions(() => new Party([], () => {}), () => {}, (step) => step()),
    () => true
  )
  readonly kept: KeptSession<null, null>
  readonly maxAttempts: number
  readonly isNumbered: boolean
  token = this.tokens.current
  attempts = 0
  highest = 0
  isReady = true
  /** Why the client has lost its connection. */
  lost: string | undefined = undefined

  constructor(maxAttempts: number, isNumbered: boolean) {
    this.maxAttempts = maxAttempts
    this.isNumbered = isNumbered
    const driver = { now: "open", principal: null, untilFinished: () => Effect.void, dropLink: () => this.dropLive() }
    const session = new Session(1_000_000, 1_000_000)
    this.kept = new KeptSession(
      driver as unknown as ConnectionDriver<null, null>,
      session,
      this.tokens,
      60_000,
      Scope.makeUnsafe()
    )
    this.sessions.add(id, this.kept)
  }

  issue(): string {
    this.issued.push(`token ${this.issued.length}`)
    return this.issued.at(-1)!
  }

  /** The client's newest link. */
  get link(): ModelLink {
    return this.links.at(-1)!
  }

  close(link: ModelLink, why: string): void {
    link.state = { _tag: "Closed" }
    link.toClient.push({ _tag: "Close", why })
  }

  dropLive(): void {
    for (const link of this.links) if (link.state._tag === "Live") this.close(link, "REPLACED")
  }

  /** What can happen next, by name. */
  get events(): ReadonlyMap<string, () => void> {
    const events = new Map<string, () => void>()
    if (this.lost !== undefined) return events
    const { link } = this
    if (!link.isAbandoned && this.attempts < this.maxAttempts) {
      events.set("the client gives its link up", () => {
        link.isAbandoned = true
        this.isReady = false
      })
    }
    if (link.isAbandoned) events.set("the client dials", () => this.dial())
    if (!link.isAbandoned && link.toClient.length > 0) events.set("the client receives", () => this.atClient(link))
    this.links.forEach((link, index) => {
      const { state } = link
      if (link.toServer.length > 0 && (state._tag === "Greeting" || state._tag === "Welcomed")) {
        events.set(`link ${index}: the server receives`, () => this.atServer(link))
      }
      if (state._tag === "Authenticating") {
        events.set(`link ${index}: authentication ends`, () => this.admit(link, state.resume))
      }
      if (state._tag === "Settling") {
        events.set(`link ${index}: nothing is left of earlier links`, () => this.settled(link, state))
      }
      if (link.isAbandoned && state._tag !== "Closed") {
        events.set(`link ${index}: the server sees it broken`, () => {
          link.state = { _tag: "Closed" }
        })
      }
    })
    return events
  }

  dial(): void {
    this.attempts++
    const resume = {
      connectionId: id,
      token: Redacted.make(this.token),
      epoch: this.sessions.epoch,
      received: 0,
      ...(this.isNumbered ? { attempt: this.attempts } : undefined)
    }
    this.links.push({
      toServer: [{ _tag: "Hello", resume }],
      toClient: [],
      isAbandoned: false,
      state: { _tag: "Greeting" }
    })
  }

  atClient(link: ModelLink): void {
    const message = link.toClient.shift()!
    if (message._tag === "Close") {
      this.lost = message.why
      return
    }
    this.token = message.token
    this.isReady = true
    link.toServer.push({ _tag: "Ready" })
  }

  atServer(link: ModelLink): void {
    const message = link.toServer.shift()!
    if (message._tag === "Hello") {
      link.state = { _tag: "Authenticating", resume: message.resume }
      return
    }
    const { handshake } = link.state as Extract<ServerState, { readonly _tag: "Welcomed" }>
    const unwanted = this.kept.hand(handshake, new Attachment({} as Link, Effect.void, 0, 0))
    if (unwanted !== undefined) return this.close(link, unwanted)
    Effect.runSync(this.kept.take())
    link.state = { _tag: "Live" }
  }

  admit(link: ModelLink, resume: Resume): void {
    const found = this.sessions.find(resume, null)
    if (found !== this.kept) return this.close(link, String(found))
    link.state = { _tag: "Settling", resume, handshake: this.kept.supersede(resume.attempt) }
    this.highest = resume.attempt ?? 0
  }

  settled(link: ModelLink, { handshake, resume }: Extract<ServerState, { readonly _tag: "Settling" }>): void {
    if (!Effect.runSync(this.kept.settled(handshake))) return this.close(link, "REPLACED")
    const token = this.tokens.rotate(Redacted.value(resume.token), this.issue())
    link.state = { _tag: "Welcomed", handshake }
    link.toClient.push({ _tag: "Welcome", token })
  }

  /** Equal for worlds that go on alike. */
  get key(): string {
    const valid = this.issued.filter((token) => this.tokens.isValid(token))
    const { attempts, highest, isReady, links, lost, token } = this
    return JSON.stringify(
      [attempts, highest, isReady, links, lost, token, valid],
      (_key, value: unknown) => Redacted.isRedacted(value) ? Redacted.value(value) : value
    )
  }
}

interface Explored {
  readonly states: number
  /** Orders of events after which the client has lost its connection to itself. */
  readonly lost: ReadonlyArray<string>
  /** Orders of events after which nothing is to come, and the client has no live link. */
  readonly stuck: ReadonlyArray<string>
}

const explore = (maxAttempts: number, isNumbered: boolean): Explored => {
  const seen = new Set<string>()
  const lost: Array<string> = []
  const stuck: Array<string> = []
  const todo: Array<ReadonlyArray<string>> = [[]]
  while (todo.length > 0) {
    const path = todo.pop()!
    const world = new World(maxAttempts, isNumbered)
    for (const event of path) world.events.get(event)!()
    if (seen.has(world.key)) continue
    seen.add(world.key)
    if (world.lost !== undefined) lost.push(`${path.join(", ")}: ${world.lost}`)
    const next = [...world.events.keys()]
    if (next.length === 0 && !(world.isReady && world.link.state._tag === "Live")) stuck.push(path.join(", "))
    for (const event of next) todo.push([...path, event])
  }
  return { states: seen.size, lost, stuck }
}

describe("orders of a client's attempts to resume", () => {
  // Three take 20 seconds, and hold as well.
  it("the last of two attempts of a client to resume always has the connection, in all orders of messages", () => {
    const { lost, states, stuck } = explore(2, true)
    assert.isAbove(states, 100)
    assert.deepStrictEqual(lost, [])
    assert.deepStrictEqual(stuck, [])
  })

  it("a client that does not number its attempts to resume can lose the connection to itself", () => {
    assert.isTrue(explore(2, false).lost.some((path) => path.endsWith("REPLACED")))
  })
})
