/**
 * An unmodified `openapi-fetch` client calls a device over its socket: all it needs is a `fetch`.
 *
 *     npx tsx examples/openapi-fetch.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import createClient from "openapi-fetch"

/** What `npx openapi-typescript openapi.json` writes. */
interface paths {
  readonly "/valves/{name}": {
    readonly get: {
      readonly parameters: { readonly path: { readonly name: string } }
      readonly responses: {
        readonly 200: { readonly content: { readonly "application/json": { readonly open: boolean } } }
        readonly 404: { readonly content: { readonly "application/json": { readonly message: string } } }
      }
    }
    readonly put: {
      readonly parameters: { readonly path: { readonly name: string } }
      readonly requestBody: { readonly content: { readonly "application/json": { readonly open: boolean } } }
      readonly responses: { readonly 204: { readonly content?: never } }
    }
  }
}

const valves = new Map([["main", false]])

const Valves = HttpRouter.addAll([
  HttpRouter.route(
    "GET",
    "/valves/:name",
    Effect.map(HttpRouter.schemaPathParams(Schema.Struct({ name: Schema.String })), ({ name }) => {
      const open = valves.get(name)
      return open === undefined
        ? HttpServerResponse.jsonUnsafe({ message: `there is no valve called ${name}` }, { status: 404 })
        : HttpServerResponse.jsonUnsafe({ open })
    })
  ),
  HttpRouter.route(
    "PUT",
    "/valves/:name",
    Effect.map(
      HttpRouter.schemaJson(Schema.Struct({
        pathParams: Schema.Struct({ name: Schema.String }),
        body: Schema.Struct({ open: Schema.Boolean })
      })),
      ({ body, pathParams }) => {
        valves.set(pathParams.name, body.open)
        return HttpServerResponse.empty()
      }
    )
  )
])

const quiet = { disableLogger: true, disableListenLog: true }

const url = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Device = HttpRouter.serve(Valves, quiet).pipe(
  Layer.provide(ApiServer.layer),
  Layer.provide(SwaggerSocketClient.layer({ url })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const program = Effect.gen(function*() {
  const device = yield* (yield* Devices).awaitConnection()
  const client = createClient<paths>({ baseUrl: "http://device", fetch: ApiClient.toFetch(device) })

  // From here on it is plain TypeScript, without Effect.
  yield* Effect.promise(async () => {
    const show = async (name: string) => {
      const { data, error } = await client.GET("/valves/{name}", { params: { path: { name } } })
      console.log(data === undefined ? error.message : `the ${name} valve is ${data.open ? "open" : "shut"}`)
    }
    await show("main")
    await client.PUT("/valves/{name}", { params: { path: { name: "main" } }, body: { open: true } })
    await show("main")
    await show("back")
  })
})

program.pipe(Effect.provide(Layer.provideMerge(Device, Hub)), NodeRuntime.runMain)
