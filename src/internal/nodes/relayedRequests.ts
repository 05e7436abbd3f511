/**
 * Requests of other nodes for connections of this one: each is passed on, stream to stream, as a relay does.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type App, type Apps, passed, type Peer } from "../connection/peer.ts"
import { violation } from "../frame/codes.ts"
import type { Request } from "../frame/Frame.ts"
import { upgradeField } from "../frame/grammar.ts"
import { connectionField, NO_SUCH_CONNECTION } from "../frame/relayCodes.ts"
import { addApp } from "../http/addApp.ts"
import { type Destination, makeRelayingApp } from "../http/relayingApp.ts"
import type { HttpStream } from "../streams/stream.ts"

const connectionIdOf = ({ fields }: Request): string | undefined =>
  // The last field: RemoteStreams adds it behind those of the caller.
  fields.findLast(([name]) => name === connectionField)?.[1]

const destinationOf = (far: Peer, stream: HttpStream, { fields, method, target }: Request): Destination => {
  const mayUpgrade = stream.asksForUpgrade === true && far.mux.upgrades === true
  const own = fields.filter(([name]) => name !== connectionField && (mayUpgrade || name !== upgradeField))
  return { far, head: { method, target, fields: own } }
}

/** Passes requests on while the scope is open, which waits for those that are in progress. @internal */
export const relayRequests = (
  apps: Apps,
  find: (id: string) => Peer | undefined
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(
    makeRelayingApp((_, stream, request) => {
      const id = connectionIdOf(request)
      const far = id === undefined ? undefined : find(id)
      return far === undefined ? undefined : destinationOf(far, stream, request)
    }),
    ({ app, idle }) => addApp(apps, app, idle)
  )

/** Refuses requests for connections that no app above knows. @internal */
export const refuseUnknown: App = (_, __, request) => {
  const id = connectionIdOf(request)
  return id === undefined ? passed : violation(NO_SUCH_CONNECTION, `there is no connection ${id} on this node`)
}
