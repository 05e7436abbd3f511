/**
 * An API with what clients are for: JSON, errors, streams of events, uploads, and calls that are given up; and those of protocols that
 * some clients speak.
 */
import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf"
import { file_google_protobuf_wrappers, FileDescriptorProtoSchema, StringValueSchema } from "@bufbuild/protobuf/wkt"
import { createConnectRouter } from "@connectrpc/connect"
import { universalServerRequestFromFetch, universalServerResponseToFetch } from "@connectrpc/connect/protocol"
import { initTRPC } from "@trpc/server"
import { fetchRequestHandler } from "@trpc/server/adapters/fetch"
import { buildSchema, graphql } from "graphql"

/** The last two events wait until the reader has seen the one before. */
export const texts = ["zero", "one", "two"]

/** What the tests of one direction share with the API that they call. */
export class Watch {
  /** Requests that never get an answer, and how many of them were given up. */
  waiting = 0
  aborted = 0
  #seen = new Set<string>()
  #resume: (() => void) | undefined

  reset(): void {
    this.waiting = 0
    this.aborted = 0
    this.#seen = new Set()
  }

  /** The reader has seen an event. */
  readonly saw = (text: string): void => {
    this.#seen.add(text)
    this.#resume?.()
  }

  async *events(): AsyncGenerator<string> {
    for (const text of texts) {
      yield text
      while (!this.#seen.has(text)) await new Promise<void>((resolve) => void (this.#resume = resolve))
    }
  }
}

const json = (value: unknown, init?: ResponseInit) => Response.json(value, init)

const notFound = () => json({ message: "no such thing", error: { message: "no such thing" } }, { status: 404 })

const eventStream = (parts: AsyncIterable<string>) => {
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      for await (const part of parts) controller.enqueue(encoder.encode(part))
      controller.close()
    }
  })
  return new Response(body, { headers: { "content-type": "text/event-stream" } })
}

/** Events with some text before and after that of each. */
async function* framed(events: AsyncIterable<string>, frame: (text: string) => string, last = "") {
  for await (const text of events) yield frame(text)
  if (last !== "") yield last
}

const waits = (watch: Watch, { signal }: Request): Promise<Response> =>
  new Promise((_, reject) => {
    watch.waiting++
    signal.addEventListener("abort", () => {
      watch.aborted++
      reject(signal.reason as Error)
    })
  })

const upload = async (request: Request): Promise<Response> => {
  const isForm = (request.headers.get("content-type") ?? "").startsWith("multipart/form-data")
  if (!isForm) return json({ size: (await request.arrayBuffer()).byteLength })
  const files = [...(await request.formData()).values()].filter((value) => typeof value !== "string")
  return json({ size: files.reduce((size, file) => size + (file as File).size, 0) })
}

// --- protocols ------------------------------------------------------------------------------------------------------------

const schema = buildSchema(
  "type Query { hello(name: String!): String! } type Mutation { hello(name: String!): String! }"
)

const answerGraphql = async (request: Request): Promise<Response> => {
  const { query, variables } = (await request.json()) as { query: string; variables?: Record<string, unknown> }
  const rootValue = { hello: ({ name }: { name: string }) => `hello ${name}` }
  return json(await graphql({ schema, source: query, variableValues: variables ?? {}, rootValue }))
}

const rpc = initTRPC.context<{ watch: Watch; request: Request }>().create()

export const rpcRouter = rpc.router({
  hello: rpc.procedure.input((name) => String(name)).mutation(({ input }) => `hello ${input}`),
  wait: rpc.procedure.query(({ ctx }) => waits(ctx.watch, ctx.request).then(() => "")),
  events: rpc.procedure.subscription(({ ctx }) => ctx.watch.events())
})

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: "echo.proto",
    package: "test",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [{
      name: "Echo",
      method: ["Hello", "Events", "Wait"].map((name) => ({
        name,
        inputType: ".google.protobuf.StringValue",
        outputType: ".google.protobuf.StringValue",
        serverStreaming: name === "Events"
      }))
    }]
  }),
  (name) => name === "google/protobuf/wrappers.proto" ? file_google_protobuf_wrappers : undefined
)

/** A service of Connect, without generated code. */
export const echo: DescService = registry.getService("test.Echo")!

const value = (value: string) => create(StringValueSchema, { value })

const connectHandlers = (watch: Watch, request: Request) =>
  createConnectRouter().service(echo, {
    hello: (message: { value: string }) => value(`hello ${message.value}`),
    wait: () => waits(watch, request).then(() => value("")),
    async *events() {
      for await (const text of watch.events()) yield value(text)
    }
  } as never).handlers

const answerConnect = async (watch: Watch, request: Request, path: string): Promise<Response> => {
  const handler = connectHandlers(watch, request).find(({ requestPath }) => requestPath === path)
  if (handler === undefined) return notFound()
  return universalServerResponseToFetch(await handler(universalServerRequestFromFetch(request, {})))
}

const completion = (part: object) => ({ id: "1", object: "chat.completion", created: 1, model: "m", choices: [part] })

/** As OpenAI's. */
const complete = async (watch: Watch, request: Request): Promise<Response> => {
  const { messages, stream } = (await request.json()) as { messages: Array<{ content: string }>; stream?: boolean }
  if (messages[0]!.content === "wait") return waits(watch, request)
  if (stream !== true) {
    return json(completion({ index: 0, message: { role: "assistant", content: `hello ${messages[0]!.content}` } }))
  }
  const frame = (content: string) => `data: ${JSON.stringify(completion({ index: 0, delta: { content } }))}\n\n`
  return eventStream(framed(watch.events(), frame, "data: [DONE]\n\n"))
}

/** As Anthropic's. */
const message = async (watch: Watch, request: Request): Promise<Response> => {
  const { messages, stream } = (await request.json()) as { messages: Array<{ content: string }>; stream?: boolean }
  if (messages[0]!.content === "wait") return waits(watch, request)
  if (stream !== true) {
    return json({
      id: "1",
      type: "message",
      role: "assistant",
      content: [{ type: "text", text: `hello ${messages[0]!.content}` }]
    })
  }
  const frame = (text: string) => {
    const event = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }
    return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
  }
  return eventStream(framed(watch.events(), frame, `event: message_stop\ndata: {"type":"message_stop"}\n\n`))
}

/** A bucket of S3 that keeps nothing: it answers with the size of what it was sent, and has one object. */
const bucket = async (request: Request): Promise<Response> => {
  if (request.method === "PUT") {
    return new Response(null, { headers: { etag: `"${(await request.arrayBuffer()).byteLength}"` } })
  }
  if (new URL(request.url).pathname.endsWith("/world")) return new Response("hello world")
  return new Response("<Error><Code>NoSuchKey</Code><Message>none</Message></Error>", {
    status: 404,
    headers: { "content-type": "application/xml" }
  })
}

/** Two parts of a body that breaks off behind them. */
const broken = () => {
  let parts = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (parts++ === 2) controller.error(new Error("it broke"))
      else controller.enqueue(new TextEncoder().encode("a part"))
    }
  })
  return new Response(body, { headers: { "content-type": "text/plain" } })
}

// --- the API --------------------------------------------------------------------------------------------------------------

export const makeApi = (watch: Watch) => async (request: Request): Promise<Response> => {
  const { pathname } = new URL(request.url)
  if (pathname === "/hello") {
    const isForm = request.headers.get("content-type")?.startsWith("application/x-www-form-urlencoded") === true
    const { name } = (isForm
      ? Object.fromEntries(new URLSearchParams(await request.text()))
      : await request.json()) as { name: string }
    return json({ text: `hello ${name}` })
  }
  if (pathname === "/events") return eventStream(framed(watch.events(), (text) => `data: ${text}\n\n`))
  if (pathname === "/broken") return broken()
  if (pathname === "/wait") return waits(watch, request)
  if (pathname === "/upload") return upload(request)
  if (pathname === "/graphql") return answerGraphql(request)
  if (pathname === "/chat/completions") return complete(watch, request)
  if (pathname === "/v1/messages") return message(watch, request)
  if (pathname === "/v1/customers") {
    const name = new URLSearchParams(await request.text()).get("name")
    return json({ id: "1", object: "customer", name: `hello ${name}` })
  }
  if (pathname.startsWith("/files")) return json({ ...(await (await upload(request)).json() as object), id: "1" })
  if (pathname.startsWith("/bucket/")) return bucket(request)
  if (pathname.startsWith("/trpc/")) {
    return fetchRequestHandler({
      endpoint: "/trpc",
      req: request,
      router: rpcRouter,
      createContext: () => ({ watch, request })
    })
  }
  if (pathname.startsWith("/test.Echo/")) return answerConnect(watch, request, pathname)
  return notFound()
}
