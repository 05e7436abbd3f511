/**
 * The HTTP semantics over plain HTTP/1.1, as the control: what Node can't do is skipped with its reason.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"

// fetch can't send a body with GET, decodes gzip by itself, follows redirects by itself and is half duplex
const layerNodeHttp = HttpServer.layerTestClient.pipe(
  Layer.provide(NodeHttpClient.layerNodeHttp),
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0 }))
)

const requestLength = "ClientRequest of node:http does not hold a body to its content-length"
const rawRequest = "ClientRequest of node:http takes strings and bytes only"
const rawResponse = "NodeHttpServer takes raw bodies that are strings, bytes or Node streams only"

const viewChunks = "streams of Node's HTTP and of undici take other chunks, or fewer"
const unusableChunks = "ClientRequest of node:http throws for such a chunk, which is a defect of the call"

HttpSemantics.suite({ describe, it }, "NodeHttpServer over HTTP/1.1", layerNodeHttp, {
  skip: {
    "a stream of views of other kinds arrives as its bytes": viewChunks,
    "a response that streams views of other kinds arrives as its bytes": viewChunks,
    "a raw web Response that streams text arrives as UTF-8": viewChunks,
    "a request body with a number among its chunks makes the call fail, and the next one succeeds": unusableChunks,
    "a request body with an object among its chunks makes the call fail, and the next one succeeds": unusableChunks,
    "a request body with an ArrayBuffer among its chunks makes the call fail, and the next one succeeds":
      unusableChunks,
    "a request body with null among its chunks makes the call fail, and the next one succeeds": unusableChunks,
    "a raw Blob body arrives as it is": rawRequest,
    "a raw ReadableStream body arrives as it is": rawRequest,
    "a raw Blob response is sent as it is": rawResponse,
    "a raw ReadableStream response is sent as it is": rawResponse,
    "a raw web Response keeps its body, a status and headers of its own": rawResponse,
    "a request body shorter than its content-length is an error on one side at least": requestLength,
    "a request body longer than its content-length is an error on one side at least": requestLength,
    "the head of a response arrives before the first chunk of its body":
      "NodeHttpServer does not flush the head before the first chunk"
  }
})
