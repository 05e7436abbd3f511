/**
 * Runs traces with a peer over WebSockets: a server that the runner dials, or clients that dial the runner.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type * as Net from "node:net"
import * as WS from "ws"
import { subprotocol } from "../../handshake/subprotocol.ts"
import { Conversation, type NextLink } from "./conversation.ts"
import { type Deviation, deviation, End, patience } from "./end.ts"
import { loadTraces, type needs, type Trace } from "./model.ts"
import { runStep } from "./steps.ts"

/** How a trace has ended; `failure` is absent where the peer did what it should. @internal */
export interface TraceResult {
  readonly file: string
  readonly name: string
  readonly requirements: ReadonlyArray<string>
  readonly failure?: string
}

type Loaded = Trace & { readonly file: string }

/** The traces for a peer of a role, but for those that need what it is without. @internal */
export const tracesFor = (
  peer: "client" | "server",
  without: ReadonlyArray<(typeof needs)[number]> = []
): ReadonlyArray<Loaded> =>
  loadTraces().filter((trace) =>
    (trace.peer === "either" || trace.peer === peer) && !(trace.needs ?? []).some((need) => without.includes(need))
  )

const runTrace = (
  trace: Loaded,
  peer: "client" | "server",
  nextLink: NextLink,
  name: string
): Effect.Effect<TraceResult> =>
  Effect.suspend(() => {
    const conversation = new Conversation(peer === "client" ? "server" : "client", nextLink, name)
    let at = 0
    const steps = Effect.forEach(trace.steps, (step) => {
      at++
      return runStep(conversation, step)
    }, { discard: true })
    return Effect.map(Effect.exit(steps), (exit) => {
      for (const { webSocket } of conversation.links) webSocket.close(1000)
      const { file, requirements } = trace
      const result = { file, name: trace.name, requirements }
      return Exit.isSuccess(exit) ? result : { ...result, failure: `step ${at}: ${textOf(exit)}` }
    })
  })

const textOf = (exit: Exit.Failure<void, Deviation>): string => {
  const reason = exit.cause.reasons[0]
  if (reason?._tag === "Fail") return reason.error.message
  return reason?._tag === "Die" ? String(reason.defect) : "interrupted"
}

/** Traces that run at a time. */
const concurrency = 8

/** Tries a server: each trace dials links of its own. @internal */
export const runServerTraces = (
  url: string,
  traces: ReadonlyArray<Loaded>,
  limit: Duration.Input = patience
): Effect.Effect<ReadonlyArray<TraceResult>> => {
  const dial: NextLink = Effect.callback((resume) => {
    const webSocket = new WS.WebSocket(url, subprotocol, { perMessageDeflate: false, maxPayload: 1 << 24 })
    const end = new End(webSocket, limit)
    webSocket.once("open", () => resume(Effect.succeed(end)))
    webSocket.once("error", (error) => resume(deviation(`${url}: ${error.message}`)))
  })
  return Effect.forEach(
    traces,
    (trace, index) => runTrace(trace, "server", dial, `trace ${index}`),
    { concurrency }
  )
}

/** Where clients dial the runner. Those that dial one path are one client, which runs one trace at a time. @internal */
export interface Listening {
  readonly port: number
  /** Done when all traces have run. */
  readonly results: Effect.Effect<ReadonlyArray<TraceResult>>
}

/** Waits for clients, and tries them: each dials again after whatever end of its link. @internal */
export const listenForClients = Effect.fnUntraced(
  function*(
    port: number,
    traces: ReadonlyArray<Loaded>,
    limit: Duration.Input = patience
  ): Effect.fn.Return<Listening, never, Scope.Scope> {
    const waiting = traces.map((trace, index) => ({ trace, name: `trace ${index}` }))
    const results: Array<TraceResult> = []
    const count = waiting.length
    const finished = yield* Queue.unbounded<TraceResult>()
    const lanes = new Map<string, Queue.Queue<End>>()
    const context = yield* Effect.context<Scope.Scope>()
    const runLane = Effect.fnUntraced(function*(links: Queue.Queue<End>) {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        yield* Queue.offer(finished, yield* runTrace(next.trace, "client", Queue.take(links), next.name))
      }
    })
    const server = yield* Effect.acquireRelease(
      Effect.callback<WS.WebSocketServer>((resume) => {
        const server = new WS.WebSocketServer({
          port,
          host: "127.0.0.1",
          perMessageDeflate: false,
          handleProtocols: (offered) => offered.has(subprotocol) ? subprotocol : false
        })
        server.once("listening", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const client of server.clients) client.terminate()
          server.close(() => resume(Effect.void))
        })
    )
    server.on("connection", (webSocket, request) => {
      const path = request.url ?? "/"
      let links = lanes.get(path)
      if (links === undefined) {
        links = Effect.runSync(Queue.unbounded<End>())
        lanes.set(path, links)
        Effect.runForkWith(context)(runLane(links))
      }
      // Made now: what the client sends first would be lost.
      Queue.offerUnsafe(links, new End(webSocket, limit))
    })
    return {
      port: (server.address() as Net.AddressInfo).port,
      results: Effect.gen(function*() {
        while (results.length < count) results.push(yield* Queue.take(finished))
        return results
      })
    }
  }
)
