/**
 * Apps of server frameworks as they are, with the same few routes.
 */
import "reflect-metadata"
import { Body, Controller, Get, HttpCode, Post, Put, Req, Res } from "@nestjs/common"
import { NestFactory } from "@nestjs/core"
import { Elysia } from "elysia"
import express from "express"
import fastify from "fastify"
import { Hono } from "hono"
import { streamSSE } from "hono/streaming"
import Koa from "koa"
import * as Http from "node:http"
import { PassThrough } from "node:stream"
import type { Watch } from "./api.ts"

/** What an app is served as, and how it ends. */
export interface App {
  /** For `layerNode`; one with a server of its own has that, for `attach` too. */
  readonly node?: Http.Server
  /** For `ApiServer.fromWebHandler`. */
  readonly web?: (request: Request) => Response | Promise<Response>
  readonly close?: () => Promise<unknown>
}

interface World {
  readonly name: string
}

const hello = ({ name }: World) => ({ text: `hello ${name}` })

const countBytes = async (body: AsyncIterable<Uint8Array>): Promise<{ readonly size: number }> => {
  let size = 0
  for await (const part of body) size += part.length
  return { size }
}

const writeEvents = async (watch: Watch, to: NodeJS.WritableStream): Promise<void> => {
  for await (const text of watch.events()) to.write(`data: ${text}\n\n`)
  to.end()
}

/** The answer never comes. */
const wait = (watch: Watch, response: Http.ServerResponse): void => {
  watch.waiting++
  response.once("close", () => void watch.aborted++)
}

const waitFor = (watch: Watch, signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    watch.waiting++
    signal.addEventListener("abort", () => {
      watch.aborted++
      reject(signal.reason as Error)
    })
  })

const eventFields = { "content-type": "text/event-stream" }

const makeExpress = (watch: Watch): App => {
  const app = express()
  app.post("/hello", express.json(), (request: any, response: any) => response.json(hello(request.body)))
  app.put("/upload", (request: any, response: any) => {
    void countBytes(request).then((counted) => response.json(counted))
  })
  app.get("/events", (_: unknown, response: any) => {
    response.set(eventFields).flushHeaders()
    void writeEvents(watch, response)
  })
  app.get("/wait", (_: unknown, response: any) => wait(watch, response))
  return { node: Http.createServer(app) }
}

const makeKoa = (watch: Watch): App => {
  const app = new Koa()
  app.use(async (context: any) => {
    if (context.path === "/hello") {
      const parts: Array<Uint8Array> = []
      for await (const part of context.req) parts.push(part)
      context.body = hello(JSON.parse(Buffer.concat(parts).toString()) as World)
    } else if (context.path === "/upload") context.body = await countBytes(context.req)
    else if (context.path === "/events") {
      context.set(eventFields)
      context.body = new PassThrough()
      void writeEvents(watch, context.body)
    } else if (context.path === "/wait") {
      wait(watch, context.res)
      context.respond = false
    }
  })
  return { node: Http.createServer(app.callback()) }
}

const makeFastify = async (watch: Watch): Promise<App> => {
  const app = fastify()
  app.addContentTypeParser("application/octet-stream", (_request, body, done) => done(null, body))
  app.post("/hello", (request) => Promise.resolve(hello(request.body as World)))
  app.put("/upload", (request) => countBytes(request.body as AsyncIterable<Uint8Array>))
  app.get("/events", (_, reply) => {
    const body = new PassThrough()
    void writeEvents(watch, body)
    return reply.headers(eventFields).send(body)
  })
  app.get("/wait", (_, reply) => {
    wait(watch, reply.raw)
    reply.hijack()
  })
  await app.ready()
  return { node: app.server, close: () => app.close() }
}

const makeNest = async (watch: Watch): Promise<App> => {
  class Calls {
    hello(world: World) {
      return hello(world)
    }
    upload(request: AsyncIterable<Uint8Array>) {
      return countBytes(request)
    }
    events(response: Http.ServerResponse) {
      response.writeHead(200, eventFields)
      void writeEvents(watch, response)
    }
    wait(response: Http.ServerResponse) {
      wait(watch, response)
    }
  }
  const decorate = (name: string, route: MethodDecorator, parameter: ParameterDecorator) => {
    parameter(Calls.prototype, name, 0)
    route(Calls.prototype, name, Object.getOwnPropertyDescriptor(Calls.prototype, name)!)
    HttpCode(200)(Calls.prototype, name, Object.getOwnPropertyDescriptor(Calls.prototype, name)!)
  }
  decorate("hello", Post("hello"), Body())
  decorate("upload", Put("upload"), Req())
  decorate("events", Get("events"), Res())
  decorate("wait", Get("wait"), Res())
  Controller()(Calls)
  const root = { module: Calls, controllers: [Calls] }
  const app = await NestFactory.create(root, { logger: false })
  await app.init()
  return { node: app.getHttpServer() as Http.Server, close: () => app.close() }
}

const makeHono = (watch: Watch): App => {
  const app = new Hono()
  app.post("/hello", async (context) => context.json(hello(await context.req.json())))
  app.put("/upload", async (context) => context.json(await countBytes(context.req.raw.body as never)))
  app.get("/events", (context) =>
    streamSSE(context, async (stream) => {
      for await (const data of watch.events()) await stream.writeSSE({ data })
    }))
  app.get("/wait", (context) => waitFor(watch, context.req.raw.signal))
  return { web: app.fetch }
}

const makeElysia = (watch: Watch): App => {
  const app = new Elysia()
    .post("/hello", ({ body }) => hello(body as World))
    .put("/upload", ({ request }) => countBytes(request.body as never), { parse: "none" })
    .get("/events", async function*() {
      for await (const text of watch.events()) yield `data: ${text}\n\n`
    })
    .get("/wait", ({ request }) => waitFor(watch, request.signal))
  return { web: app.handle }
}

export const servers: Readonly<Record<string, (watch: Watch) => App | Promise<App>>> = {
  Express: makeExpress,
  Koa: makeKoa,
  Fastify: makeFastify,
  Nest: makeNest,
  Hono: makeHono,
  Elysia: makeElysia
}
