/**
 * Spans of what happens to connections. Without a tracer or a parent nobody would see them, and none is made: a span costs more
 * than a small call.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** Whether spans are collected: there is a tracer that keeps them, or a parent span to pass on to the peer. @internal */
export const isTraced = (context: Context.Context<never>): boolean =>
  Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer ||
  Context.getOrUndefined(context, Tracer.ParentSpan) !== undefined

const connectionId = "swaggersocket.connection.id"

/** What a span is about: the handshake of one end, or a connection. */
type Subject = { readonly role: "client" | "server"; readonly id?: string }

/** Runs an effect in a span of its own. @internal */
export const traced = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  name: "handshake" | "resume" | "drain",
  { id, role }: Subject
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (!isTraced(fiber.context)) return effect
    const attributes = { "swaggersocket.role": role, ...(id !== undefined && { [connectionId]: id }) }
    return Effect.withSpan(effect, `swaggersocket.${name}`, { attributes }) as Effect.Effect<A, E, R>
  })

/** Adds to the span of a handshake what has become of it. @internal */
export const welcomedBy = (
  wire: string,
  welcome: { readonly connectionId: string; readonly resumed: boolean }
): Effect.Effect<void> =>
  Effect.annotateCurrentSpan({
    [connectionId]: welcome.connectionId,
    "swaggersocket.resumed": welcome.resumed,
    "swaggersocket.wire": wire
  })
