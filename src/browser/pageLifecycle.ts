/**
 * A client that follows the life of its page. Browsers tell when a page is back; a client that waits for a timer or a missing
 * pong instead comes back up to a minute later.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { PreventSchedulerYield } from "effect/Scheduler"
import * as Stream from "effect/Stream"
import type { ConnectionDriver } from "../internal/connection/types.ts"
import * as CloseCode from "../internal/frame/CloseCode.ts"
import { linkFailure } from "../internal/link/linkErrors.ts"
import { Gate } from "../internal/scheduling/gate.ts"
import { untilRead } from "../internal/scheduling/turn.ts"
import { question } from "../internal/session/session.ts"
import { SwaggerSocketClient } from "../SwaggerSocketClient.ts"

type Client = SwaggerSocketClient["Service"]

type Driver = ConnectionDriver<unknown, unknown>

/** The events of a page or a worker. In a worker `document` is absent. */
export interface Page extends EventTarget {
  readonly document?: EventTarget & { readonly visibilityState: string }
}

/**
 * Between two times that events make a client dial or ping, in milliseconds: events may come often. A guess: nobody changes
 * tabs for long at this pace, and a network that is back at once is tried again a second later.
 */
const spacing = 1000

/**
 * How long a link may take to show that it is alive, in milliseconds. A guess: a phone's radio takes two seconds to wake. A link
 * that is given up too early costs one handshake, as its connection resumes.
 */
const patience = 3000

const hidden = linkFailure("read", "the page was put away")

/** Waits for a status other than this one. */
const leaves = ({ changes }: Client, tag: string) =>
  Stream.runHead(Stream.filter(changes, (status) => status._tag !== tag))

/** Whether the client waits is asked, and ended, in one step: the link of an attempt that begins meanwhile would be given up. */
const dialWaiting = (client: Client): Effect.Effect<void> =>
  Effect.provideService(
    Effect.flatMap(client.status, ({ _tag }) => _tag === "Waiting" ? client.reconnect : Effect.void),
    PreventSchedulerYield,
    true
  )

/** A message of the peer, or bytes that a full link takes, show that a link is alive. */
const signsOf = ({ mux, sender }: Driver): number => mux.heard + sender.progress

/** Pings the peer, and dials if there is no sign of it soon. Connections that end with their links are left to their heartbeat. */
const check = Effect.fnUntraced(function*(client: Client, driver: Driver) {
  const { link } = driver
  if (driver.session === undefined || link === undefined) return
  // What has arrived before, while the page stood still, says nothing of the link.
  yield* untilRead
  const before = signsOf(driver)
  driver.mux.ping(question)
  yield* Effect.timeoutOption(leaves(client, "Connected"), patience)
  yield* untilRead
  if (driver.link === link && signsOf(driver) === before) yield* client.reconnect
})

const comeBack = Effect.fnUntraced(function*(client: Client) {
  const status = yield* client.status
  if (status._tag === "Connected") yield* check(client, status.connection as Driver)
  // An attempt that has begun in a network that is gone fails late; the next one follows at once.
  if (status._tag === "Connecting") yield* leaves(client, "Connecting")
  yield* dialWaiting(client)
})

/** The browser closes the link of a page that it puts away, and the server would take that for the end of the connection. */
const putAway = (client: Client): void => {
  const status = Effect.runSync(client.status)
  if (status._tag !== "Connected") return
  const driver = status.connection as Driver
  if (driver.session !== undefined) driver.dropLink(CloseCode.RESUMING, hidden)
}

const listen = (target: EventTarget, type: string, listener: (event: Event) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => target.addEventListener?.(type, listener)),
    () => Effect.sync(() => target.removeEventListener?.(type, listener))
  )

/** Calls back when the page is back: online, shown, thawed, or restored from the back-forward cache. */
export const onBack = (page: Page, back: () => void) =>
  Effect.gen(function*() {
    const { document } = page
    yield* listen(page, "online", back)
    yield* listen(page, "pageshow", (event) => isPersisted(event) && back())
    if (document === undefined) return
    yield* listen(document, "resume", back)
    yield* listen(document, "visibilitychange", () => document.visibilityState === "visible" && back())
  })

/** Whether the page is put into the back-forward cache, or comes from it. */
const isPersisted = (event: Event): boolean => (event as PageTransitionEvent).persisted

/** Lets a client follow the life of its page, until it is interrupted. */
export const follow = Effect.fnUntraced(function*(client: Client, page: Page) {
  const gate = new Gate()
  let isBack = false
  yield* onBack(page, () => {
    isBack = true
    gate.notify()
  })
  yield* listen(page, "pagehide", (event) => isPersisted(event) && putAway(client))
  let next = 0
  while (true) {
    yield* gate.until(() => isBack)
    // Without a timer where it is not too early: those of hidden pages come once a minute.
    const early = next - (yield* Clock.currentTimeMillis)
    if (early > 0) yield* Effect.sleep(early)
    isBack = false
    yield* comeBack(client)
    next = (yield* Clock.currentTimeMillis) + spacing
  }
})

/**
 * Lets the client follow the life of its page: it comes back as soon as the page does, instead of after its next delay or a
 * heartbeat that is missed.
 *
 * **When to use**
 *
 * In every page with a `SwaggerSocketClient`. `effect-swaggersocket/promise` has it by itself. In a worker it follows the
 * network alone, as there are no other events.
 *
 * **Details**
 *
 * - The page is back when it is online again, shown again (`visibilitychange`), thawed (`resume`), or restored from the
 *   back-forward cache (`pageshow`). A client that waits for its next attempt then dials at once. One that has a connection
 *   pings, and dials where nothing has come back within 3 seconds; that holds for connections that can be resumed.
 * - However many events come, it dials or pings at most once a second.
 * - A page that is put into the back-forward cache gives up its link first, so that the server keeps its session. When it is
 *   restored within `Limits.resumeWindow`, its calls and streams go on.
 * - A client that has stopped dialling stays stopped.
 *
 * **Example** (A page)
 *
 * ```ts
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Page = BrowserSwaggerSocket.layerPageLifecycle.pipe(
 *   Layer.provideMerge(SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" })),
 *   Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPageLifecycle: Layer.Layer<never, never, SwaggerSocketClient> = Layer.effectDiscard(
  Effect.flatMap(
    SwaggerSocketClient,
    (client) => Effect.forkScoped(follow(client, globalThis as unknown as Page))
  )
)
