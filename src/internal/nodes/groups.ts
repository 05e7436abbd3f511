/**
 * The groups that connections of this node are in, and who is told when they change.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Gate } from "../scheduling/gate.ts"
import type { LocalConnection } from "./localConnection.ts"

/** So many groups a connection can be in. @internal */
export const maxGroups = 256

/** Characters of a name. @internal */
export const maxGroupName = 256

interface Subscriber {
  readonly gate: Gate
  /** Connections whose groups have changed since it was told. */
  readonly changed: Set<LocalConnection<unknown, unknown>>
}

/** @internal */
export class Groups {
  readonly #subscribers = new Set<Subscriber>()

  /** Answers whether anything has changed. A connection that is in too many groups joins no more: `undefined`. */
  set(connection: LocalConnection<unknown, unknown>, group: string, isMember: boolean): boolean | undefined {
    if (connection.groups.has(group) === isMember) return false
    if (isMember && connection.groups.size >= maxGroups) return undefined
    const groups = new Set(connection.groups)
    if (isMember) groups.add(group)
    else groups.delete(group)
    connection.groups = groups
    for (const { changed, gate } of this.#subscribers) {
      changed.add(connection)
      gate.notify()
    }
    return true
  }

  /** The connections whose groups change from now on. A slow subscriber is told of each once. */
  get changes(): Stream.Stream<LocalConnection<unknown, unknown>> {
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      const subscriber: Subscriber = { gate: new Gate(), changed: new Set() }
      yield* Effect.acquireRelease(
        Effect.sync(() => this.#subscribers.add(subscriber)),
        () => Effect.sync(() => this.#subscribers.delete(subscriber))
      )
      const take = Effect.sync(() => {
        const connections = [...subscriber.changed]
        subscriber.changed.clear()
        return connections as [LocalConnection<unknown, unknown>]
      })
      return Stream.fromPull(
        Effect.succeed(Effect.andThen(subscriber.gate.until(() => subscriber.changed.size > 0), take))
      )
    }))
  }
}
