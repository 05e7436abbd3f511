/**
 * Layers that must not be shared.
 */
import * as Layer from "effect/Layer"

/**
 * Builds a layer anew wherever it is provided, for the connection that it is provided with there.
 *
 * The memo map of the build goes along, because `HttpRouter.serve` leaves its own in the context: what is built on top of
 * it would find its router there, and an API meant for connections would answer on the HTTP server too.
 *
 * @internal
 */
export const own = <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
  Layer.fromBuild((memoMap, scope) => Layer.buildWithMemoMap(Layer.fresh(layer), memoMap, scope))
