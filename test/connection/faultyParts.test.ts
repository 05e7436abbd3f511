/**
 * A multiplexer of a program's own that throws: the connection ends, its calls too, and the process goes on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"

const methods = ["open", "respond", "write", "finish", "consumed", "pull", "receive"] as const

const echo = HttpRouter.add(
  "POST",
  "/echo",
  Effect.map(
    HttpServerRequest.HttpServerRequest,
    (request) => HttpServerResponse.stream(request.stream)
  )
)

/** The standard multiplexer; from `arm` on the method throws, once, on the end with this role. */
const faulty = (role: "client" | "server", method: (typeof methods)[number]) => {
  let isArmed = false
  const layer = Multiplexer.layer((options) => {
    const inner = Multiplexer.standard(options)
    if (options.role !== role) return inner
    const original = (inner[method] as (...args: ReadonlyArray<never>) => unknown).bind(inner)
    return Object.assign(inner, {
      [method]: (...args: ReadonlyArray<never>) => {
        if (isArmed) {
          isArmed = false
          throw new Error("a fault of this part")
        }
        return original(...args)
      }
    })
  })
  return { layer, arm: () => void (isArmed = true) }
}

describe("a multiplexer that throws", () => {
  for (const role of ["client", "server"] as const) {
    for (const method of methods) {
      if (role === "server" && method === "open") continue
      if (role === "client" && method === "respond") continue
      it.effect(`a call ends within a second when ${method} of the ${role} throws`, () => {
        const { arm, layer } = faulty(role, method)
        return Effect.gen(function*() {
          const { client, server } = yield* SwaggerSocketTest.makePair()
          yield* Layer.build(
            HttpRouter.serve(echo, { disableLogger: true, disableListenLog: true }).pipe(
              Layer.provide(ApiServer.layerConnection(server))
            )
          )
          const post = Effect.flatMap(
            ApiClient.make(client).post("/echo", { body: HttpBody.uint8Array(new Uint8Array(100_000)) }),
            (response) => response.arrayBuffer
          )
          assert.strictEqual((yield* post).byteLength, 100_000)
          arm()
          const call = yield* Effect.forkChild(Effect.exit(post))
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(call)
        }).pipe(Effect.provide(layer))
      })
    }
  }
})
