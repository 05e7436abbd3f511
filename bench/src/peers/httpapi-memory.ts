import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import { encodedItems } from "../content.ts"
import { makeRuntime } from "../effect.ts"
import { connectHttpApi } from "../httpApi.ts"
import type { Peer } from "../peer.ts"
import httpapi from "./httpapi.ts"

const encoder = new TextEncoder()

/** So much of a stream at once: what connections deliver. */
const chunkSize = 16 * 1024

const encoded = new Map<string, Uint8Array<ArrayBuffer>>()

const bytesOf = (count: string): Uint8Array<ArrayBuffer> => {
  let bytes = encoded.get(count)
  if (bytes === undefined) {
    bytes = encoder.encode([...encodedItems(Number(count), (item) => `${JSON.stringify(item)}\n`)].join(""))
    encoded.set(count, bytes)
  }
  return bytes
}

/** Answers every request with the stream that it asks for, as it would arrive. */
const client = HttpClient.make((request, url) => {
  const bytes = bytesOf(url.pathname.split("/").pop()!)
  let at = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) controller.close()
      else controller.enqueue(bytes.subarray(at, at += chunkSize))
    }
  })
  const headers = { "content-type": "application/x-ndjson" }
  return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { headers })))
})

const peer: Peer = {
  title: "Effect's `HttpApi` client, which decodes a stream of items that is in its memory: no server, no transport",
  serve: httpapi.serve,
  connect: async () => {
    const { items } = await connectHttpApi(makeRuntime(Layer.succeed(HttpClient.HttpClient, client)), "http://memory")
    return { items: items! }
  }
}

export default peer
