/**
 * Layers that must not be shared.
 */
import * as Layer from "effect/Layer"

/**
 * Builds a layer anew wherever it is provided, so that each use has its own connection.
 *
 * The memo map of the build is passed on. `HttpRouter.serve` leaves its own memo map in the context; a layer built with that
 * one would share its router, and an API for connections would be served by the HTTP server too.
 *
 * @internal
 */
export const own = <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
  Layer.fromBuild((memoMap, scope) => Layer.buildWithMemoMap(Layer.fresh(layer), memoMap, scope))
