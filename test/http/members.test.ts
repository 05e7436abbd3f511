/**
 * Every member of a request and of a response, beside what Effect's own server of Node and its client on `fetch` give. A
 * member that Effect adds does not compile here, or is found on the objects that are compared.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Cookies from "effect/http/Cookies"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Util from "node:util"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/members/Peers") {}

type Services = Scope.Scope | FileSystem.FileSystem | Path.Path
type Compare<A> = (message: A) => Effect.Effect<unknown, unknown, Services>

const plainly = (headers: Headers.Headers) => {
  const { "content-type": type, cookie, host, "x-sent": sent } = headers
  return { type: type?.replace(/=.*/, ""), cookie, host, sent }
}

/** What is printed, without fields that belong to the transport. */
const printed = (json: unknown): unknown => {
  const { headers, request, ...rest } = json as { headers: Headers.Headers; request?: { url: string } }
  return { ...rest, headers: { sent: headers["x-sent"], secret: Util.inspect(headers["authorization"]) }, request }
}

const incoming = {
  headers: (message: HttpIncomingMessage.HttpIncomingMessage) => Effect.succeed(plainly(message.headers)),
  remoteAddress: (message: HttpIncomingMessage.HttpIncomingMessage) => Effect.succeed(message.remoteAddress),
  json: (message: HttpIncomingMessage.HttpIncomingMessage) => message.json,
  text: (message: HttpIncomingMessage.HttpIncomingMessage) => message.text,
  urlParamsBody: (message: HttpIncomingMessage.HttpIncomingMessage) => message.urlParamsBody,
  arrayBuffer: (message: HttpIncomingMessage.HttpIncomingMessage) =>
    Effect.map(message.arrayBuffer, (buffer) => [buffer.constructor.name, new TextDecoder().decode(buffer)]),
  stream: (message: HttpIncomingMessage.HttpIncomingMessage) =>
    Effect.map(Stream.runCollect(Stream.decodeText(message.stream)), (parts) => parts.join("")),
  toString: (message: HttpIncomingMessage.HttpIncomingMessage) =>
    Effect.sync(() =>
      message.toString().replaceAll(
        /"(?:connection|accept|user-agent|sec-fetch-mode|transfer-encoding|keep-alive|date|accept-language|accept-encoding|content-length|vary)":.*\n?/g,
        ""
      )
    ),
  toJSON: (message: HttpIncomingMessage.HttpIncomingMessage) => Effect.sync(() => printed(message.toJSON())),
  [Inspectable.NodeInspectSymbol]: (message: HttpIncomingMessage.HttpIncomingMessage) =>
    Effect.sync(() => Util.inspect(message).includes("s3cret")),
  [HttpIncomingMessage.TypeId]: (message: HttpIncomingMessage.HttpIncomingMessage) =>
    Effect.succeed(message[HttpIncomingMessage.TypeId])
}

const tagOf = (error: unknown) => (error as { reason?: { _tag?: string } }).reason?._tag

const requestMembers: {
  readonly [K in keyof HttpServerRequest.HttpServerRequest]-?: Compare<HttpServerRequest.HttpServerRequest>
} = {
  ...incoming,
  [HttpServerRequest.TypeId]: (request) => Effect.succeed(request[HttpServerRequest.TypeId]),
  source: (request) => Effect.succeed(typeof request.source),
  url: (request) => Effect.succeed(request.url),
  originalUrl: (request) => Effect.succeed(request.originalUrl),
  method: (request) => Effect.succeed(request.method),
  cookies: (request) => Effect.succeed(request.cookies),
  multipart: (request) => Effect.map(request.multipart, (parts) => parts),
  multipartStream: (request) =>
    Effect.map(
      Stream.runCollect(request.multipartStream),
      (parts) =>
        parts.map((part) => [part._tag, part.key, part._tag === "Field" ? part.value : part.name, part.contentType])
    ),
  upgrade: (request) => Effect.map(Effect.flip(request.upgrade), tagOf),
  upgradeWith: (request) => Effect.map(Effect.flip(request.upgradeWith({})), tagOf),
  peerAddress: (request) => Effect.succeed(request.peerAddress),
  protocol: (request) => Effect.succeed(request.protocol),
  modify: (request) => {
    const first = request.modify({
      url: "/first",
      headers: Headers.fromInput({ "x-sent": "first" }),
      remoteAddress: Option.some("1.2.3.4"),
      protocol: "https"
    })
    // As options come that were computed.
    const nothing = { url: undefined, headers: undefined, protocol: undefined, peerAddress: undefined } as object
    const views = [first, first.modify(nothing), first.modify({}), first.modify({ remoteAddress: undefined } as object)]
    return Effect.map(Effect.all([first.text, request.text, first.text]), (texts) => [
      texts,
      views.map((view) => ({
        url: view.url,
        original: view.originalUrl,
        headers: plainly(view.headers),
        remote: view.remoteAddress,
        peer: view.peerAddress,
        protocol: view.protocol,
        whole: HttpServerRequest.toURL(view)
      }))
    ])
  }
}

const responseMembers: {
  readonly [K in keyof HttpClientResponse.HttpClientResponse]-?: Compare<HttpClientResponse.HttpClientResponse>
} = {
  ...incoming,
  // The wrapper of Effect's clients has none of its own.
  toString: (response) => Effect.succeed(typeof response.toString()),
  // `fetch` does not tell it.
  remoteAddress: (response) => Effect.succeed(Option.isOption(response.remoteAddress)),
  [HttpClientResponse.TypeId]: (response) => Effect.succeed(response[HttpClientResponse.TypeId]),
  request: (response) => Effect.succeed([response.request.method, response.request.url]),
  url: (response) => Effect.succeed(response.url),
  status: (response) => Effect.succeed(response.status),
  cookies: (response) => Effect.succeed(Cookies.toRecord(response.cookies)),
  formData: (response) => Effect.map(response.formData, (form) => [...form]),
  upgrade: (response) => Effect.map(Effect.flip(response.upgrade), tagOf),
  pipe: (response) => Effect.succeed(response.pipe((self) => self === response))
}

/** Members of the classes that no interface has, and what holds their state. */
const unpublished = new Set([
  "constructor",
  "onError",
  "remoteAddressOverride",
  "headersOverride",
  "peerAddressOverride",
  "destroyOnOverflow",
  "closeOnDone",
  "response",
  "upgradeState",
  "resolvedResponse",
  "writeContinue",
  "upgradedResponse",
  "bodySource",
  "cachedCookies",
  "cachedMethod",
  "textEffect",
  "arrayBufferEffect",
  "multipartEffect",
  "textUnsafe",
  "jsonUnsafe",
  "source",
  "controller",
  "original",
  "applyInterrupt",
  "textBody",
  "formDataBody",
  "arrayBufferBody",
  // Of responses of `fetch` alone: `HttpClientResponse.toWeb`.
  "~effect/http/HttpClientResponse/WebSource"
])

const membersOf = (message: object): Array<string | symbol> => {
  const members = new Set<string | symbol>()
  for (let at = message; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const key of Reflect.ownKeys(at)) if (!unpublished.has(key as string)) members.add(key)
  }
  return [...members]
}

/** Not the properties themselves: errors and options print differently. */
const settled = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isSuccess(exit) ? exit.value : { failed: tagOf(Cause.squash(exit.cause)) ?? "defect" }

const form = () => {
  const form = new FormData()
  form.set("field", "value")
  form.set("file", new File(["content"], "name.txt", { type: "text/plain" }))
  return form
}

const bodies: Record<string, () => HttpBody.HttpBody> = {
  "a JSON body": () => HttpBody.jsonUnsafe({ a: [1, "é"] }),
  "parameters": () => HttpBody.text("?a=1&b=%C3%A9&a=2", "application/x-www-form-urlencoded"),
  "a form": () => HttpBody.formData(form()),
  "an empty body": () => HttpBody.text("", "text/plain"),
  "a text that is no JSON": () => HttpBody.text("{", "text/plain")
}

/** Without what differs from call to call. */
const normal = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value ?? null)
      .replaceAll("/probe/socket/", "/probe/tcp/")
      .replaceAll(/formdata-undici-\d+/g, "")
      .replaceAll(/\/tmp\/\w+/g, "")
  )

/** What was seen of the requests, by the path that they came on. */
const seen = new Map<string, unknown>()
let found: Array<string | symbol> = []

const probe = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const [, way, index] = /^\/probe\/(\w+)\/(\d+)/.exec(request.url)!
  const key = Reflect.ownKeys(requestMembers)[Number(index)] as keyof typeof requestMembers
  if (way === "tcp") found = membersOf(request)
  seen.set(`${way} ${index}`, settled(yield* Effect.exit(requestMembers[key](request))))
  return HttpServerResponse.empty()
})

const answer = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const body = bodies[decodeURIComponent(/^\/answer\/([^?]*)/.exec(request.url)![1]!)]!()
  return HttpServerResponse.setBody(HttpServerResponse.empty({ status: 201, headers: { "x-sent": "answer" } }), body)
    .pipe(
      HttpServerResponse.setCookieUnsafe("a", "é; b", { path: "/" })
    )
})

const routes = Layer.mergeAll(
  HttpRouter.add("*", "/probe/*", probe),
  HttpRouter.add("*", "/answer/*", answer),
  HttpRouter.add(
    "GET",
    "/search",
    HttpMiddleware.searchParamsParser(
      Effect.map(HttpServerRequest.ParsedSearchParams, (params) => HttpServerResponse.jsonUnsafe(params))
    )
  )
)

const quiet = { disableLogger: true, disableListenLog: true } as const

/** A client over TCP, and one over a socket, of the same routes and the same host. */
const Ways = Layer.unwrap(Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  return SwaggerSocketClient.layer({ url: `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket` })
})).pipe(
  Layer.provideMerge(HttpRouter.serve(routes, quiet).pipe(Layer.provide(ApiServer.layerServer(Peers)))),
  Layer.provideMerge(HttpRouter.serve(Layer.merge(Peers.layer({ path: "/socket" }), routes), quiet)),
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

const ways = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  return {
    base: NetAddress.formatUrlUnsafe(address),
    tcp: yield* Effect.provide(HttpClient.HttpClient, FetchHttpClient.layer),
    socket: yield* Effect.provide(HttpClient.HttpClient, ApiClient.layer)
  }
})

const run = <A, E>(test: Effect.Effect<A, E, Layer.Success<typeof Ways> | Scope.Scope>) =>
  test.pipe(Effect.scoped, Effect.provide(Ways), Effect.provideService(Tracer.DisablePropagation, true))

describe("members of requests and responses", () => {
  for (const [kind, body] of Object.entries(bodies)) {
    it.live(`a server's request with ${kind} has the members that Effect's HTTP server gives it`, () =>
      run(Effect.gen(function*() {
        const { base, ...clients } = yield* ways
        const keys = Reflect.ownKeys(requestMembers)
        for (let index = 0; index < keys.length; index++) {
          for (const way of ["tcp", "socket"] as const) {
            yield* clients[way].execute(
              HttpClientRequest.post(`${base}/probe/${way}/${index}/x//y?access_token=s3cret&a=b`, {
                headers: { "x-sent": "request", cookie: "a=1; b=2", authorization: "Bearer s3cret" },
                body: body()
              })
            )
          }
          assert.deepStrictEqual(
            normal(seen.get(`socket ${index}`)),
            normal(seen.get(`tcp ${index}`)),
            String(keys[index])
          )
        }
        assert.deepStrictEqual(found.filter((key) => !keys.includes(key)), [])
      })))

    it.live(`a client's response with ${kind} has the members that Effect's HTTP client gives it`, () =>
      run(Effect.gen(function*() {
        const { base, socket, tcp } = yield* ways
        const keys = Reflect.ownKeys(responseMembers) as Array<keyof typeof responseMembers>
        for (const key of keys) {
          const request = HttpClientRequest.get(`${base}/answer/${encodeURIComponent(kind)}?access_token=s3cret#f`)
          const [theirs, ours] = yield* Effect.forEach(
            [tcp, socket],
            (client) =>
              Effect.flatMap(client.execute(request), (response) => {
                if (client === tcp) {
                  found = membersOf(response)
                }
                return Effect.map(Effect.exit(responseMembers[key](response)), settled)
              })
          )
          assert.deepStrictEqual(normal(ours), normal(theirs), String(key))
        }
        assert.deepStrictEqual(
          found.filter((member) => !keys.includes(member as never)),
          []
        )
      })))
  }

  it.live("URLs of requests have the scheme of the link, on both ends", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        HttpRouter.serve(Peers.layer({ path: "/socket" }), {
          ...quiet,
          // As HttpMiddleware.xForwardedHeaders does behind a proxy that ends TLS.
          middleware: (app) =>
            Effect.updateService(
              app,
              HttpServerRequest.HttpServerRequest,
              (request) => request.modify({ protocol: "https" })
            )
        }).pipe(Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })))
      )
      yield* Effect.gen(function*() {
        const { address } = yield* HttpServer.HttpServer
        const whole = HttpRouter.serve(
          HttpRouter.add(
            "GET",
            "/whole",
            (request) =>
              Effect.succeed(HttpServerResponse.jsonUnsafe([request.originalUrl, HttpServerRequest.toURL(request)]))
          ),
          quiet
        )
        const plain = yield* Effect.provide(Socket.WebSocketConstructor, NodeSwaggerSocket.layerWebSocketConstructor)
        const client = yield* Layer.build(
          Layer.merge(ApiClient.layer, Layer.provide(whole, ApiServer.layer)).pipe(
            Layer.provide(
              SwaggerSocketClient.layer({
                url: `${NetAddress.formatUrlUnsafe(address).replace("http", "wss")}/socket`
              })
            ),
            // The test has no certificate.
            Layer.provide(
              Layer.succeed(Socket.WebSocketConstructor, (url, options) => plain(url.replace("wss:", "ws:"), options))
            )
          )
        )
        yield* Layer.build(Layer.provide(whole, ApiServer.layerServer(Peers)))
        const peer = yield* (yield* Peers).awaitConnection()
        for (const http of [ApiClient.make(peer), Context.get(client, HttpClient.HttpClient)]) {
          const response = yield* http.get("http://device:81/whole?a=b")
          const url = "https://device:81/whole?a=b"
          assert.deepStrictEqual(yield* response.json, [url, { _id: "Option", _tag: "Some", value: url }])
        }
      }).pipe(Effect.provide(context))
    }))

  it.live("searchParamsParser reads the query of a request", () =>
    run(Effect.gen(function*() {
      const { base, socket, tcp } = yield* ways
      for (const client of [tcp, socket]) {
        const response = yield* client.get(`${base}/search?a=1&a=2&b=%C3%A9`)
        assert.deepStrictEqual(yield* response.json, { a: ["1", "2"], b: "é" })
      }
    })))
})
