/**
 * A client in the hands of the test, joined in memory to a server: it says hello and ready, and nothing by itself.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Link } from "../../src/internal/link/link.ts"
import * as memoryLink from "../../src/internal/link/memoryLink.ts"
import type { Acceptor } from "../../src/internal/server/acceptor.ts"

interface Welcome {
  readonly connectionId: string
  readonly resumed: boolean
  readonly session?: { readonly token: string; readonly epoch: string; readonly received?: number }
}

export interface MemoryPeer {
  readonly link: Link
  readonly cut: () => void
  /** The next batch of messages as JSON, or how the link has ended. */
  readonly next: Effect.Effect<ReadonlyArray<Record<string, unknown>>, { readonly code: number }>
}

export interface Greeting {
  readonly metadata?: unknown
  readonly session?: boolean
  readonly resume?: Welcome | undefined
  readonly received?: number
  readonly remoteAddress?: string
  /** What the server has of the link. */
  readonly through?: (link: Link) => Link
}

/** What is under way may take some turns of the event loop, however few steps fibers have in each. */
export const settle: Effect.Effect<void> = Effect.callback((resume) => {
  let turns = 50
  const next = () => {
    if (turns-- > 0) setImmediate(next)
    else resume(Effect.void)
  }
  next()
})

/** Opens a link. */
export const open = <M, P>(
  acceptor: Acceptor<M, P>,
  { remoteAddress, through = identity }: Greeting = {}
): Effect.Effect<MemoryPeer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const [link, far, cut] = memoryLink.makePair()
    const upgrade = { headers: Headers.empty, url: "/", remoteAddress: Option.fromUndefinedOr(remoteAddress) }
    yield* acceptor.accept(Effect.succeed(through(far)), upgrade, "v2")
    yield* Effect.addFinalizer(() => Effect.sync(cut))
    const next = Effect.mapError(
      Effect.map(link.pull, (batch) => batch.map((message) => JSON.parse(String(message)) as Record<string, unknown>)),
      ({ reason }) => ({ code: reason._tag === "SocketCloseError" ? reason.code : 0 })
    )
    return { link, cut, next }
  })

/** Says hello. */
export const greet = (
  { link }: MemoryPeer,
  { metadata = null, received = 0, resume, session = true }: Greeting
): void => {
  link.send(JSON.stringify({
    type: "hello",
    version: 2,
    metadata,
    session: session ? { windowMillis: 60_000, replayBuffer: 65_536 } : undefined,
    resume: resume && {
      connectionId: resume.connectionId,
      token: resume.session!.token,
      epoch: resume.session!.epoch,
      received
    }
  }))
}

/** Opens a link, and does the handshake on it. */
export const connect = <M, P>(
  acceptor: Acceptor<M, P>,
  greeting: Greeting = {}
): Effect.Effect<MemoryPeer & { readonly welcome: Welcome }, { readonly code: number }, Scope.Scope> =>
  Effect.gen(function*() {
    const peer = yield* open(acceptor, greeting)
    greet(peer, greeting)
    const [welcome] = yield* peer.next
    peer.link.send(JSON.stringify({ type: "ready" }))
    yield* settle
    return { ...peer, welcome: welcome as unknown as Welcome }
  })
