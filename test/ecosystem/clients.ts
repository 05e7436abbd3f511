/**
 * HTTP clients as they are, with nothing but a `fetch`, an agent or a dispatcher of a connection.
 */
import * as Anthropic from "@anthropic-ai/sdk"
import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client"
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { type Client as ConnectClient, createClient as createConnect, type Transport } from "@connectrpc/connect"
import * as ConnectNode from "@connectrpc/connect-node"
import * as ConnectWeb from "@connectrpc/connect-web"
import { treaty } from "@elysiajs/eden"
import { request as octokit } from "@octokit/request"
import { QueryClient } from "@tanstack/query-core"
import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from "@trpc/client"
import { initClient, initContract } from "@ts-rest/core"
import * as Urql from "@urql/core"
import { createAlova } from "alova"
import alovaFetch from "alova/fetch"
import { AwsClient } from "aws4fetch"
import axios, { type AxiosInstance } from "axios"
import crossFetch from "cross-fetch"
import * as Effect from "effect/Effect"
import { EventSource } from "eventsource"
import { createApiFetchClient } from "feature-fetch"
import got from "got"
import { type ClientError, GraphQLClient } from "graphql-request"
import { hc } from "hono/client"
import ky from "ky"
import needle from "needle"
import nodeFetch, { FormData as NodeFormData } from "node-fetch"
import * as Http from "node:http"
import { createFetch } from "ofetch"
import OpenAI from "openai"
import createOpenapi from "openapi-fetch"
import redaxios from "redaxios"
import Stripe from "stripe"
import superagent from "superagent"
import * as Undici from "undici"
import { up } from "up-fetch"
import wretch from "wretch"
import { echo, type rpcRouter } from "./api.ts"
import type { Doors } from "./ends.ts"
import { HttpApiCalls } from "./httpApi.ts"

/** One client: what it is for, it does. */
export interface ClientCase {
  /** Sends `world`, and answers what it has got. */
  readonly hello?: (doors: Doors) => Promise<unknown>
  /** Asks for what does not exist, and answers the status. */
  readonly missing?: (doors: Doors) => Promise<unknown>
  /** Reads the events, and tells each of them while others are to come. */
  readonly stream?: (doors: Doors, saw: (text: string) => void) => Promise<void>
  /** Reads an answer that breaks off, and rejects. */
  readonly broken?: (doors: Doors) => Promise<unknown>
  /** Waits for an answer until the signal is aborted, and rejects. */
  readonly abort?: (doors: Doors, signal: AbortSignal) => Promise<unknown>
  /** Sends a file, and answers how many bytes have arrived. */
  readonly upload?: (doors: Doors, bytes: Uint8Array<ArrayBuffer>) => Promise<unknown>
}

const origin = "http://peer.test"
const world = { name: "world" }
const query = "query ($name: String!) { hello(name: $name) }"

type Json = { readonly text: string; readonly size: number }

/** The status of an error, wherever its library keeps it. */
const statusOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => {
      throw new Error("the call has not failed")
    },
    (error: Record<string, any>) =>
      error.status ?? error.statusCode ?? error.response?.status ?? error.response?.statusCode
  )

const blob = (bytes: Uint8Array<ArrayBuffer>) => new Blob([bytes])

const formOf = (bytes: Uint8Array<ArrayBuffer>) => {
  const form = new FormData()
  form.append("file", blob(bytes), "file.bin")
  return form
}

/** Reads a stream of events. */
const readEvents = async (body: AsyncIterable<Uint8Array | string>, saw: (text: string) => void): Promise<void> => {
  const decoder = new TextDecoder()
  let rest = ""
  for await (const part of body) {
    rest += typeof part === "string" ? part : decoder.decode(part, { stream: true })
    const events = rest.split("\n\n")
    rest = events.pop()!
    for (const event of events) saw(event.replace("data: ", ""))
  }
}

/** Those of a client that is, or makes, a `fetch`. */
const fetchCase = (fetchOf: (doors: Doors) => (url: string, init?: any) => Promise<any>): ClientCase => ({
  hello: async (doors) =>
    (await (await fetchOf(doors)(`${origin}/hello`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(world)
    })).json()).text,
  missing: async (doors) => (await fetchOf(doors)(`${origin}/missing`)).status,
  stream: async (doors, saw) => readEvents((await fetchOf(doors)(`${origin}/events`)).body, saw),
  broken: async (doors) => (await fetchOf(doors)(`${origin}/broken`)).text(),
  abort: (doors, signal) => fetchOf(doors)(`${origin}/wait`, { signal }),
  upload: async (doors, bytes) =>
    (await (await fetchOf(doors)(`${origin}/upload`, { method: "PUT", body: bytes })).json()).size
})

const axiosCase = (of: (doors: Doors) => AxiosInstance): ClientCase => ({
  hello: async (doors) => (await of(doors).post<Json>("/hello", world)).data.text,
  missing: (doors) => statusOf(of(doors).get("/missing")),
  stream: async (doors, saw) => readEvents((await of(doors).get("/events", { responseType: "stream" })).data, saw),
  broken: (doors) => of(doors).get("/broken"),
  abort: (doors, signal) => of(doors).get("/wait", { signal }),
  upload: async (doors, bytes) => (await of(doors).postForm<Json>("/upload", formOf(bytes))).data.size
})

const connectCase = (of: (doors: Doors) => Transport): ClientCase => {
  const client = (doors: Doors) => createConnect(echo, of(doors)) as ConnectClient<any> as any
  return {
    hello: async (doors) => (await client(doors).hello({ value: "world" })).value,
    stream: async (doors, saw) => {
      for await (const { value } of client(doors).events({ value: "" })) saw(value)
    },
    abort: (doors, signal) => client(doors).wait({ value: "" }, { signal })
  }
}

const stripeCase = (httpClientOf: (doors: Doors) => Stripe.HttpClient): ClientCase => {
  const stripe = (doors: Doors) =>
    new Stripe("sk_test", {
      host: "peer.test",
      protocol: "http",
      port: 80,
      httpClient: httpClientOf(doors),
      maxNetworkRetries: 0,
      telemetry: false
    })
  return {
    hello: async (doors) => (await stripe(doors).customers.create(world)).name,
    missing: (doors) => statusOf(stripe(doors).invoices.retrieve("1"))
  }
}

/** EventSource that reads by a `fetch`. */
const eventSourceOf = ({ fetch }: Doors) =>
  class extends EventSource {
    constructor(url: string | URL) {
      super(url, { fetch: fetch as never })
    }
  }

const abortable = <A extends { abort: () => unknown }>(request: A, signal: AbortSignal): A => {
  // What `superagent` answers is a thenable, which sends the request again.
  signal.addEventListener("abort", () => void request.abort())
  return request
}

const openai = ({ fetch }: Doors) => new OpenAI({ apiKey: "key", baseURL: origin, fetch, maxRetries: 0 })
const chat = (content: string) => ({ model: "m", messages: [{ role: "user" as const, content }] })

const anthropic = ({ fetch }: Doors) =>
  new Anthropic.Anthropic({ apiKey: "key", baseURL: origin, fetch, maxRetries: 0 })
const prompt = (content: string) => ({ ...chat(content), max_tokens: 10 })

const s3 = ({ agent }: Doors) =>
  new S3Client({
    endpoint: origin,
    region: "r",
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    requestHandler: { httpAgent: agent, httpsAgent: agent }
  })

const apollo = ({ fetch }: Doors) =>
  new ApolloClient({ link: new HttpLink({ uri: `${origin}/graphql`, fetch }), cache: new InMemoryCache() })
const brokenApollo = ({ fetch }: Doors) =>
  new ApolloClient({ link: new HttpLink({ uri: `${origin}/missing`, fetch }), cache: new InMemoryCache() })
const waitingApollo = ({ fetch }: Doors) =>
  new ApolloClient({ link: new HttpLink({ uri: `${origin}/wait`, fetch }), cache: new InMemoryCache() })

const urql = (path: string, { fetch }: Doors) =>
  new Urql.Client({ url: `${origin}${path}`, exchanges: [Urql.fetchExchange], fetch, preferGetMethod: false })

const trpc = (doors: Doors) =>
  createTRPCClient<typeof rpcRouter>({
    links: [
      splitLink({
        condition: ({ type }) => type === "subscription",
        true: httpSubscriptionLink({ url: `${origin}/trpc`, EventSource: eventSourceOf(doors) as never }),
        false: httpBatchLink({ url: `${origin}/trpc`, fetch: doors.fetch as never })
      })
    ]
  })

const contract = initContract().router({
  hello: {
    method: "POST",
    path: "/hello",
    body: null as unknown as typeof world,
    responses: { 200: null as unknown as Json }
  },
  missing: { method: "GET", path: "/missing", responses: { 404: null as unknown as Json } }
} as never) as any
/** It has no place for a `fetch`, but one for all of a call. */
const tsRest = ({ fetch }: Doors) =>
  initClient(contract, {
    baseUrl: origin,
    baseHeaders: {},
    api: async ({ body, headers, method, path }) => {
      const response = await fetch(path, { method, headers, body: body ?? null })
      return { status: response.status, headers: response.headers, body: await response.json() }
    }
  }) as any

const alova = ({ fetch }: Doors) =>
  createAlova({ baseURL: origin, requestAdapter: alovaFetch({ customFetch: fetch }), cacheFor: null })

const aws = new AwsClient({ accessKeyId: "key", secretAccessKey: "secret", region: "r", service: "s3", retries: 0 })

const gotOf = ({ agent }: Doors) =>
  got.extend({ prefixUrl: origin, agent: { http: agent, https: agent }, retry: { limit: 0 } })

interface Paths {
  "/hello": {
    post: {
      requestBody: { content: { "application/json": typeof world } }
      responses: { 200: { content: { "application/json": Json } } }
    }
  }
  "/missing": { get: { responses: { 404: { content: { "application/json": Json } } } } }
  "/wait": { get: { responses: { 200: { content: { "application/json": Json } } } } }
}

/** What `node:http` itself does. */
const nodeHttp = (doors: Doors, method: string, path: string, body?: string | Uint8Array, signal?: AbortSignal) =>
  new Promise<Http.IncomingMessage>((resolve, reject) => {
    const { agent } = doors
    const request = Http.request(`${origin}${path}`, { agent, method, ...(signal && { signal }) }, resolve)
    request.on("error", reject).end(body)
  })

const textOf = async (response: AsyncIterable<Uint8Array>): Promise<string> => {
  const parts: Array<Uint8Array> = []
  for await (const part of response) parts.push(part)
  return Buffer.concat(parts).toString()
}

/** Its types don't know `create`. */
const redaxiosOf = (redaxios as unknown as { readonly create: (options: object) => AxiosInstance }).create

export const clients: Readonly<Record<string, ClientCase>> = {
  "fetch of the connection": fetchCase(({ fetch }) => fetch),
  "node:http (agent)": {
    hello: async (doors) =>
      JSON.parse(await textOf(await nodeHttp(doors, "POST", "/hello", JSON.stringify(world)))).text,
    missing: async (doors) => (await nodeHttp(doors, "GET", "/missing")).statusCode,
    stream: async (doors, saw) => readEvents(await nodeHttp(doors, "GET", "/events"), saw),
    broken: async (doors) => textOf(await nodeHttp(doors, "GET", "/broken")),
    abort: (doors, signal) => nodeHttp(doors, "GET", "/wait", undefined, signal),
    upload: async (doors, bytes) => JSON.parse(await textOf(await nodeHttp(doors, "PUT", "/upload", bytes))).size
  },
  "undici request (dispatcher)": {
    hello: async ({ dispatcher }) =>
      ((await (await Undici.request(`${origin}/hello`, {
        dispatcher,
        method: "POST",
        body: JSON.stringify(world)
      })).body.json()) as Json).text,
    missing: async ({ dispatcher }) => (await Undici.request(`${origin}/missing`, { dispatcher })).statusCode,
    stream: async ({ dispatcher }, saw) =>
      readEvents((await Undici.request(`${origin}/events`, { dispatcher })).body, saw),
    // Undici takes a reset for the end of a body that is to be followed by no other.
    broken: async ({ dispatcher }) =>
      (await Undici.request(`${origin}/broken`, { dispatcher, reset: true })).body.text(),
    abort: ({ dispatcher }, signal) => Undici.request(`${origin}/wait`, { dispatcher, signal }),
    upload: async ({ dispatcher }, bytes) =>
      ((await (await Undici.request(`${origin}/upload`, { dispatcher, method: "PUT", body: bytes })).body
        .json()) as Json).size
  },
  "undici fetch (dispatcher)": fetchCase(({ dispatcher }) => (url, init) => Undici.fetch(url, { ...init, dispatcher })),
  "node-fetch (agent)": {
    ...fetchCase(({ agent }) => (url, init) => nodeFetch(url, { ...init, agent })),
    upload: async ({ agent }, bytes) => {
      const form = new NodeFormData()
      form.append("file", blob(bytes), "file.bin")
      const response = await nodeFetch(`${origin}/upload`, { method: "POST", body: form, agent })
      return ((await response.json()) as Json).size
    }
  },
  "cross-fetch (agent)": {
    ...fetchCase(({ agent }) => (url, init) => crossFetch(url, { ...init, agent })),
    upload: async ({ agent }, bytes) => {
      const init: object = { method: "PUT", body: Buffer.from(bytes), agent }
      return (await (await crossFetch(`${origin}/upload`, init)).json()).size
    }
  },
  "axios (fetch adapter)": axiosCase(({ fetch }) =>
    axios.create({ baseURL: origin, adapter: "fetch", env: { fetch, Request, Response } as never })
  ),
  "axios (http adapter, agent)": axiosCase(({ agent }) =>
    axios.create({ baseURL: origin, httpAgent: agent, proxy: false })
  ),
  redaxios: {
    hello: async ({ fetch }) => (await redaxiosOf({ baseURL: origin, fetch }).post("/hello", world)).data.text,
    missing: ({ fetch }) => statusOf(redaxiosOf({ baseURL: origin, fetch }).get("/missing")),
    upload: async ({ fetch }, bytes) =>
      (await redaxiosOf({ baseURL: origin, fetch }).post("/upload", formOf(bytes))).data.size
  },
  ky: {
    hello: async ({ fetch }) => (await ky.post(`${origin}/hello`, { json: world, fetch }).json<Json>()).text,
    missing: ({ fetch }) => statusOf(ky.get(`${origin}/missing`, { fetch }).text()),
    stream: async ({ fetch }, saw) => readEvents((await ky.get(`${origin}/events`, { fetch })).body as never, saw),
    broken: ({ fetch }) => ky.get(`${origin}/broken`, { fetch }).text(),
    abort: ({ fetch }, signal) => ky.get(`${origin}/wait`, { fetch, signal, timeout: false }).text(),
    upload: async ({ fetch }, bytes) =>
      (await ky.post(`${origin}/upload`, { body: formOf(bytes), fetch }).json<Json>()).size
  },
  "got (agent)": {
    hello: async (doors) => (await gotOf(doors).post("hello", { json: world }).json<Json>()).text,
    missing: (doors) => statusOf(gotOf(doors).get("missing").text()),
    stream: async (doors, saw) => readEvents(gotOf(doors).stream("events"), saw),
    broken: (doors) => gotOf(doors).get("broken").text(),
    abort: (doors, signal) => gotOf(doors).get("wait", { signal }).text(),
    upload: async (doors, bytes) =>
      (await gotOf(doors).post("upload", { body: formOf(bytes) as never }).json<Json>()).size
  },
  "superagent (agent)": {
    hello: async ({ agent }) => (await superagent.post(`${origin}/hello`).agent(agent).send(world)).body.text,
    missing: ({ agent }) =>
      statusOf(superagent.get(`${origin}/missing`).agent(agent).then((response: unknown) => response)),
    broken: ({ agent }) => superagent.get(`${origin}/broken`).agent(agent).then((response: unknown) => response),
    abort: ({ agent }, signal) =>
      new Promise((resolve, reject) => {
        const request = abortable(superagent.get(`${origin}/wait`).agent(agent), signal)
        request.on("abort", () => reject(new Error("aborted")))
        request.end((error: unknown) => error === null ? resolve(undefined) : reject(error as Error))
      }),
    upload: async ({ agent }, bytes) =>
      (await superagent.post(`${origin}/upload`).agent(agent).attach("file", Buffer.from(bytes), "file.bin")).body.size
  },
  "needle (agent)": {
    hello: async ({ agent }) => (await needle("post", `${origin}/hello`, world, { agent, json: true })).body.text,
    missing: async ({ agent }) => (await needle("get", `${origin}/missing`, { agent })).statusCode,
    stream: async ({ agent }, saw) => readEvents(needle.get(`${origin}/events`, { agent, parse_response: false }), saw),
    upload: async ({ agent }, bytes) =>
      (await needle("post", `${origin}/upload`, {
        file: { buffer: Buffer.from(bytes), filename: "file.bin", content_type: "application/octet-stream" }
      }, { agent, multipart: true })).body.size
  },
  wretch: {
    hello: async ({ fetch }) =>
      ((await wretch(`${origin}/hello`).polyfills({ fetch }).post(world).json()) as Json).text,
    missing: ({ fetch }) => statusOf(wretch(`${origin}/missing`).polyfills({ fetch }).get().res()),
    abort: ({ fetch }, signal) => wretch(`${origin}/wait`).polyfills({ fetch }).options({ signal }).get().res(),
    upload: async ({ fetch }, bytes) =>
      ((await wretch(`${origin}/upload`).polyfills({ fetch }).body(formOf(bytes)).post().json()) as Json).size
  },
  ofetch: {
    hello: async ({ fetch }) =>
      (await createFetch({ fetch, Headers, AbortController })<Json>(`${origin}/hello`, { method: "POST", body: world }))
        .text,
    missing: ({ fetch }) =>
      statusOf(createFetch({ fetch, Headers, AbortController })(`${origin}/missing`, { retry: 0 })),
    stream: async ({ fetch }, saw) =>
      readEvents(
        await createFetch({ fetch, Headers, AbortController })(`${origin}/events`, { responseType: "stream" }) as never,
        saw
      ),
    abort: ({ fetch }, signal) =>
      createFetch({ fetch, Headers, AbortController })(`${origin}/wait`, { signal, retry: 0 }),
    upload: async ({ fetch }, bytes) =>
      (await createFetch({ fetch, Headers, AbortController })<Json>(`${origin}/upload`, {
        method: "POST",
        body: formOf(bytes)
      })).size
  },
  "up-fetch": {
    hello: async ({ fetch }) =>
      (await up(fetch, () => ({ baseUrl: origin }))("/hello", { method: "POST", body: world }) as Json).text,
    missing: ({ fetch }) => statusOf(up(fetch, () => ({ baseUrl: origin }))("/missing")),
    abort: ({ fetch }, signal) => up(fetch, () => ({ baseUrl: origin }))("/wait", { signal }),
    upload: async ({ fetch }, bytes) =>
      (await up(fetch, () => ({ baseUrl: origin }))("/upload", { method: "POST", body: formOf(bytes) }) as Json).size
  },
  "feature-fetch": {
    hello: async ({ fetch }) =>
      ((await createApiFetchClient({ prefixUrl: origin, fetch } as never).post(
        "/hello",
        world as never
      )) as any)
        .unwrap().data.text
  },
  alova: {
    hello: async (doors) => (await alova(doors).Post("/hello", world).then((r: any) => r.json())).text,
    missing: async (doors) => ((await alova(doors).Get("/missing")) as Response).status,
    upload: async (doors, bytes) => (await alova(doors).Post("/upload", formOf(bytes)).then((r: any) => r.json())).size
  },
  "openapi-fetch": {
    hello: async ({ fetch }) =>
      (await createOpenapi<Paths>({ baseUrl: origin, fetch }).POST("/hello", { body: world })).data?.text,
    missing: async ({ fetch }) =>
      (await createOpenapi<Paths>({ baseUrl: origin, fetch }).GET("/missing")).response.status,
    abort: ({ fetch }, signal) => createOpenapi<Paths>({ baseUrl: origin, fetch }).GET("/wait", { signal })
  },
  "@ts-rest/core": {
    hello: async (doors) => (await tsRest(doors).hello({ body: world })).body.text,
    missing: async (doors) => (await tsRest(doors).missing()).status
  },
  "@elysiajs/eden": {
    hello: async ({ fetch }) => (await (treaty(origin, { fetcher: fetch }) as any).hello.post(world)).data.text,
    missing: async ({ fetch }) => (await (treaty(origin, { fetcher: fetch }) as any).missing.get()).status,
    abort: async ({ fetch }, signal) => {
      const { error } = await (treaty(origin, { fetcher: fetch }) as any).wait.get({ fetch: { signal } })
      throw error
    }
  },
  "hono/client": {
    hello: async ({ fetch }) => (await (await (hc(origin, { fetch }) as any).hello.$post({ json: world })).json()).text,
    missing: async ({ fetch }) => (await (hc(origin, { fetch }) as any).missing.$get()).status,
    abort: ({ fetch }, signal) => (hc(origin, { fetch, init: { signal } }) as any).wait.$get()
  },
  "@tanstack/query-core": {
    hello: async ({ fetch }) =>
      (await new QueryClient().fetchQuery({
        queryKey: ["hello"],
        queryFn: async ({ signal }) =>
          (await fetch(`${origin}/hello`, { method: "POST", body: JSON.stringify(world), signal })).json() as Promise<
            Json
          >
      })).text,
    abort: ({ fetch }, signal) => {
      const queries = new QueryClient()
      signal.addEventListener("abort", () => void queries.cancelQueries())
      return queries.fetchQuery({ queryKey: ["wait"], queryFn: ({ signal }) => fetch(`${origin}/wait`, { signal }) })
    }
  },
  "HttpApiClient of Effect": {
    hello: ({ fetch }) => Effect.runPromise(HttpApiCalls.hello(origin, fetch)),
    missing: ({ fetch }) => Effect.runPromise(HttpApiCalls.missing(origin, fetch)),
    abort: ({ fetch }, signal) => Effect.runPromise(HttpApiCalls.wait(origin, fetch), { signal })
  },
  eventsource: {
    stream: (doors, saw) =>
      new Promise((resolve) => {
        const source = new (eventSourceOf(doors))(`${origin}/events`)
        source.addEventListener("message", ({ data }) => {
          saw(data as string)
          if (data === "two") {
            source.close()
            resolve()
          }
        })
      })
  },
  "@trpc/client": {
    hello: (doors) => trpc(doors).hello.mutate("world"),
    stream: (doors, saw) =>
      new Promise((resolve, reject) => {
        trpc(doors).events.subscribe(undefined, {
          onData: (text) => saw(text as string),
          onComplete: resolve,
          onError: reject
        })
      }),
    abort: (doors, signal) => trpc(doors).wait.query(undefined, { signal })
  },
  "@connectrpc/connect-web": connectCase(({ fetch }) => ConnectWeb.createConnectTransport({ baseUrl: origin, fetch })),
  "@connectrpc/connect-web (gRPC-Web)": connectCase(({ fetch }) =>
    ConnectWeb.createGrpcWebTransport({ baseUrl: origin, fetch })
  ),
  "@connectrpc/connect-node (agent)": connectCase(({ agent }) =>
    ConnectNode.createConnectTransport({ baseUrl: origin, httpVersion: "1.1", nodeOptions: { agent } })
  ),
  "@apollo/client": {
    hello: async (doors) =>
      ((await apollo(doors).query({ query: gql(query), variables: world })).data as { hello: string }).hello,
    missing: (doors) => statusOf(brokenApollo(doors).query({ query: gql(query), variables: world })),
    abort: (doors, signal) =>
      waitingApollo(doors).query({ query: gql(query), variables: world, context: { fetchOptions: { signal } } })
  },
  "graphql-request": {
    hello: async ({ fetch }) =>
      (await new GraphQLClient(`${origin}/graphql`, { fetch }).request<{ hello: string }>(query, world)).hello,
    missing: ({ fetch }) =>
      new GraphQLClient(`${origin}/missing`, { fetch }).request(query, world).catch((error: ClientError) =>
        error.response.status
      ),
    abort: ({ fetch }, signal) =>
      new GraphQLClient(`${origin}/wait`, { fetch }).request({ document: query, variables: world, signal })
  },
  "@urql/core": {
    hello: async (doors) => (await urql("/graphql", doors).query(query, world).toPromise()).data.hello,
    missing: async (doors) => (await urql("/missing", doors).query(query, world).toPromise()).error?.response.status
  },
  openai: {
    hello: async (doors) => (await openai(doors).chat.completions.create(chat("world"))).choices[0]!.message.content,
    missing: (doors) => statusOf(openai(doors).models.list()),
    stream: async (doors, saw) => {
      for await (const part of await openai(doors).chat.completions.create({ ...chat("world"), stream: true })) {
        saw(part.choices[0]!.delta.content!)
      }
    },
    abort: (doors, signal) => openai(doors).chat.completions.create(chat("wait"), { signal }),
    upload: async (doors, bytes) => {
      const file = new File([bytes], "file.bin")
      return ((await openai(doors).files.create({ file, purpose: "assistants" })) as unknown as Json).size
    }
  },
  "@anthropic-ai/sdk": {
    hello: async (doors) => {
      const { content } = await anthropic(doors).messages.create(prompt("world"))
      return content[0]!.type === "text" && content[0]!.text
    },
    missing: (doors) => statusOf(anthropic(doors).models.list().then((page) => page)),
    stream: async (doors, saw) => {
      for await (const event of await anthropic(doors).messages.create({ ...prompt("world"), stream: true })) {
        if (event.type === "content_block_delta" && event.delta.type === "text_delta") saw(event.delta.text)
      }
    },
    abort: (doors, signal) => anthropic(doors).messages.create(prompt("wait"), { signal })
  },
  "stripe (fetch)": stripeCase(({ fetch }) => Stripe.createFetchHttpClient(fetch)),
  "stripe (agent)": stripeCase(({ agent }) => Stripe.createNodeHttpClient(agent)),
  "@octokit/request": {
    hello: async ({ fetch }) =>
      (await octokit.defaults({ baseUrl: origin, request: { fetch } })("POST /hello", world)).data.text,
    missing: ({ fetch }) => statusOf(octokit.defaults({ baseUrl: origin, request: { fetch } })("GET /missing")),
    abort: ({ fetch }, signal) => octokit("GET /wait", { baseUrl: origin, request: { fetch, signal } })
  },
  // Its own `fetch` is the global one: it signs, and the connection sends.
  aws4fetch: {
    hello: async ({ fetch }) => {
      const signed = await aws.sign(`${origin}/hello`, { method: "POST", body: JSON.stringify(world) })
      return ((await (await fetch(signed)).json()) as Json).text
    },
    missing: async ({ fetch }) => (await fetch(await aws.sign(`${origin}/missing`))).status,
    upload: async ({ fetch }, bytes) => {
      const signed = await aws.sign(`${origin}/upload`, { method: "PUT", body: bytes })
      return ((await (await fetch(signed)).json()) as Json).size
    }
  },
  "@aws-sdk/client-s3 (agent)": {
    hello: async (doors) => {
      const { Body } = await s3(doors).send(new GetObjectCommand({ Bucket: "bucket", Key: "world" }))
      return Body!.transformToString()
    },
    upload: async (doors, bytes) => {
      const { ETag } = await s3(doors).send(new PutObjectCommand({ Bucket: "bucket", Key: "a", Body: bytes }))
      return Number(ETag?.replaceAll("\"", ""))
    },
    missing: (doors) =>
      s3(doors).send(new GetObjectCommand({ Bucket: "bucket", Key: "b" })).catch((error) =>
        error.$metadata.httpStatusCode
      )
  }
}
