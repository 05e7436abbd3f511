/**
 * `layerSharedWorker`: the client of a page whose connection is that of its shared worker.
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { linkFailure } from "../internal/link/linkErrors.ts"
import { randomId } from "../internal/scheduling/random.ts"
import * as Link from "../Link.ts"
import * as Client from "../SwaggerSocketClient.ts"
import type { SwaggerSocketError } from "../SwaggerSocketError.ts"
import { hold, onReleased } from "./locks.ts"
import { onBack, type Page } from "./pageLifecycle.ts"

/** What a page says to a shared worker: the port of a link, and the lock that the page holds as long as it uses it. */
export interface Greeting {
  readonly port: MessagePort
  readonly lock: string
}

/** The page is online, shown or thawed, or comes from the back-forward cache. */
export const isBack = "back"

/** What the worker answers once it has the port: the lock that it holds as long as it lives. */
export interface Taken {
  readonly lock: string
}

/**
 * The shared worker of a page, and what the page does where there is none.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedWorkerOptions<E, R> {
  /** Gives the worker. It is called for each attempt: the browser starts the worker anew if that has died. */
  readonly worker: () => SharedWorker
  /**
   * The client of pages in browsers that have no shared workers, such as Chrome on Android, or no Web Locks, as on pages that were
   * loaded over plain HTTP.
   */
  readonly otherwise: Layer.Layer<Client.SwaggerSocketClient, E, R>
  /** What the page says of itself to the worker, which sees it as the metadata of a connection of `Tabs`. */
  readonly metadata?: Client.PerAttempt<unknown> | undefined
}

/** Waits until the worker says that it has the port; fails when its script can't be loaded, or throws. */
const greet = (worker: SharedWorker, greeting: Greeting): Effect.Effect<Taken, SwaggerSocketError> =>
  Effect.callback((resume) => {
    const onMessage = ({ data }: MessageEvent<Taken>) => resume(Effect.succeed(data))
    const onError = (event: Event) => {
      const { message = "its script can't be loaded" } = event as ErrorEvent
      resume(Effect.fail(linkFailure("open", `the shared worker has failed: ${message}`)))
    }
    worker.port.addEventListener("message", onMessage)
    worker.addEventListener("error", onError)
    worker.port.start()
    worker.port.postMessage(greeting, [greeting.port])
    return Effect.sync(() => {
      worker.port.removeEventListener("message", onMessage)
      worker.removeEventListener("error", onError)
    })
  })

/** A link to the worker. */
const open = (make: () => SharedWorker, page: Page, locks: LockManager) =>
  Effect.gen(function*() {
    const lock = yield* randomId
    yield* hold(locks, lock)
    const worker = yield* Effect.acquireRelease(
      Effect.try({ try: make, catch: (cause) => linkFailure("open", "there is no shared worker", cause) }),
      ({ port }) => Effect.sync(() => port.close())
    )
    const { port1, port2 } = new MessageChannel()
    const link = yield* Link.fromMessagePort(port1)
    const taken = yield* greet(worker, { port: port2, lock })
    yield* onReleased(locks, taken.lock, () => link.terminate())
    yield* onBack(page, () => worker.port.postMessage(isBack))
    return link
  })

export const makeLayer = <E, R>(
  { metadata, otherwise, worker }: SharedWorkerOptions<E, R>,
  page: Page
): Layer.Layer<Client.SwaggerSocketClient, E, R> => {
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks
  if (typeof SharedWorker === "undefined" || locks === undefined) return otherwise
  return Client.layer({
    link: open(worker, page, locks),
    metadata,
    // A port that is lost leads to a worker that is gone, and knows nothing any more.
    limits: { resumeWindow: 0 }
  })
}
