import { createAdaptorServer } from "@hono/node-server"
import { Hono } from "hono"
import type { Server } from "node:net"
import { answer, chunks, encodedItems } from "../content.ts"
import { encodeEvent } from "../events.ts"
import { lengthOf, listen, streamOf } from "../node.ts"
import type { Peer } from "../peer.ts"
import { connectUndici } from "../undici.ts"

const peer: Peer = {
  title: "Hono on `@hono/node-server`, with an `undici` client; items as server-sent events",

  serve() {
    const app = new Hono()
      .get(
        "/items/:id",
        (c) => c.json(answer(Number(c.req.param("id")), { "x-request-id": c.req.header("x-request-id") }))
      )
      .get(
        "/bodies/:size/:chunk",
        (c) => c.body(streamOf(chunks({ size: Number(c.req.param("size")), chunk: Number(c.req.param("chunk")) })))
      )
      .post("/bodies", async (c) => c.text(String(await lengthOf(c.req.raw.body!))))
      .get("/events/:count", (c) => c.body(streamOf(encodedItems(Number(c.req.param("count")), encodeEvent))))
    return listen(createAdaptorServer({ fetch: app.fetch }) as Server)
  },

  connect: (port) => Promise.resolve(connectUndici(port))
}

export default peer
