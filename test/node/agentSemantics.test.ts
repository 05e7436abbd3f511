/**
 * The HTTP semantics of Effect's clients for Node, over an agent of `node:http` and over a dispatcher of undici that lead to the
 * peer. A run takes each case over one of them, `WHOLE=1` over both.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import { sharedOut } from "../support/extent.ts"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/node/agent/Peers") {}

/** Node's clients need a whole URL. */
const withOrigin = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(
    HttpClient.HttpClient,
    HttpClient.mapRequestInput((request) =>
      /^https?:/.test(request.url) ? request : HttpClientRequest.prependUrl(request, "http://peer.invalid")
    )
  )
)

const layerAgent = Layer.effect(
  NodeHttpClient.HttpAgent,
  Effect.map(HttpClient.HttpClient, (client) => {
    const agent = NodeSwaggerSocket.toAgent(client)
    return { http: agent, https: agent }
  })
)

const layerDispatcher = Layer.effect(
  NodeHttpClient.Dispatcher,
  Effect.map(
    Effect.zip(HttpClient.HttpClient, Effect.promise(() => import("@effect/platform-node/Undici"))),
    ([client, { Agent }]) => new Agent({ connect: NodeSwaggerSocket.toConnector(client) })
  )
)

const requestLength = "ClientRequest of node:http does not hold a body to its content-length"
const rawRequest = "ClientRequest of node:http takes strings and bytes only"
const viewChunks = "streams of Node's HTTP take other chunks"
const unusableChunks = "ClientRequest of node:http throws for such a chunk, which is a defect of the call"

/** Of undici that Effect's client has, no older one can be loaded. */
const hasUndici = Number(process.versions.node.split(".")[0]) >= 22
if (!hasUndici) console.log("skipped: the semantics over undici, which needs Node 22.19 or newer")

const share = sharedOut(2)

HttpSemantics.suite(
  share(0, { describe, it }),
  "node:http with an agent that leads to the peer",
  Layer.merge(
    ApiServer.layerServer(Peers),
    withOrigin.pipe(
      Layer.provide(NodeHttpClient.layerNodeHttpNoAgent),
      Layer.provide(layerAgent),
      Layer.provide(ApiClient.layer)
    )
  ).pipe(Layer.provide(SwaggerSocketTest.layer(Peers)), Layer.merge(NodeHttpServer.layerHttpServices)),
  {
    skip: {
      "a stream of views of other kinds arrives as its bytes": viewChunks,
      "a request body with a number among its chunks makes the call fail, and the next one succeeds": unusableChunks,
      "a request body with an object among its chunks makes the call fail, and the next one succeeds": unusableChunks,
      "a request body with an ArrayBuffer among its chunks makes the call fail, and the next one succeeds":
        unusableChunks,
      "a request body with null among its chunks makes the call fail, and the next one succeeds": unusableChunks,
      "a raw Blob body arrives as it is": rawRequest,
      "a raw ReadableStream body arrives as it is": rawRequest,
      "a request body shorter than its content-length is an error on one side at least": requestLength
    }
  }
)

if (hasUndici) {
  HttpSemantics.suite(
    share(1, { describe, it }),
    "undici with a dispatcher that leads to the peer",
    Layer.merge(
      ApiServer.layerServer(Peers),
      withOrigin.pipe(
        Layer.provide(NodeHttpClient.layerUndiciNoDispatcher),
        Layer.provide(layerDispatcher),
        Layer.provide(ApiClient.layer)
      )
    ).pipe(Layer.provide(SwaggerSocketTest.layer(Peers)), Layer.merge(NodeHttpServer.layerHttpServices)),
    {
      skip: {
        "a request body with null among its chunks makes the call fail, and the next one succeeds":
          "undici takes it for the end of the body"
      }
    }
  )
}
