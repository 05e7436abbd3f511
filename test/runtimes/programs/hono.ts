/** Hubs on the routes of a Hono app, whatever runs it. */
import * as HonoSwaggerSocket from "effect-swaggersocket/hono"
import * as Effect from "effect/Effect"
import type { Hono } from "hono"
import { app, Devices, Narrow } from "./hub.ts"
import { promiseHub } from "./promiseHub.ts"

/** What an adapter of Hono has. */
export interface Adapter extends Required<HonoSwaggerSocket.AcceptOptions> {
  readonly upgradeWebSocket: HonoSwaggerSocket.UpgradeWebSocket
}

/** The routes, which may be added while a server has the app already. */
export const addHubs = (hono: Hono, { getConnInfo, upgradeWebSocket }: Adapter, stop: () => void) =>
  Effect.gen(function*() {
    hono.get("/hub", HonoSwaggerSocket.acceptHub(yield* promiseHub, upgradeWebSocket, { getConnInfo }))
    hono.get("/socket", yield* HonoSwaggerSocket.accept(Devices, upgradeWebSocket, { getConnInfo }))
    hono.get("/narrow", yield* HonoSwaggerSocket.accept(Narrow, upgradeWebSocket, { getConnInfo }))
    hono.all("*", (context) => app(context.req.raw, stop))
  })
