/**
 * A directory of nodes in NATS, with a real server.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Directory from "effect-swaggersocket/Directory"
import * as Nats from "effect-swaggersocket/nats"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { whole } from "../support/extent.ts"
import { until } from "../support/waiting.ts"
import { makeServer, missing, type NatsServer } from "./server.ts"

const isSkipped = missing !== undefined && process.env["CI"] !== "true"
if (isSkipped) console.warn(`the directory in NATS is not tested: ${missing}`)

const names = (nodes: ReadonlyArray<Directory.Node>) =>
  nodes.map(({ name, state }) => `${name} ${state}`).sort().join(", ")

/** A reader, as another process has one, and what it knows. */
const makeReader = Effect.fnUntraced(function*({ address }: NatsServer) {
  const layer = Layer.fresh(Nats.layerDirectory({ connection: { servers: address, reconnectTimeWait: 200 } }))
  const directory = Context.get(yield* Layer.build(layer), Directory.Directory)
  const seen = { names: "" }
  yield* Effect.forkScoped(Stream.runForEach(directory.nodes, (nodes) =>
    Effect.sync(() => {
      seen.names = names(nodes)
    })))
  return { directory, seen }
})

const at = (name: string) => ({ name, url: `ws://${name}/nodes` })

describe.skipIf(isSkipped)("a directory in NATS", () => {
  it.live("tells each node of the others: that they join, drain and leave", () =>
    Effect.gen(function*() {
      assert.isUndefined(missing)
      const server = yield* makeServer
      const [one, other] = [yield* makeReader(server), yield* makeReader(server)]
      const scope = yield* Scope.make()
      yield* one.directory.join(at("a"))
      const { drain, node } = yield* Scope.provide(other.directory.join(at("b")), scope)
      yield* until("both", () => one.seen.names === "a up, b up" && other.seen.names === "a up, b up")
      const late = yield* makeReader(server)
      yield* until("one that comes later", () => late.seen.names === "a up, b up")
      const nodes = yield* Stream.runHead(late.directory.nodes)
      assert.isTrue(nodes._tag === "Some" && nodes.value.some(({ instance }) => instance === node.instance))
      yield* drain
      yield* until("the drain", () => one.seen.names === "a up, b draining")
      yield* Scope.close(scope, Exit.void)
      yield* until("the end", () => one.seen.names === "a up" && late.seen.names === "a up")
    }).pipe(Effect.scoped))
})

if (!whole) console.warn("NATS is not killed, which takes half a minute; WHOLE=1 npx vitest run nats does it")

describe.skipIf(isSkipped || !whole)("a server of NATS that is killed", () => {
  it.live(
    "freezes what is known; a node that starts meanwhile joins when it is back, and one that leaves is gone",
    () =>
      Effect.gen(function*() {
        const server = yield* makeServer
        const [one, other] = [yield* makeReader(server), yield* makeReader(server)]
        yield* one.directory.join(at("a"))
        const scope = yield* Scope.make()
        yield* Scope.provide(other.directory.join(at("b")), scope)
        yield* until("both", () => one.seen.names === "a up, b up")
        yield* server.kill
        const late = yield* makeReader(server)
        yield* late.directory.join(at("c"))
        yield* Effect.sleep("20 seconds")
        assert.strictEqual(one.seen.names, "a up, b up")
        yield* server.start
        yield* until(
          "all three",
          () => one.seen.names === "a up, b up, c up" && late.seen.names === "a up, b up, c up",
          60_000
        )
        yield* Scope.close(scope, Exit.void)
        yield* until("the end", () => one.seen.names === "a up, c up", 30_000)
      }).pipe(Effect.scoped),
    180_000
  )
})
