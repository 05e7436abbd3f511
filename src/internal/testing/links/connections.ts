/**
 * Claims about a connection over links: calls both ways, and going on with the next link.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../../Connection.ts"
import { assertSame, bytes, type Case, type Ends, turn, within } from "./ends.ts"

/** Two ends of a connection, each of which answers with what it is sent. */
export interface Joined {
  readonly connections: readonly [Connection.Connection, Connection.Connection]
  readonly echo: (
    connection: Connection.Connection,
    body: Uint8Array<ArrayBuffer>
  ) => Effect.Effect<Uint8Array, unknown>
}

/** Joins two peers by links. `onLink` is given those of each attempt. */
export type Join = (
  makeEnds: Effect.Effect<Ends, unknown, Scope.Scope>,
  onLink: (ends: Ends) => void
) => Effect.Effect<Joined, unknown, Scope.Scope>

const body = bytes(3_000_000)

/** Both ends are called at once. */
const callBoth = ({ connections, echo }: Joined) =>
  Effect.forEach(
    connections,
    (connection) =>
      Effect.map(
        within("the answer comes back", echo(connection, body)),
        (answer) => assertSame(answer, body, "the body")
      ),
    { concurrency: "unbounded", discard: true }
  )

const until = (what: string, holds: Effect.Effect<boolean>): Effect.Effect<void> => {
  const wait: Effect.Effect<void> = Effect.flatMap(holds, (holds) => holds ? Effect.void : Effect.andThen(turn, wait))
  return within(what, wait)
}

const makeCase = (
  join: Join,
  title: string,
  run: (joined: Joined, links: Array<Ends>) => Effect.Effect<void, unknown>
): Case => ({
  title,
  run: (makeEnds) => {
    const links: Array<Ends> = []
    const joined = within("the client connects", join(makeEnds, (ends) => void links.push(ends)))
    return Effect.scoped(Effect.flatMap(joined, (joined) => run(joined, links)))
  }
})

export const connectionCases = (join: Join): ReadonlyArray<Case> => [
  makeCase(join, "a connection carries calls of both ends at once, with bodies of 3 MB", callBoth),
  makeCase(
    join,
    "a connection goes on after its link was given up in the middle of calls, by either end",
    (joined, links) =>
      Effect.gen(function*() {
        for (const which of ["near", "far"] as const) {
          const before = links.length
          const calls = yield* Effect.forkChild(callBoth(joined))
          yield* turn
          links.at(-1)![which].terminate()
          yield* Fiber.join(calls)
          // Calls may have ended before the link did, on a link as quick as memory.
          yield* until("another link is made", Effect.sync(() => links.length > before))
          for (const { status } of joined.connections) {
            yield* until("the connection goes on", Effect.map(status, (status) => status === "open"))
          }
        }
      })
  )
]
