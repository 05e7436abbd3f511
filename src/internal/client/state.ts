/**
 * The state of a client that stays connected: one of five, which decides what happens to calls.
 *
 * ```
 *                 welcomed                     the link is lost
 *    Connecting ------------> Connected ------------------------> Resuming
 *     ^  |  ^                  |   ^                               |   |
 *     |  |  |                  |   +-------------------------------+   |
 *     |  |  |                  |                resumed                |
 *     |  |  +------------------+---------------------------------------+
 *     |  |             it has ended, or the server has retired it
 *     |  |
 *     |  +-- the attempt fails --> Waiting -- no more attempts --> Stopped
 *     |                               |                               |
 *     +---------------- a delay ------+-------------- reconnect ------+
 * ```
 *
 * Calls wait for the next connection while the client is Connecting or Waiting (`Awaited`), go to the connection while it is
 * Connected or Resuming, and fail when it has Stopped. An attempt may also stop the client at once, by a refusal that is final.
 * Every state stops when the client's scope closes.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Connection from "../../Connection.ts"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { Changes } from "../observe/changes.ts"
import type { ClientConnection } from "./clientConnection.ts"
import type { Status } from "./model.ts"

type StatusOf<Tag extends Status["_tag"]> = Extract<Status, { readonly _tag: Tag }>

/** An attempt is under way, or comes after a delay. */
type Dialling = StatusOf<"Connecting" | "Waiting">

interface InUse {
  readonly connection: ClientConnection
  /** What a new subscriber of the events is told first. */
  readonly told: ReadonlyArray<ConnectionEvent>
}

type State =
  /** Connecting, or Waiting. */
  | {
    readonly _tag: "Awaited"
    readonly status: Dialling
    readonly found: Deferred.Deferred<Connection.Connection, SwaggerSocketError>
  }
  | InUse & { readonly _tag: "Connected"; readonly status: StatusOf<"Connected"> }
  | InUse & { readonly _tag: "Resuming"; readonly status: Dialling }
  | { readonly _tag: "Stopped"; readonly status: StatusOf<"Stopped"> }

const awaited = (status: Dialling): State => ({ _tag: "Awaited", status, found: Deferred.makeUnsafe() })

/** @internal */
export class ClientState {
  /** Set by the transitions below alone. */
  now: State = awaited({ _tag: "Connecting", attempt: 1 })
  readonly changes = new Changes(() => this.now.status)

  get told(): ReadonlyArray<ConnectionEvent> {
    return "told" in this.now ? this.now.told : []
  }

  /** Whether calls go to this connection. They do not go to one that the server has retired. */
  isCurrent(connection: ClientConnection): boolean {
    return "connection" in this.now && this.now.connection === connection
  }

  /** An attempt begins, or the wait for it. `connection` is the one to resume; without it the attempt is for a new one. */
  dial(status: Dialling, connection?: ClientConnection): void {
    const state = this.now
    if (state._tag === "Awaited" && connection === undefined) this.#become({ ...state, status })
    else if ("connection" in state && state.connection === connection) {
      this.#become({ ...state, _tag: "Resuming", status })
    }
  }

  /** There is a new connection. */
  open(connection: ClientConnection, told: ReadonlyArray<ConnectionEvent>): void {
    this.#become({ _tag: "Connected", status: { _tag: "Connected", connection: connection.driver }, connection, told })
  }

  tell(connection: ClientConnection, told: ReadonlyArray<ConnectionEvent>): void {
    const state = this.now
    if ("connection" in state && state.connection === connection) this.now = { ...state, told }
  }

  /** New calls wait for the next connection. Subscribers are told of it when the next attempt begins. */
  release(): void {
    if ("connection" in this.now) this.now = awaited({ _tag: "Connecting", attempt: 1 })
  }

  /** No more attempts: calls fail. */
  stop(error: SwaggerSocketError): void {
    const before = this.now
    this.#become({ _tag: "Stopped", status: { _tag: "Stopped", error } })
    if (before._tag === "Awaited") Deferred.doneUnsafe(before.found, Effect.fail(error))
  }

  /** The client dials again after it has stopped: calls from now on wait for that. */
  restart(status: Dialling): void {
    this.#become(awaited(status))
  }

  #become(next: State): void {
    this.now = next
    this.changes.notify()
  }
}
