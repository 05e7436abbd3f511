/**
 * What marks the connections of this package.
 */

/** @internal */
export const TypeId = "~effect-swaggersocket/Connection"

/** The key of the service that is the connection of the current request. @internal */
export const currentKey = "effect-swaggersocket/Connection"
