/** Hubs in a Durable Object, and those of a Hono app in another one. */
import * as WorkersSwaggerSocket from "effect-swaggersocket/workers"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"
import { Hono } from "hono"
import { upgradeWebSocket } from "hono/cloudflare-workers"
import { callHub } from "./callHub.ts"
import { addHubs } from "./hono.ts"
import { app, Devices, type Devices as DevicesService, hubs, Narrow } from "./hub.ts"
import { promiseHub } from "./promiseHub.ts"

interface Handler {
  readonly fetch: (request: Request) => Response | Promise<Response>
}

type Serve = (stop: () => void) => Effect.Effect<Handler, never, DevicesService | Narrow | Scope.Scope>

class Served extends Context.Service<Served, Handler>()("Served") {}

const direct: Serve = Effect.fnUntraced(function*(stop) {
  const acceptOfHub = WorkersSwaggerSocket.acceptHub(yield* promiseHub)
  const accept = yield* WorkersSwaggerSocket.accept(Devices)
  const acceptNarrow = yield* WorkersSwaggerSocket.accept(Narrow)
  return {
    async fetch(request: Request) {
      const { pathname, searchParams } = new URL(request.url)
      if (pathname === "/hub") return acceptOfHub(request)
      if (pathname === "/dial") return Response.json(await callHub(searchParams.get("url")!))
      if (pathname === "/socket") return accept(request)
      return pathname === "/narrow" ? acceptNarrow(request) : app(request, stop)
    }
  }
})

const getConnInfo = ({ req }: { readonly req: { readonly raw: Request } }) => ({
  remote: { address: req.raw.headers.get("cf-connecting-ip") ?? undefined }
})

/** A Durable Object, as far as it is used here. */
interface State {
  readonly abort: (reason: string) => void
}

class ServedObject {
  readonly #state: State
  readonly #served: Promise<Handler>

  constructor(state: State, serve: Serve) {
    this.#state = state
    const stop = () => void runtime.dispose()
    const runtime = ManagedRuntime.make(Layer.provide(Layer.effect(Served, serve(stop)), hubs))
    this.#served = runtime.runPromise(Served)
  }

  async fetch(request: Request): Promise<Response> {
    // What eviction does as well: nothing of the object is left.
    if (new URL(request.url).pathname === "/abort") this.#state.abort("the test has asked for it")
    return (await this.#served).fetch(request)
  }
}

export class Hub extends ServedObject {
  constructor(state: State) {
    super(state, direct)
  }
}

export class HonoHub extends ServedObject {
  constructor(state: State) {
    super(state, (stop) => {
      const app = new Hono()
      return Effect.as(addHubs(app, { getConnInfo, upgradeWebSocket }, stop), app)
    })
  }
}

interface Namespace {
  readonly idFromName: (name: string) => object
  readonly get: (id: object) => Handler
}

/** The object is named by the query, and is one of Hono where that says so. */
export default {
  fetch(request: Request, { HONO, HUB }: { readonly HONO: Namespace; readonly HUB: Namespace }) {
    const { searchParams } = new URL(request.url)
    const objects = searchParams.has("hono") ? HONO : HUB
    return objects.get(objects.idFromName(searchParams.get("object") ?? "")).fetch(request)
  }
}
