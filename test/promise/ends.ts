/**
 * Hubs and clients of the way in without Effect, which end with their test.
 */
import {
  type Client,
  connect,
  type ConnectOptions,
  type Hub,
  listen,
  type ListenOptions
} from "effect-swaggersocket/promise"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { onTestFinished } from "vitest"

/** Comes back at once, more or less. */
export const quickly = Reconnection.layer({ schedule: Reconnection.fullJitter({ base: "2 millis", cap: "20 millis" }) })

/** A hub on a free port, until the test is over. */
export const listening = async <M = unknown, P = undefined>(options: ListenOptions<M, P> = {}): Promise<Hub<M, P>> => {
  const hub = await listen({ host: "127.0.0.1", ...options })
  onTestFinished(() => hub.close({ drain: false }))
  return hub
}

/** A client of a URL, until the test is over. */
export const connecting = async (url: string, options: ConnectOptions = {}): Promise<Client> => {
  const client = await connect(url, { layer: quickly, ...options })
  onTestFinished(() => client.close({ drain: false }))
  return client
}

/** A proxy in front of a hub, until the test is over. */
export const proxying = async (target: string): Promise<FaultProxy.FaultProxy> => {
  const scope = Scope.makeUnsafe()
  onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return await Effect.runPromise(Scope.provide(FaultProxy.make({ target }), scope))
}

/** Both ends of a connection. */
export const join = async (options: { readonly hub?: ListenOptions; readonly client?: ConnectOptions } = {}) => {
  const hub = await listening(options.hub)
  const client = await connecting(hub.url, options.client)
  return { hub, client, connection: await hub.awaitConnection() }
}

/** Keeps the lines of a log, as text. */
export const recorder = () => {
  const lines: Array<string> = []
  const logger = Logger.layer([
    Logger.make(({ cause, logLevel, message }) => {
      lines.push([logLevel, ...[message].flat().map(String), ...cause.reasons.map(String)].join(" "))
    })
  ])
  return { lines, layer: Layer.merge(logger, quickly) }
}

/** A promise, and what resolves it. */
export const deferred = <A = void>() => {
  let resolve!: (value: A) => void
  const promise = new Promise<A>((given) => {
    resolve = given
  })
  return { promise, resolve }
}
