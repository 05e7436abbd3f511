/**
 * `Tabs` and `layerTabs`: a shared worker that has the one connection of all tabs of its site.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import { randomId } from "../internal/scheduling/random.ts"
import * as Link from "../Link.ts"
import { SwaggerSocketClient } from "../SwaggerSocketClient.ts"
import * as SwaggerSocketServer from "../SwaggerSocketServer.ts"
import { hold, onReleased } from "./locks.ts"
import { follow, onBack } from "./pageLifecycle.ts"
import { type Greeting, isBack, type Taken } from "./sharedWorker.ts"
import { layerRelay } from "./tabRelay.ts"

/**
 * The tabs that use a shared worker: the server that they are clients of. `layerTabs` has it.
 *
 * **Example** (How many tabs there are)
 *
 * ```ts
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as Effect from "effect/Effect"
 *
 * export const count = Effect.gen(function*() {
 *   const tabs = yield* BrowserSwaggerSocket.Tabs
 *   return (yield* tabs.connections).length
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Tabs extends SwaggerSocketServer.Service<Tabs>()("effect-swaggersocket/browser/Tabs") {}

/** Ports of tabs that come before the layer is built. More are dropped, and their pages ask again. */
const maxWaiting = 256

/** Gives the ports of tabs to whoever takes them, from the moment on at which it is made. */
class Arrivals {
  #waiting: Array<MessagePort> = []
  #take: ((port: MessagePort) => void) | undefined

  constructor(worker: EventTarget) {
    worker.addEventListener("connect", (event) => {
      const [port] = (event as MessageEvent).ports
      if (port === undefined) return
      if (this.#take !== undefined) this.#take(port)
      else if (this.#waiting.length < maxWaiting) this.#waiting.push(port)
    })
  }

  /** Takes the ports that there are and those to come, until the scope closes. */
  take(take: (port: MessagePort) => void) {
    return Effect.acquireRelease(
      Effect.sync(() => {
        this.#take = take
        for (const port of this.#waiting.splice(0)) take(port)
      }),
      () =>
        Effect.sync(() => {
          this.#take = undefined
        })
    )
  }
}

const isGreeting = (data: unknown): data is Greeting =>
  Predicate.hasProperty(data, "port") && data.port instanceof MessagePort &&
  Predicate.hasProperty(data, "lock") && Predicate.isString(data.lock)

/** Takes a tab in: its port greets with that of a link, once. `back` is called when it is shown, or online. */
const takeIn = (port: MessagePort, taken: Taken, back: () => void, accept: (greeting: Greeting) => void): void => {
  let isGreeted = false
  port.addEventListener("message", ({ data }) => {
    if (data === isBack) return back()
    if (isGreeted || !isGreeting(data)) return
    isGreeted = true
    accept(data)
    port.postMessage(taken)
  })
  port.start()
}

/** The link of a tab, which ends when the tab is gone. */
const linkOf = ({ lock, port }: Greeting) =>
  Effect.tap(Link.fromMessagePort(port), (link) => onReleased(navigator.locks, lock, () => link.terminate()))

/** Accepts tabs. The client follows the network of the worker, and what happens to the tabs. */
const accepting = (arrivals: Arrivals, worker: EventTarget) =>
  Effect.gen(function*() {
    const tabs = yield* Tabs
    const client = yield* SwaggerSocketClient
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const lock = yield* randomId
    // A shared worker that may have no locks is none that a page may have.
    yield* Effect.orDie(hold(navigator.locks, lock))
    const network = new EventTarget()
    const back = () => network.dispatchEvent(new Event("online"))
    yield* onBack(worker, back)
    yield* Effect.forkScoped(follow(client, network))
    yield* arrivals.take((port) =>
      takeIn(port, { lock }, back, (greeting) => Fiber.runIn(fork(tabs.accept(linkOf(greeting))), scope))
    )
  })

export const makeLayer = (worker: EventTarget): Layer.Layer<Tabs, never, SwaggerSocketClient> => {
  const arrivals = new Arrivals(worker)
  return Layer.effectDiscard(accepting(arrivals, worker)).pipe(
    Layer.merge(layerRelay(Tabs)),
    Layer.provideMerge(Tabs.layerNoRoute({ limits: { resumeWindow: 0 } }))
  )
}
