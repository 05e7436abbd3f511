/**
 * Many clients in one process that tell how they came back: `herd.ts <url> <count>`.
 */
import type * as Connection from "effect-swaggersocket/Connection"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { sha256 } from "../../support/bodies.ts"
import { hear, main, type Message, tell } from "../../support/child.ts"
import { serveRoutes } from "../../support/connections.ts"
import { type Event, keepEvents } from "../../support/events.ts"
import { watchLateness } from "../../support/measurements.ts"
import { dial } from "../../support/proxied.ts"

const [url, count] = process.argv.slice(2)

export interface Report extends Message {
  readonly type: "report"
  /** For each client, by events since the last report. */
  readonly failedAttempts: ReadonlyArray<number>
  readonly resumed: ReadonlyArray<number>
  /** Whatever else has happened. */
  readonly others: ReadonlyArray<string>
  readonly sameConnections: boolean
  /** The longest time that a timer of this process was late by since the last report. */
  readonly lateMillis: number
}

const device = Effect.fnUntraced(function*(name: number) {
  const { client } = yield* dial({
    url: url!,
    metadata: { name },
    reconnection: Reconnection.layer({})
  })
  const events = yield* keepEvents(client.events)
  const connection = yield* client.connection
  yield* serveRoutes(
    connection,
    HttpRouter.add(
      "POST",
      "/sink",
      Effect.flatMap(
        HttpServerRequest.HttpServerRequest,
        (request) => Effect.map(sha256(request.stream), HttpServerResponse.text)
      )
    )
  )
  return { client, connection: connection as Connection.Connection, events }
})

const countOf = (events: ReadonlyArray<Event>, tag: Event["_tag"]) => events.filter(({ _tag }) => _tag === tag).length

const known = new Set<Event["_tag"]>(["ConnectionAttemptFailed", "ConnectionInterrupted", "ConnectionResumed"])

main(Effect.gen(function*() {
  const devices = yield* Effect.forEach(Array.from({ length: Number(count) }, (_, name) => name), device, {
    concurrency: "unbounded"
  })
  const forget = () => {
    for (const { events } of devices) events.length = 0
  }
  forget()
  let lateness = watchLateness()
  yield* tell({ type: "connected" })
  while (true) {
    yield* hear("how")
    const { longest: lateMillis } = lateness.stop()
    const current = yield* Effect.forEach(devices, ({ client }) => client.connection)
    yield* tell<Report>({
      type: "report",
      failedAttempts: devices.map(({ events }) => countOf(events, "ConnectionAttemptFailed")),
      resumed: devices.map(({ events }) => countOf(events, "ConnectionResumed")),
      others: [...new Set(devices.flatMap(({ events }) => events.map(({ _tag }) => _tag)))]
        .filter((tag) => !known.has(tag)),
      sameConnections: devices.every(({ connection }, index) => connection.id === current[index]!.id),
      lateMillis
    })
    lateness = watchLateness()
    forget()
  }
}))
