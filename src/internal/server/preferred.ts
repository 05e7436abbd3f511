/**
 * Decides which connection of a server is used where several fit.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Connection from "../../Connection.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import type { Acceptor } from "./acceptor.ts"

/** Waits for an open connection that fits. @internal */
export const awaitConnection = <M, P>(
  acceptor: Acceptor<M, P>,
  predicate: (connection: Connection.Connection<M, P>) => boolean
): Effect.Effect<Connection.Connection<M, P>> =>
  Effect.map(
    Stream.runHead(Stream.filter(
      Stream.map(
        acceptor.changes.stream,
        () =>
          preferred(acceptor.connections().filter((connection) => connection.now === "open" && predicate(connection)))
      ),
      Option.isSome
    )),
    (found) => Option.getOrThrow(found).value
  )

/** Of the connections that fit, the one that is open and was heard of last. @internal */
export const find = <M, P>(
  acceptor: Acceptor<M, P>,
  predicate: (connection: Connection.Connection<M, P>) => boolean
): Option.Option<Connection.Connection<M, P>> => {
  return preferred(acceptor.connections().filter(predicate))
}

/**
 * A client that has lost power dials anew. Its older connection stays open until the heartbeat notices, and calls on it would
 * hang for that long.
 */
const preferred = <M, P>(
  [first, ...others]: ReadonlyArray<ConnectionDriver<M, P>>
): Option.Option<Connection.Connection<M, P>> =>
  first === undefined
    ? Option.none()
    : Option.some(others.reduce((best, next) => isPreferred(next, best) ? next : best, first))

const isPreferred = <M, P>(one: ConnectionDriver<M, P>, other: ConnectionDriver<M, P>): boolean =>
  (one.now === "open") === (other.now === "open") ? one.lastSign > other.lastSign : one.now === "open"
