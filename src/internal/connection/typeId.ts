/**
 * What marks the connections of this package.
 *
 * @internal
 */
export const TypeId = "~effect-swaggersocket/Connection"
